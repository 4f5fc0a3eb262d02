import json
import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction
from django.http import Http404
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks
from rest_framework.test import APIClient

from crm.authentication.models import User
from crm.deals.api.serializers import DealChangeSerializer
from crm.deals.models import Deal, Pipeline, Stage, StageChange
from crm.deals.services import DealGone, create_deal, move_deal
from crm.metrics.business import DEAL_CONVERSIONS, DEALS_CREATED
from crm.notifications.models import Email


@pytest.fixture
def deal(alice: User, sales: Pipeline) -> Deal:
    return create_deal(by=alice, pipeline=sales, title="Big one", amount=1000)


def conversions() -> float:
    return float(DEAL_CONVERSIONS.labels(pipeline="Sales")._value.get())


def test_a_fresh_database_has_the_sales_pipeline(api: APIClient, sales: Pipeline) -> None:
    [pipeline] = api.get("/api/v1/pipelines/").json()["results"]
    assert pipeline["name"] == "Sales"
    assert [stage["name"] for stage in pipeline["stages"]] == ["Lead", "Qualified", "Proposal", "Won", "Lost"]
    assert [stage["name"] for stage in pipeline["stages"] if stage["is_won"]] == ["Won"]
    assert [stage["name"] for stage in pipeline["stages"] if stage["is_lost"]] == ["Lost"]


def test_a_new_deal_is_in_the_first_stage(api: APIClient, sales: Pipeline) -> None:
    answer = api.post("/api/v1/deals/", {"title": "Big one", "pipeline": sales.pk, "amount": "10.50"})
    assert answer.status_code == 201, answer.json()
    assert answer.json()["stage_name"] == "Lead"
    assert answer.json()["status"] == "open"
    assert answer.json()["currency"] == "EUR"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": "-1"}, "amount"),
        ({"amount": None}, "amount"),
        ({"amount": "1e99"}, "amount"),
        ({"currency": "euro"}, "currency"),
        ({"currency": "EU\n"}, "currency"),
        ({"currency": "ABC"}, "currency"),
        ({"pipeline": 0}, "pipeline"),
        ({"title": ""}, "title"),
        ({"stage": 0}, "stage"),
        ({"stage": True}, "stage"),
        ({"pipeline": 1.7}, "pipeline"),
        ({"pipeline": "1_000"}, "pipeline"),
        ({"pipeline": 10**30}, "pipeline"),
        ({"contact": "\u0661"}, "contact"),  # 1 in Arabic
        ({"company": []}, "company"),
        ({"amount": "1_000"}, "amount"),
        ({"amount": True}, "amount"),
    ],
)
def test_a_bad_deal_is_refused(
    api: APIClient, sales: Pipeline, change: dict[str, object], field: str
) -> None:
    answer = api.post("/api/v1/deals/", {"title": "Big", "pipeline": sales.pk, "amount": "1"} | change)
    assert answer.status_code == 400
    assert list(answer.json()["error"]["fields"]) == [field]


def test_an_amount_is_never_minus_zero(api: APIClient, sales: Pipeline) -> None:
    answer = api.post("/api/v1/deals/", {"title": "Big", "pipeline": sales.pk, "amount": "-0.00"})
    assert answer.json()["amount"] == "0.00"


@pytest.mark.parametrize("field", ["pipeline", "stage", "contact", "company", "amount"])
def test_a_number_beyond_all_numbers_is_refused(api: APIClient, sales: Pipeline, field: str) -> None:
    body = json.dumps({"title": "Big", "pipeline": sales.pk, "amount": 1, field: "huge"})
    answer = api.post("/api/v1/deals/", body.replace('"huge"', "1e400"), content_type="application/json")
    assert answer.status_code == 400
    assert list(answer.json()["error"]["fields"]) == [field]


@pytest.mark.parametrize("key", ["OWN", "%D9%A1", "1.0", "9" * 5000, "9" * 20, "-1", "%00"])
def test_an_address_with_a_strange_key_is_nowhere(api: APIClient, deal: Deal, key: str) -> None:
    key = key.replace("OWN", "_".join(f"{deal.pk:02}"))
    for path in (f"/api/v1/deals/{key}/", f"/api/v1/deals/{key}/history/", f"/api/v1/pipelines/{key}/"):
        assert api.get(path).status_code == 404


def test_a_deal_moves_and_its_history_tells(api: APIClient, deal: Deal, stages: dict[str, Stage]) -> None:
    answer = api.post(f"/api/v1/deals/{deal.pk}/move/", {"stage": stages["Won"].pk})
    assert answer.status_code == 200
    assert answer.json()["status"] == "won"
    history = api.get(f"/api/v1/deals/{deal.pk}/history/").json()
    entered = [(row["from_stage"] and row["from_stage"]["name"], row["to_stage"]["name"]) for row in history]
    assert entered == [(None, "Lead"), ("Lead", "Won")]
    assert {row["by"] for row in history} == {"alice"}


