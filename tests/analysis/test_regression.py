"""Worse than what users have: what is found, and that nobody is accused who is not worse."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import pytest

from delivery.kubernetes.limits import ANSWERS, REGRESSION
from tests.analysis.arithmetic import Comparison, numbers, rules_named
from tests.analysis.conftest import found
from tests.analysis.promtool import STEP, Expect, Pod, Promtool, near, nothing

if TYPE_CHECKING:
    from pathlib import Path

    from tests.analysis.templates import Template

NEW, OLD = "7d9f6c5b4", "59c8bd7f6"
POOLED = 'endpoint="all"'


@pytest.fixture(scope="module")
def query(templates: dict[str, Template]) -> str:
    return templates["regression-watch"].query_for(NEW, OLD)


@pytest.fixture(scope="module")
def answers(templates: dict[str, Template]) -> str:
    return templates["answers-watch"].query_for(NEW, OLD)


def evidence(stream: str, where: str = POOLED, window: str = "10m") -> str:
    hashed = f'rollouts_pod_template_hash="{NEW}"'
    return f'sum(crm:regression_evidence{{stream="{stream}", {where}, window="{window}", {hashed}}})'


def bad(query: str, at: int, *, is_bad: bool) -> Expect:
    return Expect(f"({query}) >= bool 4.6", at, {"{}": int(is_bad)})


def is_fine(query: str, at: int) -> Expect:
    return nothing(f"({query}) >= 4.6", at)


def pod(version: str, **answers: str) -> Pod:
    """One pod of a version: `good` and `s500`, `s404`, … are its answers so far, in promtool's notation."""
    made = Pod(version, "crm-canary" if version == NEW else "crm-stable").up()
    for name, values in answers.items():
        made.answers("200" if name == "good" else name.removeprefix("s"), values)
    return made


def per_step(n: int, moments: int = 200) -> str:
    return f"0+{n}x{moments}"


def timed(version: str, fast: int, slow: int, *, edge: str = "0.25", **more: str) -> Pod:
    """So many requests a step, `slow` of them slower than that edge and no other."""
    made = pod(version)
    pairs = {"method": "GET", "endpoint": "deals-list", **more}
    edges = ("0.1", "0.25", "0.5", "1.0", "2.0")
    for each in edges:
        below = fast + (slow if float(each) > float(edge) else 0)
        made.counts("django_request_duration_seconds_bucket", per_step(below), le=each, **pairs)
    return made.counts("django_request_duration_seconds_count", per_step(fast + slow), **pairs)


def expected(stream: str, moments: int, own: float, others: float = 0, *, pooled: bool = True) -> float:
    """The evidence of so many moments of 12 and 108 requests with so many bad ones."""
    comparison = Comparison(REGRESSION.find(stream), pooled)
    each = max(comparison.bet(rate, 12, 108, own, others) for rate in comparison.bets.rates)
    return float(moments * each - comparison.price)


def test_all_streams_together_take_one_per_cent() -> None:
    """By the union bound: pooled streams once, the others for each of 64 pairs of endpoint and method."""
    weights = sum(each.pooled + 64 * each.each for each in REGRESSION.streams)
    assert weights == pytest.approx(1.0)


def test_the_rules_are_those_of_the_limits(regression_rules: str) -> None:
    rates = {(side, rate) for side, its in REGRESSION.bets.items() for rate in its.rates}
    found = list(rules_named(regression_rules, "crm:regression_odds"))
    assert {(rule["labels"]["side"], rule["labels"]["bet"]) for rule in found} == rates
    for rule in found:
        side, rate = rule["labels"]["side"], rule["labels"]["bet"]
        expected = [abs(REGRESSION.bets[side].ratio - 1), abs(float(rate) - 1)]
        assert [each for each in numbers(rule["expr"]) if each] == [each for each in expected if each]
    streams = {rule["labels"].get("stream") for rule in rules_named(regression_rules, "crm:regression_bad")}
    assert streams - {None} == {each.name for each in REGRESSION.streams}


def test_errors_are_proven_and_the_moment_before_they_are_not(comparing: Promtool, query: str) -> None:
    def at(moments: int) -> float:
        return expected("errors", moments, 1)

    enough = max(next(n for n in range(1, 99) if at(n) >= 4.6), REGRESSION.least)
    pods = [pod(NEW, good=per_step(11), s500=per_step(1)), pod(OLD, good=per_step(108))]
    exactly = [near(evidence("errors"), at(n), STEP * n) for n in (enough, enough + 5)]
    each = near(evidence("errors", 'endpoint="deals-list"'), expected("errors", 9, 1, pooled=False), STEP * 9)
    around = [is_fine(query, STEP * (enough - 1)), bad(query, STEP * enough, is_bad=True)]
    comparing.check((pods, [*exactly, each, *around]))


