"""The question health: what follows from the three answers of `delivery verdicts`, and from none."""

from __future__ import annotations

import pytest

from delivery.guard.health import SECONDS
from delivery.guard.image_policy import BAD, FINE, UNKNOWN
from tests.analysis.templates import Template, holds


def phase(template: Template, verdict: str) -> str:
    """The phase of one answer; the stand-in for expr-lang knows lists only."""
    success, failure = (
        holds(template.metric[f"{name}Condition"].replace("result.verdict", "result[0]"), [verdict])  # type: ignore[list-item]
        for name in ("success", "failure")
    )
    return "Failed" if failure else "Successful" if success else "Inconclusive"


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [(FINE, "Successful"), (UNKNOWN, "Successful"), (BAD, "Failed"), ("", "Inconclusive")],
)
def test_only_bad_counts_against_a_release(
    templates: dict[str, Template], verdict: str, expected: str
) -> None:
    assert phase(templates["health-watch"], verdict) == expected


def test_bad_aborts_after_about_a_minute(templates: dict[str, Template]) -> None:
    metric = templates["health-watch"].metric
    pauses = metric["failureLimit"] * int(metric["interval"].removesuffix("s"))
    assert 45 <= pauses <= pauses + 2 * SECONDS * (metric["failureLimit"] + 1) <= 90, (
        "of a canary that is silent"
    )
    assert metric["provider"]["web"]["timeoutSeconds"] > 3 * SECONDS


def test_where_nobody_answers_no_release_is_aborted(templates: dict[str, Template]) -> None:
    """Argo Rollouts asks again 10 s after an error: for more than a hundred days."""
    assert templates["health-watch"].metric["consecutiveErrorLimit"] == 1_000_000


def test_it_asks_about_its_own_namespace(templates: dict[str, Template]) -> None:
    url = templates["health-watch"].metric["provider"]["web"]["url"]
    assert url == "http://guard.test:8080/verdicts/health?namespace=crm-production&name=crm"
