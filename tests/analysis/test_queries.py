"""The templates' own queries, asked of the shipped rules: what is the answer?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.analysis.promtool import Expect, Pod, Promtool, counted, near, nothing

if TYPE_CHECKING:
    from tests.analysis.arithmetic import Bets
    from tests.analysis.templates import Template

NEW, OLD = "7d9f6c5b4", "59c8bd7f6"
BAD, FINE, UNDECIDED = 1, -1, 0
GATES = ("error-rate", "latency")
OUTAGE_FROM, OUTAGE_TO = 150, 180  # in steps of 2 s: from 300 s to 360 s


@pytest.fixture
def template(templates: dict[str, Template]) -> Template:
    """The gate on errors; the first two tests show that its query is everybody's."""
    return templates["error-rate"]


def verdict(template: Template, value: int, at: int = 2) -> Expect:
    """By the template's own limit: 1 is proven bad, -1 proven fine, 0 neither."""
    query, limit = template.query_for(NEW, OLD), template.limit_bad
    return Expect(f"(({query}) >= bool {limit}) - (({query}) <= bool {-limit})", at, {"{}": value})


def no_answer(template: Template, at: int = 2) -> Expect:
    return nothing(template.query_for(NEW, OLD), at)


def canary(n: int, s: int) -> Pod:
    return counted(NEW, n, s, name="crm-canary")


def stable(n: int, s: int) -> Pod:
    return counted(OLD, n, s, name="crm-stable")


def serving(version: str, name: str, *, per_step: int, errors: str, good: str | None = None) -> Pod:
    return Pod(version, name).up().answers("200", good or f"0+{per_step}x1000").answers("500", errors)


def through_an_outage(version: str, name: str, per_step: int, then: str = "") -> Pod:
    """Answers well, then nothing but errors for a minute, then well again."""
    lasted = OUTAGE_TO - OUTAGE_FROM
    before, after = per_step * OUTAGE_FROM, per_step * lasted
    return serving(
        version,
        name,
        per_step=per_step,
        good=f"0+{per_step}x{OUTAGE_FROM} {before}x{lasted - 1} {before}+{per_step}x400",
        errors=f"0x{OUTAGE_FROM} {per_step}+{per_step}x{lasted - 1} " + (then or f"{after}x400"),
    )


@pytest.mark.parametrize("question", GATES)
def test_gate_and_watch_ask_the_same(templates: dict[str, Template], question: str) -> None:
    assert templates[question].query == templates[f"{question}-watch"].query


def test_both_questions_are_asked_alike(templates: dict[str, Template]) -> None:
    """But that latency is excused by a stable version that fails, too."""
    alike = templates["error-rate"].query.replace('"error-rate"', '"latency"')
    excused = re.sub(r'question="latency"(?=[^}]*stable-hash)', 'question=~"error-rate|latency"', alike)
    assert templates["latency"].query == excused != alike


def test_no_data_is_no_answer(promtool: Promtool, template: Template) -> None:
    promtool.check(*((pods, [no_answer(template)]) for pods in ([], [stable(900, 900)], [canary(0, 0)])))


def test_the_answer_follows_the_canarys_own_requests(
    promtool: Promtool, template: Template, bets: Bets
) -> None:
    cases = [
        (1, 1, UNDECIDED),  # one stray 500
        (2, 2, UNDECIDED),  # evidence 4.18, just below
        (3, 3, BAD),
        (40, 1, UNDECIDED),  # low traffic
        (122, 0, UNDECIDED),  # evidence -4.566, just above
        (123, 0, FINE),
        (185, 1, FINE),
        (400, 20, UNDECIDED),  # exactly at the limit
        (100, 17, BAD),
        (2999, 153, UNDECIDED),
        (3000, 147, FINE),  # 4.9 %, the measured rate decides
        (3000, 153, BAD),  # 5.1 %
    ]
    for n, s, value in cases:
        exactly = near(template.query_for(NEW, OLD), bets.total(n, s), 2, 1e-6 * (n + 1))
        expected = [verdict(template, value), exactly]
        promtool.check(([canary(n, s)], expected), ([canary(n, s), stable(5000, 10)], expected))


