"""The weight witness: an honest router passes, one that lies holds the rollout, and nothing ever fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.analysis.promtool import Pod, Promtool, near, nothing

if TYPE_CHECKING:
    from tests.analysis.templates import Template

NEW, OLD = "7d9f6c5b4", "59c8bd7f6"
AT = 60


@pytest.fixture
def template(templates: dict[str, Template]) -> Template:
    return templates["weight"]


def query(template: Template, weight: int) -> str:
    return template.query_for(NEW, OLD).replace("{{args.weight}}", str(weight))


def traffic(canary: str, stable: str) -> list[Pod]:
    """Both versions; the probes and health checks of the canary are no users."""
    return [
        Pod(NEW, "crm-canary")
        .up()
        .answers("200", canary)
        .answers("200", "0+900x100", endpoint="probe")
        .answers("200", "0+900x100", endpoint="health-ready"),
        Pod(OLD, "crm-stable").up().answers("200", stable),
    ]


@pytest.mark.parametrize(
    ("weight", "canary", "stable", "matches"),
    [
        (5, "0+10x100", "0+190x100", 1),
        (20, "0+40x100", "0+160x100", 1),
        (50, "0+100x100", "0+100x100", 1),
        (100, "0+200x100", "0x100", 1),
        (5, "0x100", "0+200x100", 0),  # sends nothing
        (5, "0+200x100", "0x100", 0),  # sends everything
        (5, "0+40x100", "0+160x100", 0),  # 20 % at 5 %
        (100, "0+100x100", "0+100x100", 0),
        (50, "0x100", "0+2x100", 1),  # 10 requests in the window: nothing to witness
        (5, "0+10x15 0+10x80", "0+190x15 0+190x80", 1),  # counters are reset
    ],
)
def test_the_measured_share_has_to_match(
    promtool: Promtool, template: Template, weight: int, canary: str, stable: str, matches: int
) -> None:
    promtool.check((traffic(canary, stable), [near(f"({query(template, weight)}) <= bool 0", matches, AT)]))


def test_a_reset_in_the_window_does_not_hide_a_liar(promtool: Promtool, template: Template) -> None:
    pods = traffic("0+40x28 0+40x80", "0+160x28 0+160x80")
    promtool.check((pods, [near(f"({query(template, 5)}) <= bool 0", 0, AT)]))


def test_no_data_is_no_answer(promtool: Promtool, template: Template) -> None:
    silent = Pod(NEW).up("0x100").answers("200", "0+10x5 stale")
    other = Pod(NEW, namespace="crm-staging").up().answers("200", "0+10x100")
    promtool.check(*((pods, [nothing(query(template, 5), AT)]) for pods in ([], [silent], [other])))


def test_not_a_number_does_not_pass(promtool: Promtool, template: Template) -> None:
    pods = [Pod(NEW).up().answers("200", " ".join(["NaN"] * 100))]
    promtool.check((pods, [nothing(f"({query(template, 5)}) <= 0", AT)]))


@pytest.mark.parametrize(
    ("result", "phase"),
    [([], "Inconclusive"), ([float("nan")], "Inconclusive"), ([0.2], "Inconclusive"), ([0.0], "Successful")],
)
def test_the_witness_never_fails_a_release(template: Template, result: list[float], phase: str) -> None:
    assert template.phase(result) == phase
    assert template.refusals() == []
    assert template.args == {"canary-hash", "weight"}
