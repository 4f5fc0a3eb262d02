"""The templates as documents: what Argo Rollouts would refuse, and what it would accept but nobody wants."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from tests.analysis.templates import Template

GATES = ("error-rate", "latency")
WATCHED = (
    "worker-failures",
    "business",
    "conversion",
    "saturation",
    "regression",
    "answers",
)  # and never a gate
WATCHES = ("error-rate-watch", "latency-watch", "health-watch", *(f"{name}-watch" for name in WATCHED))


def test_these_questions_exist(templates: dict[str, Template]) -> None:
    assert sorted(templates) == sorted([*GATES, *WATCHES, "regression-preview", "security", "weight"])


@pytest.mark.parametrize("name", [*GATES, *WATCHES])
def test_argo_rollouts_accepts_it(templates: dict[str, Template], name: str) -> None:
    template = templates[name]
    assert template.refusals() == []
    assert template.metric["successCondition"]
    assert template.metric["failureCondition"]
    intervals = {
        "health-watch": "10s",
        "saturation-watch": "10s",
        "regression-watch": "2s",
        "answers-watch": "2s",
    }
    assert template.metric["interval"] == intervals.get(name, "3s")
    assert template.metric["name"] == name, "the metric's name is what `kubectl argo rollouts get` shows"


@pytest.mark.parametrize("name", [*GATES, *WATCHES])
def test_arguments_are_declared_and_used(templates: dict[str, Template], name: str) -> None:
    template = templates[name]
    used = set(re.findall(r"\{\{\s*args\.([\w-]+)\s*\}\}", str(template.document)))
    assert used == template.args
    assert "{{" not in re.sub(r"\{\{\s*args\.[\w-]+\s*\}\}", "", str(template.document))


@pytest.mark.parametrize("name", GATES)
def test_a_gate_ends(templates: dict[str, Template], name: str) -> None:
    """Argo Rollouts refuses a gate without a count as one that "runs indefinitely"."""
    metric = templates[name].metric
    assert metric["count"] == 100
    assert metric["inconclusiveLimit"] == 99, "the last look exceeds it, and the rollout pauses for a person"
    assert metric["consecutiveSuccessLimit"] == 1
    assert metric["failureLimit"] == 0
    assert metric["initialDelay"] == "5s"


@pytest.mark.parametrize("name", WATCHES)
def test_a_watch_looks_from_the_start_to_the_end(templates: dict[str, Template], name: str) -> None:
    metric = templates[name].metric
    assert not {"count", "initialDelay", "consecutiveSuccessLimit"} & set(metric)
    assert metric.get("failureLimit", 0) == (5 if name == "health-watch" else 0)


@pytest.mark.parametrize("name", [each for each in (*GATES, *WATCHES) if each != "health-watch"])
def test_silence_aborts_after_about_a_minute(templates: dict[str, Template], name: str) -> None:
    """Argo Rollouts asks again 10 s after an error, and aborts with the first beyond the limit."""
    metric = templates[name].metric
    provider = metric["provider"]
    timeout = provider["web"]["timeoutSeconds"] if "web" in provider else provider["prometheus"]["timeout"]
    retries = metric["consecutiveErrorLimit"]
    refused, silent = 10 * retries, 10 * retries + timeout * (retries + 1)
    assert 45 <= refused <= silent <= 90


@pytest.mark.parametrize("name", [*GATES, "error-rate-watch", "latency-watch"])
def test_only_the_releases_own_series_are_asked_for(templates: dict[str, Template], name: str) -> None:
    selectors = re.findall(r"crm:verdict_\w+\{(.*?\}\}.*?)\}", templates[name].query)
    assert len(selectors) == templates[name].query.count("crm:verdict_")
    for selector in selectors:
        assert 'namespace="crm-production"' in selector
        assert re.search(r'rollouts_pod_template_hash="\{\{args\.(canary|stable)-hash\}\}"', selector)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"inconclusiveLimit": 101}, "count must be >= inconclusiveLimit"),
        (
            {"count": 1, "inconclusiveLimit": 0, "failureLimit": 1},
            "count must be >= failureLimit + consecutiveSuccessLimit",
        ),
        ({"interval": ""}, "interval must be specified when count > 1"),
        (
            {"failureLimit": -1, "consecutiveSuccessLimit": 0},
            "failureLimit and consecutiveSuccessLimit cannot both be disabled",
        ),
    ],
)
def test_the_lint_sees_what_argo_rollouts_refuses(
    templates: dict[str, Template], change: dict[str, Any], refusal: str
) -> None:
    document = copy.deepcopy(templates["error-rate"].document)
    document["spec"]["metrics"][0].update(change)
    assert Template(document).refusals() == [refusal]
