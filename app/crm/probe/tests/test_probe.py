"""In one process; that real outages are seen is shown in config/tests/test_processes.py."""

from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from crm.authentication.models import User
from crm.deals.models import Deal, Pipeline
from crm.deals.services import create_deal
from crm.health import heartbeat
from crm.metrics.tests.test_metrics import scrape, value

MARKED = {"host": "canary.internal", "x-crm-probe": "1"}


def test_it_reads_what_users_read_and_tells_nothing_of_it(
    client: Client, alice: User, sales: Pipeline
) -> None:
    for number in range(30):
        create_deal(by=alice, pipeline=sales, title=f"Deal {number}", amount=1)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = client.get("/probe/", headers=MARKED)

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer["X-CRM-Version"] == "1.2.3"
    asked = [query["sql"] for query in queries]
    assert len(asked) == 3, "pipelines, their stages, the newest deals: however many there are"
    assert all(sql.startswith("SELECT") for sql in asked)
    assert any(f'FROM "{Deal._meta.db_table}"' in sql and "LIMIT 20" in sql for sql in asked)


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "testserver", "x-crm-probe": "1"},
        {"host": "canary.internal"},
        {"host": "canary.internal", "x-crm-probe": "yes"},
    ],
    ids=["users' host", "no mark", "another mark"],
)
def test_for_everybody_else_it_does_not_exist(client: Client, headers: dict[str, str]) -> None:
    # Without the database fixture: a query would fail.
    answer = client.get("/probe/", headers=headers)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_a_host_that_nobody_may_name_is_refused_as_everywhere(client: Client) -> None:
    assert client.get("/probe/", headers=MARKED | {"host": "evil.example.com"}).status_code == 400


@pytest.mark.django_db
def test_it_only_reads(client: Client) -> None:
    assert client.post("/probe/", headers=MARKED).status_code == 405


@pytest.mark.django_db
def test_it_counts_as_a_request_of_its_own_name(client: Client) -> None:
    labels = {"method": "GET", "endpoint": "probe", "status": "200"}
    before = scrape(client)
    client.get("/probe/", headers=MARKED)
    after = scrape(client)
    assert (
        value(after, "django_requests_total", **labels)
        == value(before, "django_requests_total", **labels) + 1
    )


@pytest.mark.django_db
def test_it_finds_what_it_looks_up_in_the_cache(
    client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(heartbeat, "WORKER_ALIVE", tmp_path / "worker-alive")
    heartbeat.alive()
    before = scrape(client)
    client.get("/probe/", headers=MARKED)
    after = scrape(client)
    for name, more in (("hits", 1), ("misses", 0)):
        series = f"redis_cache_{name}_total"
        assert value(after, series) == value(before, series) + more


@pytest.mark.django_db
def test_plain_http_is_not_sent_elsewhere(client: Client, settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert client.get("/probe/", headers=MARKED).status_code == 200
    assert client.get("/").status_code == 308
