"""How long the API takes with many records: no substitute for a load test, but a list that forgot its index fails."""

from collections.abc import Callable
from statistics import quantiles
from time import perf_counter

import pytest
from rest_framework.test import APIClient

from crm.authentication.models import User
from crm.companies.models import Company
from crm.contacts.models import Contact
from crm.deals.models import Deal, Pipeline, Stage

pytestmark = pytest.mark.performance

RECORDS = 1000
REQUESTS = 60
SLOWEST_P95 = 0.5  # seconds: what a release must keep where it goes (delivery/cli/verify.py)


@pytest.fixture
def many(alice: User, sales: Pipeline, stages: dict[str, Stage]) -> None:
    team, owner = alice.team, alice
    numbers = range(RECORDS)
    Company.objects.bulk_create(Company(name=f"Company {n}", team=team, owner=owner) for n in numbers)
    Contact.objects.bulk_create(Contact(last_name=f"Doe {n}", team=team, owner=owner) for n in numbers)
    Deal.objects.bulk_create(
        Deal(title=f"Deal {n}", team=team, owner=owner, pipeline=sales, stage=stages["Lead"], amount=n)
        for n in numbers
    )


@pytest.mark.parametrize("address", ["/api/v1/companies/", "/api/v1/contacts/", "/api/v1/deals/"])
def test_95_of_100_answers_come_in_time(many: None, api: APIClient, address: str) -> None:
    assert api.get(address).json()["count"] == RECORDS
    assert p95(lambda: api.get(address)) < SLOWEST_P95


def p95(call: Callable[[], object]) -> float:
    """Seconds that 95 % of the calls take at most."""
    taken = []
    for _ in range(REQUESTS):
        started = perf_counter()
        call()
        taken.append(perf_counter() - started)
    return quantiles(taken, n=20)[-1]