def test_an_endpoint_that_few_ask_is_compared_at_the_share_of_all_requests(
    comparing: Promtool, answers: str
) -> None:
    """One sign-in of the canary's in 16 s is refused; in its own moment it would be one of three."""
    sign_in = {"endpoint": "auth-token"}
    few = " ".join(str(1 + step // 8) for step in range(100))
    canary, stable = pod(NEW, good=per_step(4)), pod(OLD, good=per_step(76))
    canary.answers("401", few, **sign_in)
    stable.answers("200", per_step(2), **sign_in)
    comparison = Comparison(REGRESSION.find("refused-401"), pooled=False)
    # The moments with a refusal have one more request of the canary's.
    each = max(comparison.bet(rate, 5, 78, 1, 0) for rate in comparison.bets.rates)
    proven = float(10 * each - comparison.price)
    exactly = near(evidence("refused-401", 'endpoint="auth-token"'), proven, STEP * 80)
    comparing.check(
        ([canary, stable], [exactly, is_fine(answers, STEP * 40), bad(answers, STEP * 64, is_bad=True)])
    )


def test_what_others_fail_while_the_canary_is_not_asked_there_counts(comparing: Promtool, query: str) -> None:
    """Stable fails as often at an endpoint that the canary is asked for once in a while: 1 in 8 of all."""
    sign_in = {"endpoint": "auth-token"}
    few = " ".join(str(step // 8) for step in range(100))
    canary, stable = pod(NEW, good=per_step(4)), pod(OLD, good=per_step(28))
    canary.answers("500", few, **sign_in)
    stable.answers("500", per_step(1), **sign_in)
    comparing.check(([canary, stable], [is_fine(query, STEP * 90)]))


def test_what_stable_does_as_well_excuses(comparing: Promtool, query: str) -> None:
    """Equal, twice as bad, and four times: the last is proven."""
    stable = pod(OLD, good=per_step(990), s500=per_step(10))
    equal = pod(NEW, good=per_step(99), s500=per_step(1))
    twice = pod(NEW, good=per_step(98), s500=per_step(2))
    many = pod(NEW, good=per_step(95), s500=per_step(5))
    fine = [is_fine(query, at) for at in (20, 90, 160)]
    comparing.check(
        ([equal, stable], fine), ([twice, stable], fine), ([many, stable], [bad(query, 300, is_bad=True)])
    )


def test_a_failing_stable_version_excuses_only_what_is_not_worse(comparing: Promtool, query: str) -> None:
    stable = pod(OLD, good=per_step(92), s500=per_step(8))
    worse, same = pod(NEW, s500=per_step(5)), pod(NEW, good=per_step(46), s500=per_step(4))
    comparing.check(([worse, stable], [bad(query, 20, is_bad=True)]), ([same, stable], [is_fine(query, 120)]))


@pytest.mark.parametrize(
    ("stream", "status"), [(each.name, each.status) for each in REGRESSION.streams if each.status]
)
def test_refusals_are_proven_where_stable_answers(
    comparing: Promtool, query: str, answers: str, stream: str, status: str
) -> None:
    refused = Pod(NEW, "crm-canary").up().answers(status, per_step(12), endpoint="deals-detail")
    stable = Pod(OLD, "crm-stable").up().answers("200", per_step(108), endpoint="deals-detail")
    own = near(evidence(stream, 'endpoint="deals-detail"'), expected(stream, 4, 12, pooled=False), 8)
    comparing.check(([refused, stable], [own, bad(answers, 8, is_bad=True), nothing(query, 8)]))


def test_lost_routes_are_proven(comparing: Promtool, query: str, answers: str) -> None:
    lost = (
        Pod(NEW, "crm-canary")
        .up()
        .answers("404", per_step(6), endpoint="unmatched", caller="stranger")
        .answers("200", per_step(6), endpoint="auth-token")
    )
    stable = pod(OLD, good=per_step(108))
    comparing.check(([lost, stable], [bad(answers, 12, is_bad=True), nothing(query, 12)]))


def test_strangers_meet_both_versions(comparing: Promtool, answers: str) -> None:
    pods = [
        pod(version, good=per_step(n)).answers(
            "404", per_step(4 * n), endpoint="unmatched", caller="stranger"
        )
        for version, n in ((NEW, 5), (OLD, 95))
    ]
    comparing.check((pods, [is_fine(answers, 120)]))


def test_empty_answers_are_proven_where_both_versions_count_them(comparing: Promtool, answers: str) -> None:
    pairs = {"method": "GET", "endpoint": "deals-list"}
    empty = pod(NEW, good=per_step(12)).counts("django_empty_answers_total", per_step(12), **pairs)
    stable = pod(OLD, good=per_step(108))
    counting = pod(OLD, good=per_step(108)).counts("django_empty_answers_total", "0x200", **pairs)
    comparing.check(
        ([empty, counting], [bad(answers, 12, is_bad=True)]), ([empty, stable], [nothing(answers, 12)])
    )


@pytest.mark.parametrize("edge", [each.edge for each in REGRESSION.streams if each.name.startswith("slow")])
def test_slower_answers_are_proven(comparing: Promtool, query: str, edge: str) -> None:
    slow, fast = timed(NEW, 0, 12, edge=edge), timed(OLD, 108, 0)
    as_slow = timed(OLD, 0, 108, edge=edge)
    comparing.check(([slow, fast], [bad(query, 12, is_bad=True)]), ([slow, as_slow], [is_fine(query, 120)]))


def test_where_stable_is_often_slow_what_is_fast_is_counted(comparing: Promtool, query: str) -> None:
    """Stable is slow in 60 of 100, so twice as slow cannot be; nothing fast is left all the same."""
    stable = timed(OLD, 40, 60)
    fast = evidence("fast-0.25", 'endpoint="deals-list"')
    comparing.check(
        ([timed(NEW, 0, 10), stable], [bad(fast, 60, is_bad=True), bad(query, 60, is_bad=True)]),
        ([timed(NEW, 4, 6), stable], [is_fine(query, 120)]),
        ([timed(NEW, 3, 7), stable], [is_fine(query, 120)]),
    )


def test_the_first_requests_of_a_process_are_left_out_of_slow(comparing: Promtool, query: str) -> None:
    starting, fast = timed(NEW, 0, 12, starting="true"), timed(OLD, 108, 0)
    comparing.check(([starting, fast], [nothing(query, 100)]))


@pytest.mark.parametrize(("failed", "is_bad"), [(9, False), (11, True)])
def test_what_is_worse_and_does_not_matter_goes_on(
    comparing: Promtool, query: str, failed: int, is_bad: bool
) -> None:
    """Just below and just above the floor of 1 in 100, of which the evidence would be large enough."""
    pods = [pod(NEW, good=per_step(1000 - failed), s500=per_step(failed)), pod(OLD, good=per_step(1000))]
    comparing.check((pods, [bad(query, 100, is_bad=True) if is_bad else is_fine(query, 100)]))


@pytest.mark.parametrize("stream", [each for each in REGRESSION.streams if each.name.startswith("slow")])
def test_each_floor_of_slow_answers(comparing: Promtool, stream: Any) -> None:
    def at(points: float) -> list[Pod]:
        slow = round(1000 * (stream.floor + points))
        return [timed(NEW, 1000 - slow, slow, edge=stream.edge), timed(OLD, 1000, 0)]

    proof = evidence(stream.name)
    comparing.check((at(-0.002), [is_fine(proof, 100)]), (at(0.002), [bad(proof, 100, is_bad=True)]))


@pytest.mark.parametrize("stream", ["refused-404", "empty"])
def test_the_floor_of_other_answers(comparing: Promtool, answers: str, stream: str) -> None:
    def at(bad: int) -> list[Pod]:
        pairs = {"method": "GET", "endpoint": "deals-detail"}
        if stream == "empty":
            new = Pod(NEW, "crm-canary").up().answers("200", per_step(1000), endpoint="deals-detail")
            new.counts("django_empty_answers_total", per_step(bad), **pairs)
        else:
            new = Pod(NEW, "crm-canary").up().answers("404", per_step(bad), endpoint="deals-detail")
            new.answers("200", per_step(1000 - bad), endpoint="deals-detail")
        old = Pod(OLD, "crm-stable").up().answers("200", per_step(1000), endpoint="deals-detail")
        return [new, old.counts("django_empty_answers_total", "0x200", **pairs)]

    comparing.check((at(48), [is_fine(answers, 100)]), (at(52), [bad(answers, 100, is_bad=True)]))


# --- what a process that dies takes with it


def routed(canary: int, lost: int, *, stable_lost: int = 0) -> Pod:
    """What Traefik has counted by Service."""
    router = Pod("", "traefik-1", "traefik")
    router.series["up" + '{namespace="traefik", pod="traefik-1"}'] = "1x1000"
    for service, good, broken in (("canary", canary, lost), ("stable", 108, stable_lost)):
        for code, count in (("200", good), ("502", broken)):
            labels = {
                "namespace": "traefik",
                "pod": "traefik-1",
                "service": f"crm-production-crm-{service}-http@kubernetescrd",
                "code": code,
                "method": "POST",
            }
            pairs = ", ".join(f'{key}="{value}"' for key, value in labels.items())
            router.series[f"traefik_service_requests_total{{{pairs}}}"] = per_step(count)
    return router


def both(*more: Pod) -> list[Pod]:
    return [pod(NEW, good=per_step(12)), pod(OLD, good=per_step(108)), *more]


def test_requests_that_a_dying_process_takes_with_it_are_proven(comparing: Promtool, query: str) -> None:
    lost = evidence("lost")
    comparing.check(
        (both(routed(11, 1)), [near(lost, expected("lost", 9, 1), 18), bad(query, 18, is_bad=True)]),
        (both(routed(11, 1, stable_lost=9)), [is_fine(query, 120)]),
        (both(routed(12, 0)), [is_fine(query, 120)]),
    )


def test_a_pod_that_was_killed_is_not_its_versions_fault(comparing: Promtool, query: str) -> None:
    killed = Pod(NEW, "crm-killed").up("1x5 stale")
    restarted = pod(NEW, good=per_step(12))
    restarted.series = {
        series.replace('"c1"', '"c2"') if series.startswith("up") else series: values
        for series, values in restarted.series.items()
    }
    (series,) = [series for series in restarted.series if series.startswith("up")]
    restarted.series[series] = "_x4 1x200"
    restarted.series[series.replace('"c2"', '"c1"')] = "1x3 stale"
    stable = pod(OLD, good=per_step(108))
    comparing.check(
        (both(routed(11, 1), killed), [nothing(evidence("lost"), 30), is_fine(query, 30)]),
        ([restarted, stable, routed(11, 1), killed], [bad(query, 30, is_bad=True)]),
    )


def test_an_earlier_canary_leaves_nothing_behind(comparing: Promtool, query: str) -> None:
    earlier = Pod("earlier", "crm-earlier").up("1x20 stale").answers("200", "0+12x20 stale")
    canary = Pod(NEW, "crm-canary").up("_x30 1x100").answers("200", "_x30 0+12x100")
    router = routed(11, 1)
    for series in router.series:
        if 'code="502"' in series and "canary" in series:
            router.series[series] = "0+1x20 20x200"
    comparing.check(([earlier, canary, pod(OLD, good=per_step(108)), router], [is_fine(query, 120)]))


def containers(version: str, name: str, restarts: int, *, every: int = 5) -> Pod:
    """A pod whose container is another one after every so many steps."""
    made = pod(version, good=per_step(12 if version == NEW else 108))
    made.name = name
    for number in range(restarts + 1):
        start = number * every
        values = (f"_x{start} " if start else "") + (f"1x{every - 1} stale" if number < restarts else "1x500")
        pairs = {**made.target(), "container_id": f"c{number}", "endpoint": "http"}
        text = ", ".join(f'{key}="{value}"' for key, value in pairs.items())
        made.series[f"up{{{text}}}"] = values
    return made


def test_restarts_are_proven_by_the_pods_that_do_not_restart(comparing: Promtool, query: str) -> None:
    """Of equal pods every second restart would be the canary's: it takes many of them."""
    stable = [pod(OLD, good=per_step(108))]
    others = [Pod(OLD, f"crm-{n}").up() for n in range(9)]
    events = near('sum(sum_over_time(crm:regression_bad{stream="restarts"}[10m]))', 6, STEP * 60)
    comparing.check(
        ([containers(NEW, "crm-canary", 6), *stable, *others], [events, bad(query, STEP * 60, is_bad=True)]),
        ([containers(NEW, "crm-canary", 2), *stable, *others], [is_fine(query, STEP * 60)]),
    )


def test_a_new_pod_is_no_restart(comparing: Promtool) -> None:
    fresh = [Pod(NEW, f"crm-{n}").up(f"_x{5 * n} 1x100") for n in range(1, 9)]
    pending = Pod(NEW, "crm-pending").up("_x3 1x1 stale", container_id="")
    pending.series |= Pod(NEW, "crm-pending").up("_x6 1x100").series
    restarts = 'sum(sum_over_time(crm:regression_bad{stream="restarts"}[10m]))'
    comparing.check(([*fresh, pending, *both()], [near(restarts, 0, 120)]))


# --- no data, and what is none


@pytest.mark.parametrize(
    "pods",
    [
        [],
        [pod(NEW, s500=per_step(12))],  # nobody to compare with
        [pod(NEW, s500=per_step(12)), pod(OLD, good="500x200")],  # stable is silent
        [pod(NEW, s500="0x200"), pod(OLD, good=per_step(108))],  # at weight 0
        [pod(OLD, good=per_step(108))],
        [
            Pod(NEW, namespace="crm-staging").up().answers("500", per_step(12)),
            pod(OLD, good=per_step(108)),
        ],
        [pod(NEW, s500=" ".join(["NaN"] * 100)), pod(OLD, good=per_step(108))],
    ],
    ids=["nothing", "alone", "silent", "none", "not there", "elsewhere", "NaN"],
)
def test_without_two_to_compare_nothing_is_proven(
    comparing: Promtool, query: str, answers: str, pods: list[Pod]
) -> None:
    comparing.check((pods, [is_fine(query, 120), is_fine(answers, 120)]))


def test_what_a_pod_counted_before_it_was_scraped_proves_nothing(comparing: Promtool, query: str) -> None:
    """Nor does what a restarted container counted before: its counters begin anew."""
    late = Pod(NEW, "crm-canary").up("_x10 1x100").answers("500", "_x10 50x100").answers("200", "_x10 50x100")
    reset = pod(NEW, good="0+12x30 0+12x100", s500="50x30 0x100")
    stable = pod(OLD, good=per_step(108))
    comparing.check(([late, stable], [is_fine(query, 60)]), ([reset, stable], [is_fine(query, 100)]))


def test_a_version_that_is_gone_is_not_judged(comparing: Promtool, query: str) -> None:
    gone = Pod(NEW).up("1x20 stale").answers("500", "0+12x20 stale")
    comparing.check(([gone, pod(OLD, good=per_step(108))], [bad(query, 38, is_bad=True), nothing(query, 60)]))


def test_what_breaks_late_does_not_hide_behind_what_went_well(comparing: Promtool, query: str) -> None:
    """Stable has failures all the time, and the canary none for 4 minutes."""
    stable = pod(OLD, good=per_step(100), s500=per_step(1))
    late = pod(NEW, good="0+12x120 1440x80", s500="0x120 0+12x80")
    comparing.check(([late, stable], [is_fine(query, 240), bad(query, 270, is_bad=True)]))


# --- what a release means to change


def test_what_is_expected_is_left_out(comparing: Promtool, answers: str) -> None:
    """analysis.expected of the tests' values has GET deals-list 404."""
    listed = pod(NEW, s404=per_step(12))
    other = Pod(NEW, "crm-canary").up().answers("404", per_step(12), endpoint="deals-detail")
    stable = pod(OLD, good=per_step(108)).answers("200", per_step(108), endpoint="deals-detail")
    comparing.check(
        ([listed, stable], [is_fine(answers, 20)]), ([other, stable], [bad(answers, 20, is_bad=True)])
    )


# --- blue-green's preview


def test_the_preview_is_fine_after_200_requests_that_prove_nothing(
    rules_text: str, regression_rules: str, templates: dict[str, Template], tmp_path: Path
) -> None:
    promtool = Promtool(found("promtool"), (rules_text, regression_rules), tmp_path, "crm-production")
    gate = templates["regression-preview"].query_for(NEW, OLD)

    def asked(version: str, **answers: str) -> Pod:
        made = Pod(version, "crm-canary" if version == NEW else "crm-stable").up()
        for status, values in answers.items():
            made.answers(status.removeprefix("s"), values, endpoint="probe")
        return made

    fine, stable = asked(NEW, s200="0+10x40"), asked(OLD, s200="0+10x40")
    broken = asked(NEW, s200="0+8x40", s500="0+2x40")
    over = asked(NEW, s200="0+10x22 220x40")
    promtool.check(
        ([fine, stable], [nothing(gate, 36), near(gate, 0, 42)]),
        ([broken, stable], [bad(gate, 60, is_bad=True)]),
        ([over, stable], [near(gate, 0, 42), nothing(gate, 70)]),
        ([fine], [near(gate, 0, 42)]),
    )


def test_the_watches_share_the_streams(templates: dict[str, Template]) -> None:
    names = [each.name for each in REGRESSION.streams]
    assert [name for name in names if re.fullmatch(ANSWERS, name)] == [
        "unmatched",
        *(name for name in names if name.startswith("refused")),
        "empty",
    ]
    assert f'stream!~"{ANSWERS}"' in templates["regression-watch"].query
    assert f'stream=~"{ANSWERS}"' in templates["answers-watch"].query
    assert templates["regression-watch"].limit_bad == templates["answers-watch"].limit_bad == 4.6
    assert math.isclose(REGRESSION.price(REGRESSION.find("errors"), pooled=True), math.log(12))
