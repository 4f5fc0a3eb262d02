"""What `make fuzz` takes for a violation: an answer of a server that is not ours, held against our document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from pipeline.fuzz.answers import Asker, strangers_in
from pipeline.fuzz.corpus import Request, requests
from pipeline.fuzz.people import Caller

ALICE = Caller("alice", {"Authorization": "Bearer alice"}, frozenset({1, 2}))
NOBODY = Caller("nobody")
ERROR = {"error": {"code": "not_found", "message": "There is no such thing.", "request_id": "1"}}
COMPANY = {"id": 7, "name": "Acme", "website": "", "phone": "", "owner": 1}
COMPANY |= {"created_at": "2026-11-30T12:00:00Z", "updated_at": "2026-11-30T12:00:00Z"}
ONE = Request("GET", "/api/v1/companies/7/", operation="/api/v1/companies/{id}/")
ELSEWHERE = Request("GET", "/nowhere/")


@pytest.fixture
def asker() -> Iterator[Asker]:
    with Asker("http://127.0.0.1:1") as asker:
        yield asker


def answer_to_all(
    asker: Asker, status: int, text: str, content_type: str = "application/json"
) -> list[httpx.Request]:
    """Let the asker be answered this, and nobody else asked; what it has sent."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        sent.append(request)
        response = httpx.Response(status, text=text, headers={"Content-Type": content_type})
        response.elapsed = timedelta()
        return response

    asker._client = httpx.Client(base_url="http://127.0.0.1:1", transport=httpx.MockTransport(answer))
    return sent


def violations(
    asker: Asker, request: Request, status: int, body: Any, content_type: str = "application/json"
) -> str:
    """What is said of this answer to that request of Alice's."""
    answer_to_all(asker, status, body if isinstance(body, str) else json.dumps(body), content_type)
    return "\n".join(asker.ask(ALICE, request).violations)


def test_an_answer_that_keeps_to_the_document_is_none(asker: Asker) -> None:
    assert violations(asker, ONE, 200, COMPANY) == ""
    assert violations(asker, ONE, 404, ERROR) == ""
    assert violations(asker, ELSEWHERE, 404, ERROR) == ""


@pytest.mark.parametrize(
    ("request_", "status", "body", "content_type", "said"),
    [
        (ONE, 500, ERROR, "application/json", "an error of ours"),
        (ONE, 418, ERROR, "application/json", "Undocumented"),
        (ONE, 200, COMPANY | {"owner": "alice"}, "application/json", "schema"),
        (ONE, 200, {"id": 7}, "application/json", "schema"),
        (ONE, 404, {"detail": "Not found."}, "application/json", "schema"),
        (ONE, 404, "<p>Not found.</p>", "text/html", "Content-Type"),
        (ONE, 401, ERROR, "application/json", "header"),
        (ELSEWHERE, 404, "<p>Not found.</p>", "text/html", "an error as text/html"),
        (ELSEWHERE, 404, {"detail": "Not found."}, "application/json", "'error' is a required property"),
        (ONE, 200, COMPANY | {"owner": 3}, "application/json", "it shows {3}"),
    ],
)
def test_what_is_a_violation(
    asker: Asker, request_: Request, status: int, body: Any, content_type: str, said: str
) -> None:
    told = violations(asker, request_, status, body, content_type)
    assert said.lower() in told.lower()
    assert told.startswith("As alice: curl -X GET http://127.0.0.1:1/")


def test_whoever_is_shown_another_teams_record_or_may_change_it_is_told(asker: Asker) -> None:
    answer_to_all(asker, 200, json.dumps(COMPANY))
    found = asker.try_what_another_team_has(ALICE, {"companies": [7]})
    wrong = [told for told in found.violations if told.endswith("404 is expected")]
    assert [told.split()[4] for told in wrong] == ["DELETE", "GET", "PATCH"]


@pytest.mark.parametrize(
    ("body", "strangers"),
    [
        ('{"results": [{"owner": 1}, {"owner": 2}]}', set()),
        ('{"results": [{"owner": 1}, {"owner": 4}]}', {4}),
        ('{"by": 5}', {5}),
        ('{"by": "charlie"}', set()),
        ("no JSON", set()),
    ],
)
def test_whose_records_an_answer_shows(body: str, strangers: set[int]) -> None:
    assert strangers_in(ALICE, 200, body) == strangers
    assert strangers_in(ALICE, 404, body) == strangers_in(NOBODY, 200, body) == set()


def test_the_corpus_is_sent_as_it_is(asker: Asker) -> None:
    sent, corpus = answer_to_all(asker, 404, json.dumps(ERROR)), list(requests())
    for each in corpus:
        asker.ask(NOBODY, each)
    bodies = [each.body if isinstance(each.body, bytes) else b"".join(each.body) for each in corpus]
    assert [(each.method, each.content) for each in sent] == [
        (each.method, body) for each, body in zip(corpus, bodies, strict=True)
    ]
    assert len(corpus) > 300
