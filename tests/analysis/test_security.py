"""The question security: what follows from the guard's three answers, and from none."""

from __future__ import annotations

import re
from typing import Any

import pytest

from delivery.guard.image_policy import BAD, FINE, UNKNOWN
from tests.analysis.templates import Template, holds


@pytest.fixture(scope="module")
def metrics(templates: dict[str, Template]) -> dict[str, Template]:
    """Its two metrics, each as a template of its own."""
    spec = templates["security"].document["spec"]
    return {
        metric["name"]: Template({"spec": {"args": spec["args"], "metrics": [metric]}})
        for metric in spec["metrics"]
    }


def phase(template: Template, verdict: str) -> str:
    """The phase of one answer; the stand-in for expr-lang knows lists only."""
    answer: Any = [verdict]
    success, failure = (
        holds(template.metric[f"{name}Condition"].replace("result.verdict", "result[0]"), answer)
        for name in ("success", "failure")
    )
    return "Failed" if failure else "Successful" if success else "Inconclusive"


@pytest.mark.parametrize(
    ("verdict", "security", "scanned"),
    [
        (FINE, "Successful", "Successful"),
        (BAD, "Failed", "Failed"),
        (UNKNOWN, "Successful", "Failed"),
        ("", "Inconclusive", "Failed"),
        ("perhaps", "Inconclusive", "Failed"),
    ],
)
def test_only_fine_passes_both(
    metrics: dict[str, Template], verdict: str, security: str, scanned: str
) -> None:
    assert phase(metrics["security"], verdict) == security
    assert phase(metrics["scanned"], verdict) == scanned


def test_argo_rollouts_accepts_both(metrics: dict[str, Template]) -> None:
    assert list(metrics) == ["security", "scanned"]
    assert not [refusal for template in metrics.values() for refusal in template.refusals()]


def test_bad_aborts_at_once(metrics: dict[str, Template]) -> None:
    assert metrics["security"].metric["failureLimit"] == 0


def test_unknown_is_asked_again_for_about_a_minute(metrics: dict[str, Template]) -> None:
    metric = metrics["scanned"].metric
    assert (metric["failureLimit"] + 1, metric["interval"]) == (6, "10s"), "the 6th answer aborts"
    assert metric["count"] == 6
    assert metric["consecutiveSuccessLimit"] == 1, "a result that arrives meanwhile lets the release go on"


@pytest.mark.parametrize("name", ["security", "scanned"])
def test_a_guard_that_is_away_aborts_after_about_a_minute(metrics: dict[str, Template], name: str) -> None:
    metric = metrics[name].metric
    retries, timeout = metric["consecutiveErrorLimit"], metric["provider"]["web"]["timeoutSeconds"]
    assert 45 <= 10 * retries <= 10 * retries + timeout * (retries + 1) <= 90


def test_it_asks_the_guard_about_the_image_that_it_is_given(templates: dict[str, Template]) -> None:
    template = templates["security"]
    (url,) = {metric["provider"]["web"]["url"] for metric in template.document["spec"]["metrics"]}
    assert url == "http://guard.test:8080/verdicts/security?image={{args.image}}"
    assert set(re.findall(r"\{\{args\.([\w-]+)\}\}", str(template.document))) == template.args == {"image"}