def test_scanners_water_nothing_down(promtool: Promtool, templates: dict[str, Template]) -> None:
    """24 requests of strangers a second beside a user's every second, who gets only 500, or waits."""
    for name, failing in (("error-rate", counted(NEW, 3, 3)), ("latency", Pod(NEW).up().takes([2.5] * 3))):
        template = templates[name]
        alone = ([failing], [verdict(template, BAD)])
        scanned = Pod(NEW).answers("404", "0 48x1000", endpoint="unmatched", caller="stranger")
        scanned.takes([0.001] * 48, endpoint="unmatched", caller="stranger")
        failing_too = Pod(NEW, series={**failing.series, **scanned.series})
        promtool.check(alone, ([failing_too], [verdict(template, BAD)]))


def test_latency_asks_for_slow_requests(promtool: Promtool, templates: dict[str, Template]) -> None:
    gate = templates["latency"]
    cases = [
        ([1.9] * 200, FINE),
        ([2.1] * 200, BAD),
        ([0.1] * 95 + [2.1] * 5, UNDECIDED),
        ([0.1] * 83 + [9] * 17, BAD),
    ]
    promtool.check(*(([Pod(NEW).up().takes(times)], [verdict(gate, value)]) for times, value in cases))


def test_what_is_late_while_the_stable_version_fails_is_not_the_releases(
    promtool: Promtool, templates: dict[str, Template]
) -> None:
    """While a database hangs, few of a busy version's requests wait for it, and all are answered 503."""
    gate, late = templates["latency"], Pod(NEW).up().takes([2.1] * 200)
    promtool.check(
        ([late, stable(2000, 1200)], [no_answer(gate)]), ([late, stable(2000, 20)], [verdict(gate, BAD)])
    )


def test_errors_of_five_percent_of_the_traffic_are_not_diluted(
    promtool: Promtool, template: Template
) -> None:
    """The canary gets 1 request in 20, and all the others are answered well."""
    failing = serving(NEW, "crm-canary", per_step=5, good="0x100", errors="0+5x100")
    promtool.check(
        ([failing, serving(OLD, "crm-stable", per_step=95, errors="0x100")], [verdict(template, BAD, 10)])
    )


def test_what_breaks_late_does_not_hide_behind_earlier_successes(
    promtool: Promtool, template: Template
) -> None:
    breaking = serving(NEW, "crm-canary", per_step=40, good="0+40x300 12000x20", errors="0x300 40+40x20")
    at_last = 2 * 309  # after 18 s: 360 errors of 12 360 in total, 3 %, and of 2 400 in the last 2 minutes
    promtool.check(([breaking], [verdict(template, FINE, 2 * 300), verdict(template, BAD, at_last)]))


def test_a_fault_that_both_versions_show_is_not_the_releases(promtool: Promtool, template: Template) -> None:
    promtool.check(
        ([canary(100, 60), stable(2000, 1200)], [no_answer(template)]),
        ([canary(5000, 3000), stable(90_000, 50_000)], [no_answer(template)]),
        ([canary(100, 60), stable(2000, 100)], [verdict(template, BAD)]),
    )


def test_a_good_release_may_replace_a_failing_one(promtool: Promtool, template: Template) -> None:
    promtool.check(([canary(200, 0), stable(2000, 1200)], [verdict(template, FINE)]))


def test_an_outage_of_everything_is_never_the_canarys_fault(promtool: Promtool, template: Template) -> None:
    """The canary has 5 requests each 2 s, the stable version 95; everything fails for a minute."""
    pods = [through_an_outage(NEW, "crm-canary", 5), through_an_outage(OLD, "crm-stable", 95)]
    good_until = verdict(template, FINE, 2 * OUTAGE_FROM)
    meanwhile = [
        Expect(f"({template.query_for(NEW, OLD)}) >= {template.limit_bad}", at) for at in range(302, 760, 12)
    ]
    total = f'crm:verdict_evidence{{rollouts_pod_template_hash="{NEW}", window="total"}}'
    in_total = Expect(f"sum({total} > bool {template.limit_bad})", 2 * OUTAGE_TO + 30, {"{}": 1})
    promtool.check((pods, [good_until, *meanwhile, in_total]))


