"""Alice owns a record, Bob is on her team, Charlie is not. One matrix for every kind of record."""

from collections.abc import Callable
from typing import Any

import pytest
from rest_framework.test import APIClient

from crm.authentication.models import User
from crm.companies.models import Company
from crm.contacts.models import Contact
from crm.deals.models import Pipeline
from crm.deals.services import create_deal

pytestmark = pytest.mark.security

KINDS = ("companies", "contacts", "deals")


@pytest.fixture
def body(sales: Pipeline) -> dict[str, dict[str, Any]]:
    return {
        "companies": {"name": "Acme"},
        "contacts": {"last_name": "Doe", "email": "doe@example.com"},
        "deals": {"title": "Big", "pipeline": sales.pk, "amount": "5.00"},
    }


@pytest.fixture
def address(request: pytest.FixtureRequest, alice: User, sales: Pipeline) -> str:
    kind = request.param
    owned = {"team": alice.team, "owner": alice}
    if kind == "deals":
        pk = create_deal(by=alice, pipeline=sales, title="Big", amount=5).pk
    elif kind == "contacts":
        pk = Contact.objects.create(last_name="Doe", **owned).pk
    else:
        pk = Company.objects.create(name="Acme", **owned).pk
    return f"/api/v1/{kind}/{pk}/"


@pytest.mark.parametrize("address", KINDS, indirect=True)
@pytest.mark.parametrize(
    ("who", "reads", "changes", "deletes"),
    [
        ("alice", 200, 200, 204),
        ("bob", 200, 403, 403),
        ("staff", 200, 200, 204),
        ("charlie", 404, 404, 404),
        ("strange staff", 404, 404, 404),
        ("nobody", 401, 401, 401),
    ],
)
def test_a_record(
    address: str,
    who: str,
    reads: int,
    changes: int,
    deletes: int,
    alice: User,
    bob: User,
    charlie: User,
    as_user: Callable[[User], APIClient],
) -> None:
    users = {"alice": alice, "bob": bob, "staff": bob, "charlie": charlie, "strange staff": charlie}
    if "staff" in who:
        User.objects.filter(pk=users[who].pk).update(is_staff=True)
    client = as_user(users[who]) if who in users else APIClient()
    assert client.get(address).status_code == reads
    assert client.patch(address, {}).status_code == changes
    assert client.put(address, {}).status_code in (405, 401)
    assert client.delete(address).status_code == deletes


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_shows_the_teams_records_only(
    kind: str,
    body: dict[str, dict[str, Any]],
    alice: User,
    bob: User,
    charlie: User,
    as_user: Callable[[User], APIClient],
) -> None:
    created = as_user(alice).post(f"/api/v1/{kind}/", body[kind])
    assert created.status_code == 201, created.json()
    assert created.json()["owner"] == alice.pk
    assert [row["id"] for row in as_user(bob).get(f"/api/v1/{kind}/").json()["results"]] == [
        created.json()["id"]
    ]
    assert as_user(charlie).get(f"/api/v1/{kind}/").json()["results"] == []
    assert APIClient().get(f"/api/v1/{kind}/").status_code == 401
    assert APIClient().post(f"/api/v1/{kind}/", body[kind]).status_code == 401


@pytest.mark.parametrize("reference", ["company", "contact"])
def test_records_of_another_team_cannot_be_referred_to(
    reference: str, body: dict[str, dict[str, Any]], charlie: User, api: APIClient
) -> None:
    owned = {"team": charlie.team, "owner": charlie}
    theirs = {
        "company": Company.objects.create(name="Secret", **owned),
        "contact": Contact.objects.create(last_name="Secret", **owned),
    }
    answer = api.post("/api/v1/deals/", body["deals"] | {reference: theirs[reference].pk})
    assert answer.status_code == 400
    assert "does not exist" in answer.json()["error"]["fields"][reference][0]


def test_a_company_in_use_is_not_deleted(api: APIClient, alice: User) -> None:
    company = Company.objects.create(name="Acme", team=alice.team, owner=alice)
    contact = Contact.objects.create(last_name="Doe", company=company, team=alice.team, owner=alice)
    answer = api.delete(f"/api/v1/companies/{company.pk}/")
    assert answer.status_code == 409
    assert f"still used by contact {contact.pk};" in answer.json()["error"]["message"]


def test_a_contacts_e_mail_address_is_unique_in_the_team(
    api: APIClient, charlie: User, as_user: Callable[[User], APIClient]
) -> None:
    doe = {"last_name": "Doe", "email": "doe@example.com"}
    first = api.post("/api/v1/contacts/", doe)
    assert first.status_code == 201
    again = api.post("/api/v1/contacts/", doe | {"email": "DOE@example.com"})
    assert again.json()["error"]["fields"] == {
        "email": ["The team has a contact with this e-mail address already."]
    }
    assert api.patch(f"/api/v1/contacts/{first.json()['id']}/", doe).status_code == 200
    assert as_user(charlie).post("/api/v1/contacts/", doe).status_code == 201


def test_pages_have_at_most_100_rows(api: APIClient, alice: User) -> None:
    rows = [Company(name=f"Company {n}", team=alice.team, owner=alice) for n in range(101)]
    Company.objects.bulk_create(rows)
    page = api.get("/api/v1/companies/?page_size=1000").json()
    assert (page["count"], len(page["results"])) == (101, 100)
    assert page["next"]
    assert api.get("/api/v1/companies/?page=9").status_code == 404


@pytest.mark.parametrize("kind", [*KINDS, "pipelines"])
@pytest.mark.parametrize(
    "query", ["search=doe", "owner=1&page=1", "page_size=abc", "page_size=0", "page_size=-1", "page_size=1_0"]
)
def test_a_list_refuses_what_it_would_pass_over(api: APIClient, kind: str, query: str) -> None:
    answer = api.get(f"/api/v1/{kind}/?{query}")
    assert answer.status_code == 400
    assert list(answer.json()["error"]["fields"]) == [query.partition("=")[0]]
