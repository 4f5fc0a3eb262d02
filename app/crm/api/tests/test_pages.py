"""Lists: what they count, and how far down one may ask for them."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from crm.api import pagination
from crm.authentication.models import Invitation, User
from crm.companies.models import Company

COMPANIES = "/api/v1/companies/"


@pytest.fixture
def few_are_counted(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(pagination, "MOST_COUNTED", 20)
    return 20


@pytest.fixture
def newest_first(alice: User) -> list[int]:
    """The keys of 47 companies."""
    rows = [Company(name=f"Company {n}", team=alice.team, owner=alice) for n in range(47)]
    return sorted((row.pk for row in Company.objects.bulk_create(rows)), reverse=True)


def keys(page: dict[str, Any]) -> list[int]:
    return [row["id"] for row in page["results"]]


def cursor(text: str) -> str:
    return b64encode(text.encode()).decode()


def test_it_is_10_000_rows_that_are_counted() -> None:
    assert pagination.MOST_COUNTED == 10_000


@pytest.mark.parametrize(("rows", "count", "is_capped"), [(19, 19, False), (20, 20, False), (21, 20, True)])
def test_a_list_says_where_it_has_stopped_counting(
    few_are_counted: int, api: APIClient, alice: User, rows: int, count: int, is_capped: bool
) -> None:
    Company.objects.bulk_create(Company(name=f"{n}", team=alice.team, owner=alice) for n in range(rows))
    for query in ("", "?page=2&page_size=5", "?cursor="):
        page = api.get(COMPANIES + query).json()
        assert (page["count"], page["count_is_capped"]) == (count, is_capped)


@pytest.mark.parametrize("size", [5, 6, 47])
def test_who_follows_next_sees_every_row_once_however_many_there_are(
    few_are_counted: int, api: APIClient, newest_first: list[int], size: int
) -> None:
    seen: list[int] = []
    address = f"{COMPANIES}?page_size={size}"
    while address:
        page = api.get(address).json()
        seen += keys(page)
        address = page["next"]
    assert seen == newest_first


def test_whoever_went_on_by_a_cursor_comes_back_by_one(
    few_are_counted: int, api: APIClient, newest_first: list[int]
) -> None:
    onward = api.get(f"{COMPANIES}?page=4&page_size=5").json()["next"]
    assert "cursor=" in onward
    assert "page=" not in onward.replace("page_size=", "")
    page = api.get(onward).json()
    assert keys(page) == newest_first[20:25]
    assert keys(api.get(page["previous"]).json()) == newest_first[15:20]


@pytest.mark.parametrize(
    ("page", "status"), [("4", 200), ("5", 400), ("9" * 5000, 400), ("x", 400), ("last", 400)]
)
def test_a_page_beyond_what_is_counted_is_refused_with_advice(
    few_are_counted: int, api: APIClient, newest_first: list[int], page: str, status: int
) -> None:
    answer = api.get(f"{COMPANIES}?page={page}&page_size=5")
    assert answer.status_code == status
    if status == 400:
        assert answer.json()["error"]["fields"] == {
            "page": [
                "Pages have numbers up to row 20 only; follow `next` from there, or begin with ?cursor=."
            ]
        }


@pytest.mark.parametrize(
    "query",
    [
        "cursor=x",
        "cursor=%C3%A9",
        f"cursor={cursor('p=abc')}",
        f"cursor={cursor('p=1_0')}",
        f"cursor={cursor('p=-1')}",
        f"cursor={cursor('p=%00')}",
        f"cursor={cursor('p=' + '9' * 30)}",
        f"cursor={cursor('o=-1')}",
        f"cursor={cursor('o=' + '9' * 5000)}",
        f"cursor={cursor('r=x')}",
    ],
)
@pytest.mark.parametrize("kind", ["companies", "pipelines"])
def test_a_cursor_that_nobody_was_given_is_refused(api: APIClient, kind: str, query: str) -> None:
    answer = api.get(f"/api/v1/{kind}/?{query}")
    assert answer.status_code == 400
    assert list(answer.json()["error"]["fields"]) == ["cursor"]


def test_a_list_is_asked_for_by_page_or_by_cursor(api: APIClient) -> None:
    answer = api.get(f"{COMPANIES}?page=1&cursor=")
    assert answer.status_code == 400
    assert list(answer.json()["error"]["fields"]) == ["page"]


@pytest.mark.parametrize("kind", ["companies", "contacts", "deals", "pipelines", "auth/invitations"])
def test_every_list_says_the_same_of_itself(api: APIClient, kind: str) -> None:
    for query in ("", "?cursor="):
        page = api.get(f"/api/v1/{kind}/{query}").json()
        assert list(page) == ["count", "count_is_capped", "next", "previous", "results"]


def test_a_cursor_shows_the_teams_own_rows_only(
    api: APIClient, newest_first: list[int], charlie: User, as_user: Callable[[User], APIClient]
) -> None:
    onward = api.get(f"{COMPANIES}?cursor=&page_size=5").json()["next"]
    assert keys(as_user(charlie).get(onward).json()) == []


def test_counting_ends_in_the_database(few_are_counted: int, api: APIClient, newest_first: list[int]) -> None:
    with CaptureQueriesContext(connection) as queries:
        api.get(COMPANIES)
    [counts] = [each["sql"] for each in queries.captured_queries if "COUNT(*)" in each["sql"]]
    assert "LIMIT 21" in counts


def test_invitations_go_on_by_a_cursor_as_well(few_are_counted: int, api: APIClient, alice: User) -> None:
    Invitation.objects.bulk_create(Invitation(digest=str(n), by=alice) for n in range(22))
    page = api.get("/api/v1/auth/invitations/?page_size=20").json()
    assert page["count_is_capped"]
    assert len(api.get(page["next"]).json()["results"]) == 2


@pytest.mark.parametrize(
    ("page", "status"), [("last", 200), ("10", 200), ("11", 404), ("x", 404), ("9" * 5000, 404)]
)
def test_a_page_that_is_not_there_is_404_where_all_are_counted(
    api: APIClient, newest_first: list[int], page: str, status: int
) -> None:
    assert api.get(f"{COMPANIES}?page={page}&page_size=5").status_code == status


def test_invitations_of_other_teams_are_not_read(api: APIClient, alice: User, charlie: User) -> None:
    """Joined to their teams they were, from the newest on: a stranger's many made everybody's list slow."""
    Invitation.objects.create(digest="Alice's", by=alice)
    Invitation.objects.bulk_create(Invitation(digest=str(n), by=charlie) for n in range(2000))
    with CaptureQueriesContext(connection) as queries, connection.cursor() as cursor:
        cursor.execute("ANALYZE authentication_invitation, authentication_user")
        api.get("/api/v1/auth/invitations/")
        asked = [
            each["sql"] for each in queries.captured_queries if '"authentication_invitation"' in each["sql"]
        ]
        read = 0
        for statement in asked:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
            [[[plan]]] = cursor.fetchall()
            read += sum(rows_read(plan["Plan"]))
    assert len(asked) == 2  # they are counted, and read
    assert read < 10


def rows_read(plan: dict[str, Any]) -> list[int]:
    """The rows that each scan of the table has met."""
    below = [read for each in plan.get("Plans", ()) for read in rows_read(each)]
    is_one = plan.get("Relation Name") == "authentication_invitation"
    return [*below, plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)] if is_one else below