def test_after_an_outage_the_canarys_own_fault_is_still_seen(promtool: Promtool, template: Template) -> None:
    relapse = f"{5 * (OUTAGE_TO - OUTAGE_FROM)}x219 {5 * (OUTAGE_TO - OUTAGE_FROM)}+5x180"
    pods = [through_an_outage(NEW, "crm-canary", 5, then=relapse), through_an_outage(OLD, "crm-stable", 95)]
    promtool.check((pods, [no_answer(template, 2 * 399), verdict(template, BAD, 2 * 420)]))


def test_another_environment_with_the_same_hash_does_not_matter(
    promtool: Promtool, template: Template
) -> None:
    promtool.check(
        ([canary(200, 0), counted(NEW, 200, 200, namespace="crm-staging")], [verdict(template, FINE)])
    )


def test_an_aborted_attempt_with_the_same_hash_does_not_matter(
    promtool: Promtool, template: Template
) -> None:
    gone = Pod(NEW, "crm-first").up("1x5 stale").answers("500", "50x5 stale")
    again = Pod(NEW, "crm-second").up("_x200 1x200").answers("200", "_x200 130+1x200")
    promtool.check(
        ([gone, again], [verdict(template, BAD, 8), no_answer(template, 20), verdict(template, FINE, 420)])
    )


def test_a_prometheus_that_lost_its_history_gives_no_false_alarm(
    promtool: Promtool, template: Template
) -> None:
    def back(version: str, name: str, per_step: int, before: int) -> Pod:
        pod = Pod(version, name).up("_x100 1x200")
        return pod.answers("200", f"_x100 {before}+{per_step}x200").answers(
            "500", f"_x100 {before // 100}x5 {before // 100 + 1}x200"
        )

    pods = [back(NEW, "crm-canary", 5, 600), back(OLD, "crm-stable", 95, 90_000)]
    expected = [
        no_answer(template, 198),
        no_answer(template, 200),
        *(verdict(template, FINE, at) for at in range(202, 500, 20)),
    ]
    promtool.check((pods, expected))


def test_a_canary_that_is_no_longer_scraped_is_not_proven_fine(
    promtool: Promtool, template: Template
) -> None:
    """Its pods are gone, so there is no answer; the gate's time runs out and a person is asked."""
    gone = Pod(NEW).up("1x10 stale").answers("200", "500+1x10 stale")
    promtool.check(([gone], [verdict(template, FINE, 10), no_answer(template, 40)]))


@pytest.mark.parametrize(
    "pod",
    [
        Pod(NEW).up().answers("200", "0+50x10 500x100"),
        Pod(NEW).up("1x10 0x100").answers("200", "0+50x10 stale"),
        Pod(NEW).up("1x10 0x100").answers("200", "0+50x10 _x100"),
    ],
    ids=["nobody asks it any more", "it cannot be scraped any more", "Prometheus stopped asking"],
)
def test_what_was_fine_does_not_promote_once_no_more_is_seen(
    promtool: Promtool, template: Template, pod: Pod
) -> None:
    promtool.check(([pod], [verdict(template, FINE, 20), *(no_answer(template, at) for at in (34, 60, 180))]))


def test_a_request_now_and_then_is_enough_to_go_on(promtool: Promtool, template: Template) -> None:
    pod = Pod(NEW).up().answers("200", "200x50 201x50")
    promtool.check(([pod], [no_answer(template, 98), verdict(template, FINE, 102), no_answer(template, 120)]))


def test_what_was_proven_bad_stays_so_when_no_more_is_seen(promtool: Promtool, template: Template) -> None:
    silent = Pod(NEW).up("1x10 0x100").answers("500", "0+5x10 stale")
    promtool.check(([silent], [verdict(template, BAD, 20), verdict(template, BAD, 60)]))