def test_a_move_to_where_the_deal_is_changes_nothing(
    api: APIClient, deal: Deal, stages: dict[str, Stage]
) -> None:
    assert api.post(f"/api/v1/deals/{deal.pk}/move/", {"stage": stages["Lead"].pk}).status_code == 200
    assert StageChange.objects.count() == 1


def test_a_stage_of_another_pipeline_is_refused(api: APIClient, deal: Deal, sales: Pipeline) -> None:
    other = Pipeline.objects.create(name="Other").stages.create(name="Lead", position=1)
    moved = api.post(f"/api/v1/deals/{deal.pk}/move/", {"stage": other.pk})
    assert moved.status_code == 400
    assert moved.json()["error"]["code"] == "stage_not_in_pipeline"
    created = api.post(
        "/api/v1/deals/", {"title": "Big", "pipeline": sales.pk, "stage": other.pk, "amount": "1"}
    )
    assert created.status_code == 400
    assert list(created.json()["error"]["fields"]) == ["stage"]


def test_a_pipeline_without_stages_takes_no_deal(api: APIClient) -> None:
    empty = Pipeline.objects.create(name="Empty")
    answer = api.post("/api/v1/deals/", {"title": "Big", "pipeline": empty.pk, "amount": "1"})
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "pipeline_has_no_stages"


def test_a_change_leaves_stage_and_pipeline_alone(
    api: APIClient, deal: Deal, stages: dict[str, Stage]
) -> None:
    read = api.get(f"/api/v1/deals/{deal.pk}/").json()
    answer = api.patch(f"/api/v1/deals/{deal.pk}/", read | {"title": "Bigger"})
    assert (answer.status_code, answer.json()["title"], answer.json()["stage_name"]) == (
        200,
        "Bigger",
        "Lead",
    )


def test_a_change_of_the_stage_is_told_to_be_a_move(
    api: APIClient, deal: Deal, stages: dict[str, Stage]
) -> None:
    other = Pipeline.objects.create(name="Other")
    for name, value in (("stage", stages["Won"].pk), ("pipeline", other.pk)):
        answer = api.patch(f"/api/v1/deals/{deal.pk}/", {"title": "Bigger", name: value})
        assert answer.status_code == 400
        assert list(answer.json()["error"]["fields"]) == [name]
    deal.refresh_from_db()
    assert (deal.title, deal.stage.name) == ("Big one", "Lead")


@pytest.mark.parametrize("who", ["bob", "charlie"])
def test_only_the_owner_moves_a_deal(
    who: str,
    deal: Deal,
    stages: dict[str, Stage],
    bob: User,
    charlie: User,
    as_user: Callable[[User], APIClient],
) -> None:
    user = {"bob": bob, "charlie": charlie}[who]
    answer = as_user(user).post(f"/api/v1/deals/{deal.pk}/move/", {"stage": stages["Won"].pk})
    assert answer.status_code == {"bob": 403, "charlie": 404}[who]


