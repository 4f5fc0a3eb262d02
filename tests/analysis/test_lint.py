"""The lint finds each defect that somebody may write, and none in what is shipped."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from tests.analysis.lint import defects

if TYPE_CHECKING:
    from tests.analysis.templates import Template

UNGUARDED_DIVISOR = 'sum(errors{namespace="a/b"}[2m]) / sum(increase(requests{status!="500"}[2m]))'


def changed(template: Template, **metric: Any) -> dict[str, Any]:
    document = copy.deepcopy(template.document)
    document["spec"]["metrics"][0].update(metric)
    return document


def asking(template: Template, query: str) -> dict[str, Any]:
    document = changed(template)
    document["spec"]["metrics"][0]["provider"]["prometheus"]["query"] = query
    document["spec"]["args"] = []
    return document


def test_every_metric_is_looked_at(templates: dict[str, Template]) -> None:
    document = changed(templates["error-rate"])
    document["spec"]["metrics"].append({**document["spec"]["metrics"][0], "failureCondition": ""})
    assert defects(document) == ["failureCondition is missing: say what is good and what is bad."]


def test_what_is_shipped_has_no_defect(templates: dict[str, Template]) -> None:
    assert {name: found for name, each in templates.items() if (found := defects(each.document))} == {}


@pytest.mark.parametrize(
    ("name", "change", "finds"),
    [
        ("error-rate", {"successCondition": ""}, "successCondition is missing"),
        ("health-watch", {"failureCondition": None}, "failureCondition is missing"),
        ("error-rate", {"successCondition": "result[0] <= -4.6"}, "successCondition does not guard"),
        (
            "latency-watch",
            {"failureCondition": "result[0] >= 4.6"},
            "failureCondition does not guard",
        ),
        (
            "error-rate",
            {"successCondition": "len(result) == 0 || result[0] <= -4.6"},
            "[] is a success: a gate must not promote",
        ),
        (
            "error-rate",
            {"successCondition": "len(result) > 0 && !(result[0] >= 4.6)"},
            "[nan] is a success: a gate must not promote",
        ),
        (
            "error-rate",
            {"failureCondition": "len(result) == 0 || result[0] >= 4.6"},
            "[] is a failure",
        ),
        (
            "business-watch",
            {"failureCondition": "len(result) > 0 && !(result[0] < 4.6)"},
            "[nan] is a failure",
        ),
        (
            "saturation-watch",
            {"successCondition": "len(result) == 0 || result[0] < 0.4"},
            "is Inconclusive, which pauses",
        ),
        (
            "business-watch",
            {"successCondition": "len(result) == 0 || !(result[0] > 4.6)"},
            "[4.6] is a success and a failure",
        ),
        ("error-rate", {"count": 0, "inconclusiveLimit": 0}, "A gate without count runs for ever"),
        ("error-rate", {"inconclusiveLimit": 3}, "inconclusiveLimit is 3: set it to count - 1"),
        ("error-rate", {"inconclusiveLimit": 101}, "count must be >= inconclusiveLimit"),
        ("error-rate-watch", {"count": 5}, "A watch lasts as long as the rollout"),
    ],
)
def test_a_defect_in_the_metric_is_found(
    templates: dict[str, Template], name: str, change: dict[str, Any], finds: str
) -> None:
    assert any(finds in found for found in defects(changed(templates[name], **change)))


@pytest.mark.parametrize(
    ("args", "finds"),
    [
        ([], "The argument canary-hash is used and not declared"),
        (
            ["canary-hash", "stable-hash", "weight"],
            "The argument weight is declared and not used",
        ),
        (["canary-hash", "stable-hash", "colour"], "The argument colour is given by nobody"),
    ],
)
def test_a_defect_in_the_arguments_is_found(
    templates: dict[str, Template], args: list[str], finds: str
) -> None:
    document = changed(templates["error-rate"])
    document["spec"]["args"] = [{"name": name} for name in args]
    assert any(finds in found for found in defects(document))


@pytest.mark.parametrize(
    ("query", "divisor"),
    [
        (UNGUARDED_DIVISOR, "sum(increase(requests))"),
        ("errors / requests", "requests"),
        ("errors / (requests > bool 0)", "(requests > bool 0)"),
        ("(errors / on () (sum(requests) > 5)) / sum(all)", "sum(all)"),
    ],
)
def test_an_unguarded_division_is_found(templates: dict[str, Template], query: str, divisor: str) -> None:
    found = defects(asking(templates["business-watch"], query))
    assert any(each.startswith(f"The division by `{divisor}` is unguarded") for each in found), found


@pytest.mark.parametrize(
    "query",
    [
        "errors / 100",
        "errors / (sum(requests) >= 50)",
        "a / (sum(b) and sum(c) > 1)",
        "a / on (pod) group_left () (b > 0)",
        'x{path="/"}',
    ],
)
def test_a_guarded_division_is_none(templates: dict[str, Template], query: str) -> None:
    assert defects(asking(templates["business-watch"], query)) == []
