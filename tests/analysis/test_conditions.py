"""What Argo Rollouts makes of an answer: each template's conditions on every kind of result.

The conditions are evaluated here by a small stand-in for expr-lang that refuses whatever it could get wrong
(templates.holds). Its answers below were once compared with expr-lang v1.17.8 itself, and the drills on the
cluster exercise the controller's own reading.
"""

from __future__ import annotations

import math

import pytest

from tests.analysis.templates import Template, holds

GATES = ("error-rate", "latency")
NAN = math.nan
BELOW, ABOVE = -0.001, 0.001


@pytest.mark.parametrize("name", GATES)
def test_the_limits_are_a_chance_of_one_in_a_hundred(templates: dict[str, Template], name: str) -> None:
    gate, watch = templates[name], templates[f"{name}-watch"]
    assert gate.limit_bad == watch.limit_bad == round(math.log(100), 1)
    assert gate.limit_fine == -gate.limit_bad
    assert watch.limit_watched == gate.limit_bad
    assert set(gate.limits_in_query) == {gate.limit_bad}


@pytest.mark.parametrize("name", GATES)
@pytest.mark.parametrize(
    ("result", "gate", "watch"),
    [
        ([], "Inconclusive", "Successful"),
        ([NAN], "Inconclusive", "Successful"),
        ([0.0], "Inconclusive", "Successful"),
        ([4.6 + BELOW], "Inconclusive", "Successful"),
        ([4.6], "Failed", "Failed"),
        ([4.6 + ABOVE], "Failed", "Failed"),
        ([100.0], "Failed", "Failed"),
        ([-4.6 + ABOVE], "Inconclusive", "Successful"),
        ([-4.6], "Successful", "Successful"),
        ([-100.0], "Successful", "Successful"),
    ],
)
def test_what_follows_from_an_answer(
    templates: dict[str, Template], name: str, result: list[float], gate: str, watch: str
) -> None:
    assert templates[name].phase(result) == gate
    assert templates[f"{name}-watch"].phase(result) == watch


def test_a_condition_without_its_guard_is_noticed() -> None:
    with pytest.raises(IndexError):
        holds("result[0] >= 4.6", [])


def test_a_condition_that_the_stand_in_cannot_judge_is_refused() -> None:
    with pytest.raises(AssertionError, match="ListComp"):
        holds("[x for x in result]", [])