@pytest.mark.parametrize("kept", [True, False])
def test_a_new_deal_counts_once_it_is_committed(
    alice: User,
    sales: Pipeline,
    *,
    kept: bool,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    before = DEALS_CREATED._value.get()
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        create_deal(by=alice, pipeline=sales, title="Big one", amount=1000)
        assert DEALS_CREATED._value.get() == before
        transaction.set_rollback(not kept)
    assert DEALS_CREATED._value.get() == before + kept


def test_a_won_deal_counts_once_it_is_committed(
    alice: User,
    deal: Deal,
    stages: dict[str, Stage],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    before = conversions()
    with django_capture_on_commit_callbacks() as callbacks:
        move_deal(deal=deal, to=stages["Won"], by=alice)
        assert conversions() == before
    callbacks[-1]()
    assert conversions() == before + 1
    with django_capture_on_commit_callbacks() as callbacks:
        move_deal(deal=deal, to=stages["Lost"], by=alice)
    assert callbacks == []


def test_a_deal_that_is_won_again_is_no_second_win(
    alice: User,
    deal: Deal,
    stages: dict[str, Stage],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    before = conversions()
    with django_capture_on_commit_callbacks(execute=True):
        for name in ("Won", "Lost", "Won", "Lead", "Won"):
            deal = move_deal(deal=deal, to=stages[name], by=alice)
    assert conversions() == before + 1
    assert Email.objects.count() == 1
    assert StageChange.objects.count() == 6


def test_a_deal_that_a_version_before_has_announced_is_not_announced_again(
    alice: User, deal: Deal, stages: dict[str, Stage]
) -> None:
    StageChange.objects.create(deal=deal, from_stage=stages["Lead"], to_stage=stages["Won"], by=alice)
    move_deal(deal=deal, to=stages["Won"], by=alice)
    assert not Email.objects.exists()


def test_the_database_keeps_a_win_from_being_announced_twice(
    alice: User,
    deal: Deal,
    stages: dict[str, Stage],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    """As when the history of a deal does not tell."""
    before = conversions()
    with django_capture_on_commit_callbacks(execute=True):
        deal = move_deal(deal=deal, to=stages["Won"], by=alice)
        deal = move_deal(deal=deal, to=stages["Lost"], by=alice)
        StageChange.objects.all().delete()
        move_deal(deal=deal, to=stages["Won"], by=alice)
    assert (conversions(), Email.objects.count()) == (before + 1, 1)


@pytest.mark.django_db(transaction=True)
def test_two_moves_at_the_same_moment_win_the_deal_once(
    alice: User, deal: Deal, stages: dict[str, Stage]
) -> None:
    together = threading.Barrier(4)

    def move() -> None:
        try:
            together.wait()
            move_deal(deal=deal, to=stages["Won"], by=alice)
        finally:
            connection.close()

    movers = [threading.Thread(target=move) for _ in range(4)]
    for mover in movers:
        mover.start()
    for mover in movers:
        mover.join()
    assert [str(change) for change in StageChange.objects.all()] == ["None → Lead", "Lead → Won"]
    assert Email.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_moves_to_and_fro_at_the_same_moment_win_the_deal_once(
    alice: User, deal: Deal, stages: dict[str, Stage]
) -> None:
    together = threading.Barrier(4)
    before = conversions()

    def move(to: Stage) -> None:
        try:
            together.wait()
            for name in (to, stages["Lead"], to):
                move_deal(deal=deal, to=name, by=alice)
        finally:
            connection.close()

    also_won = stages["Won"].pipeline.stages.create(name="Won by fax", position=9, is_won=True)
    movers = [threading.Thread(target=move, args=(to,)) for to in (stages["Won"], also_won) * 2]
    for mover in movers:
        mover.start()
    for mover in movers:
        mover.join()
    assert (conversions(), Email.objects.count()) == (before + 1, 1)


@pytest.mark.parametrize("rows", [1, 20])
@pytest.mark.parametrize(
    ("address", "queries"),
    [
        ("/api/v1/deals/", 3),  # user, count, page
        ("/api/v1/contacts/", 3),
        ("/api/v1/companies/", 3),
        ("/api/v1/pipelines/", 4),  # and the stages
    ],
)
def test_a_list_takes_as_many_queries_for_20_rows_as_for_one(
    api: APIClient,
    alice: User,
    sales: Pipeline,
    django_assert_num_queries: DjangoAssertNumQueries,
    address: str,
    queries: int,
    rows: int,
) -> None:
    for n in range(rows):
        company = api.post("/api/v1/companies/", {"name": f"Company {n}"}).json()["id"]
        contact = api.post("/api/v1/contacts/", {"last_name": "Doe", "company": company}).json()["id"]
        create_deal(by=alice, pipeline=sales, title="Big", amount=1, contact_id=contact, company_id=company)
        Pipeline.objects.create(name=f"Pipeline {n}").stages.create(name="Lead", position=1)
    with django_assert_num_queries(queries):
        assert api.get(address).json()["count"] >= rows


def test_the_history_takes_three_queries(
    api: APIClient,
    alice: User,
    deal: Deal,
    stages: dict[str, Stage],
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    for name in ("Qualified", "Proposal", "Lead"):
        move_deal(deal=deal, to=stages[name], by=alice)
    with django_assert_num_queries(3):  # user, deal, changes
        assert len(api.get(f"/api/v1/deals/{deal.pk}/history/").json()) == 4


def test_a_change_does_not_undo_a_move_that_happened_meanwhile(
    alice: User, deal: Deal, stages: dict[str, Stage]
) -> None:
    read_before = Deal.objects.get(pk=deal.pk)
    move_deal(deal=deal, to=stages["Proposal"], by=alice)
    sent_back = {"title": "Bigger", "stage": read_before.stage_id, "pipeline": read_before.pipeline_id}
    change = DealChangeSerializer(read_before, data=sent_back, partial=True)
    change.is_valid(raise_exception=True)
    change.save()
    deal.refresh_from_db()
    assert (deal.title, deal.stage) == ("Bigger", stages["Proposal"])


def test_a_deal_that_is_deleted_meanwhile_is_gone(alice: User, deal: Deal, stages: dict[str, Stage]) -> None:
    Deal.objects.all().delete()
    with pytest.raises(DealGone):
        move_deal(deal=deal, to=stages["Won"], by=alice)
    change = DealChangeSerializer(deal, data={"title": "Bigger"}, partial=True)
    change.is_valid(raise_exception=True)
    with pytest.raises(Http404):
        change.save()
