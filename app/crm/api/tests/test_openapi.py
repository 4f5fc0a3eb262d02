"""docs/openapi.yaml: what it says of the API. That it is true is shown by `make fuzz`."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from crm.api.openapi import Operation, document
from crm.probe.views import Probe

FILE = Path(__file__).resolve().parents[4] / "docs/openapi.yaml"


@pytest.fixture(scope="module")
def said() -> str:
    return document()


@pytest.fixture(scope="module")
def operations(said: str) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in yaml.safe_load(said)["paths"].items()
        for method, operation in methods.items()
    }


def test_it_is_what_the_views_say(said: str) -> None:
    assert FILE.read_text(encoding="utf-8") == said, "docs/openapi.yaml is stale: make generated"


def test_it_is_about_the_api_alone(operations: dict[str, Any]) -> None:
    assert {name.split("/")[1] for name in operations} == {"api"}


@pytest.mark.parametrize(
    ("operation", "statuses"),
    [
        ("GET /api/v1/deals/", "200 400 401 404 406 414 431 503"),
        ("POST /api/v1/deals/", "201 400 401 406 409 413 414 415 431 503"),
        ("PATCH /api/v1/deals/{id}/", "200 400 401 403 404 406 409 413 414 415 431 503"),
        ("DELETE /api/v1/deals/{id}/", "204 400 401 403 404 406 409 414 431 503"),
        ("POST /api/v1/auth/token/", "200 400 401 406 409 413 414 415 429 431 503"),
        ("POST /api/v1/auth/register/", "201 400 406 409 413 414 415 429 431 503"),
    ],
)
def test_an_operation_names_every_answer(operations: dict[str, Any], operation: str, statuses: str) -> None:
    assert sorted(operations[operation]["responses"]) == statuses.split()


def test_who_is_asked_to_wait_is_told_so_where_requests_are_limited(operations: dict[str, Any]) -> None:
    limited = [name for name, each in operations.items() if "429" in each["responses"]]
    assert limited == [
        "POST /api/v1/auth/invitations/",
        "POST /api/v1/auth/register/",
        "POST /api/v1/auth/token/",
        "POST /api/v1/auth/token/refresh/",
        "POST /api/v1/users/me/email-proof/",
    ]


def test_a_view_that_does_not_say_what_it_answers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Probe, "schema", Operation())
    with pytest.raises(RuntimeError, match="annotate those views"):
        document()
