"""Deals, sign-ins and won deals per request: what is lost behind a success, and that nobody else is accused of it."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.analysis.arithmetic import HALF, Odds, numbers, rules_named
from tests.analysis.promtool import STEP, Expect, Pod, Promtool, near, nothing

if TYPE_CHECKING:
    from tests.analysis.templates import Template

NEW, OLD = "7d9f6c5b4", "59c8bd7f6"
QUESTIONS = {"business": ("deals_created_total", "sign_ins_total"), "conversion": ("deal_conversions_total",)}


@pytest.fixture(scope="module")
def odds(business_rules: str) -> Odds:
    return Odds.read_from(business_rules)


@pytest.fixture
def query(templates: dict[str, Template]) -> str:
    return templates["business-watch"].query_for(NEW, OLD)


@pytest.fixture(scope="module")
def limit(templates: dict[str, Template]) -> float:
    return templates["business-watch"].limit_bad


def bad(query: str, at: int, *, is_bad: bool) -> Expect:
    return Expect(f"({query}) >= bool 4.6", at, {"{}": int(is_bad)})


def pod(version: str, requests: str, events: str, metric: str = "deals_created_total") -> Pod:
    """One pod of a version; the requests are of one endpoint."""
    name = "crm-canary" if version == NEW else "crm-stable"
    more = {"pipeline": "Sales"} if metric == "deal_conversions_total" else {}
    return Pod(version, name).up().answers("200", requests).counts(metric, events, **more)


STABLE = ("0+108x1000", "0+9x1000")  # in each moment of 2 s; the canary then has 12 requests


def expected(odds: Odds, own: float, moments: int) -> float:
    """The evidence of so many moments of 12 requests with so many events."""
    each = [odds.bet(rate, 12, 108, own, 9) for rate in odds.rates]
    return float(max(each) * moments - odds.price)


def test_the_numbers_in_the_rules_are_those_of_the_bets(business_rules: str, odds: Odds) -> None:
    assert odds.rates == ("0.02", "0.2")
    for rule in rules_named(business_rules, "crm:business_bet"):
        rate = float(rule["labels"]["bet"])
        used = [number for number in numbers(rule["expr"]) if number]
        assert used == pytest.approx([HALF, rate, math.log(HALF / rate)], abs=5e-7)
    for rule in rules_named(business_rules, "crm:business_evidence"):
        assert numbers(rule["expr"]) == pytest.approx([odds.price], abs=5e-7)


def test_the_rules_stay_in_their_namespace(business_rules: str) -> None:
    selectors = re.findall(r"[a-z_:]+\{(.*?)\}", business_rules)
    assert selectors
    assert all('namespace="crm-production"' in selector for selector in selectors)


@pytest.mark.parametrize(
    ("question", "metric"),
    [(question, metric) for question, metrics in QUESTIONS.items() for metric in metrics],
)
def test_lost_writes_are_proven_and_the_moment_before_they_are_not(
    promtool: Promtool, templates: dict[str, Template], odds: Odds, limit: float, question: str, metric: str
) -> None:
    query = templates[f"{question}-watch"].query_for(NEW, OLD)
    enough = next(moments for moments in range(1, 100) if expected(odds, 0, moments) >= limit)
    pods = [pod(NEW, "0+12x1000", "0x1000", metric), pod(OLD, *STABLE, metric)]
    checks = [
        near(query, expected(odds, 0, moments), STEP * moments, 1e-3) for moments in (1, enough - 1, enough)
    ]
    checks += [bad(query, STEP * (enough - 1), is_bad=False), bad(query, STEP * enough, is_bad=True)]
    promtool.check((pods, checks))


def test_losing_nine_in_ten_is_proven_by_the_other_bet(promtool: Promtool, query: str) -> None:
    pods = [pod(NEW, "0+120x1000", "0+1x1000"), pod(OLD, "0+120x1000", "0+10x1000")]
    promtool.check((pods, [bad(query, 4, is_bad=False), bad(query, 20, is_bad=True)]))


@pytest.mark.parametrize(
    ("canary", "events"),
    [
        ("0+108x1000", "0+9x1000"),  # as good as the others
        ("0+108x1000", "0+20x1000"),  # better
        ("0+216x1000", "0+10x1000"),  # just above half, at two thirds of the traffic
    ],
)
def test_a_release_that_keeps_its_writes_is_not_accused(
    promtool: Promtool, query: str, canary: str, events: str
) -> None:
    pods = [pod(NEW, canary, events), pod(OLD, *STABLE)]
    promtool.check((pods, [bad(query, at, is_bad=False) for at in range(20, 1500, 160)]))


def test_one_event_may_be_lost_without_hiding_the_other(promtool: Promtool, query: str) -> None:
    canary = pod(NEW, "0+12x1000", "0+1x1000").counts("sign_ins_total", "0x1000")
    stable = pod(OLD, *STABLE).counts("sign_ins_total", STABLE[1])
    promtool.check(([canary, stable], [bad(query, 120, is_bad=True)]))


def test_few_events_prove_nothing(promtool: Promtool, query: str) -> None:
    pods = [pod(NEW, "0+1x1000", "0x1000"), pod(OLD, "0+19x1000", "0x20 1x20 2x1000")]
    promtool.check((pods, [bad(query, 300, is_bad=False)]))


def test_what_was_before_the_canary_does_not_matter(promtool: Promtool, query: str, odds: Odds) -> None:
    """A drill's users make their first deals before the release. The last two minutes accuse most, or excuse least."""
    stable = pod(OLD, "0+108x1000", "0+100x100 10000+9x1000")
    late = Pod(NEW, "crm-canary").up("_x150 1x500").answers("200", "_x150 0+12x500")
    late.counts("deals_created_total", "_x150 0+1x500")
    promtool.check(([stable, late], [near(query, expected(odds, 1, 60), 500, 1e-2)]))


def test_what_breaks_late_does_not_hide_behind_what_was_kept(
    promtool: Promtool, query: str, odds: Odds
) -> None:
    pods = [pod(NEW, "0+12x1000", "0+1x240 240x400"), pod(OLD, *STABLE)]
    late = near(query, expected(odds, 0, 60), 2 * 300, 1e-2)  # what the last 2 minutes say
    promtool.check((pods, [bad(query, 480, is_bad=False), late, bad(query, 600, is_bad=True)]))


@pytest.mark.parametrize(
    "pods",
    [
        [],
        [pod(NEW, "0+12x100", "0+1x100")],  # nobody to compare with
        [pod(NEW, "0+12x100", "0x100"), pod(OLD, "500x100", "40x100")],  # at weight 100
        [pod(NEW, "0x100", "0x100"), pod(OLD, *STABLE)],  # at weight 0
        [pod(OLD, *STABLE)],
        [Pod(NEW, namespace="crm-staging").up().answers("200", "0+12x100"), pod(OLD, *STABLE)],
        [Pod(NEW).up().answers("200", "0+12x100"), Pod(OLD, "crm-stable").up().answers("200", "0+108x100")],
    ],
    ids=["nothing", "alone", "all", "none", "not there", "elsewhere", "no such counters"],
)
def test_without_two_to_compare_there_is_no_answer(promtool: Promtool, query: str, pods: list[Pod]) -> None:
    promtool.check((pods, [nothing(query, 120)]))


def test_a_number_that_is_none_proves_nothing(promtool: Promtool, query: str) -> None:
    pods = [pod(NEW, "0+12x100", " ".join(["NaN"] * 100)), pod(OLD, *STABLE)]
    promtool.check((pods, [nothing(f"({query}) >= 4.6", 120)]))


def test_the_probers_requests_are_no_users(promtool: Promtool, query: str, odds: Odds) -> None:
    """It asks stable and canary alike, so that a small canary is asked more by it than by users."""
    pods = [pod(NEW, "0+12x200", "0+1x200"), pod(OLD, *STABLE)]
    for each in pods:
        each.answers("200", "0+50x200", endpoint="probe").answers("200", "0+50x200", endpoint="health-ready")
    promtool.check((pods, [near(query, expected(odds, 1, 60), 120, 1e-2)]))


def test_a_reset_is_left_out(promtool: Promtool, query: str, odds: Odds) -> None:
    pods = [pod(NEW, "0+12x30 0+12x100", "0x30 0x100"), pod(OLD, *STABLE)]
    promtool.check((pods, [near(query, expected(odds, 0, 59), 120, 1e-2)]))


def test_a_version_that_is_gone_is_not_judged(promtool: Promtool, query: str) -> None:
    gone = (
        Pod(NEW).up("1x60 stale").answers("200", "0+12x60 stale").counts("deals_created_total", "0x60 stale")
    )
    promtool.check(([gone, pod(OLD, *STABLE)], [bad(query, 118, is_bad=True), nothing(query, 130)]))


def test_the_first_conversion_of_a_pod_counts(promtool: Promtool) -> None:
    """Its series does not exist before."""
    pods = [
        pod(NEW, "0+12x100", "_x20 1x80", "deal_conversions_total"),
        pod(OLD, "0+108x100", "_x20 1x80", "deal_conversions_total"),
    ]
    own = f'crm:business_moment{{rollouts_pod_template_hash="{NEW}", count="conversions"}}'
    promtool.check((pods, [near(f"sum(sum_over_time({own}[1m]))", 1, 60)]))


def simulated(odds: Odds, *, ratio: float, share: float, releases: int = 4000, moments: int = 300) -> Any:
    """The evidence after each moment of 2 s at 60 requests/s, of which 8 % create a deal where all is well."""
    random = np.random.default_rng(7)
    requests = 120
    n = random.binomial(requests, share, (releases, moments))
    own = random.binomial(n, 0.08 * ratio)
    others = random.binomial(requests - n, 0.08)
    compared = np.where((n > 0) & (n < requests), 1, 0)
    return odds.evidence(np.maximum(n, 1), np.maximum(requests - n, 1), own * compared, others * compared)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
@pytest.mark.parametrize(("ratio", "accused"), [(HALF, 0.01), (0.75, 0.0), (1.0, 0.0)])
def test_the_chance_of_ever_accusing_a_good_release(
    odds: Odds, limit: float, share: float, ratio: float, accused: float
) -> None:
    """Looked at after each of 300 moments, ten minutes: at most 1 in 100 exactly at the limit."""
    assert (simulated(odds, ratio=ratio, share=share) >= limit).any(axis=1).mean() <= accused


@pytest.mark.parametrize(("share", "seconds"), [(0.05, 70), (0.2, 20), (0.5, 14)])
def test_lost_writes_are_found_within_a_step(odds: Odds, limit: float, share: float, seconds: int) -> None:
    found = simulated(odds, ratio=0.0, share=share, moments=100) >= limit
    assert found.any(axis=1).all()
    assert np.percentile(STEP * (1 + found.argmax(axis=1)), 95) <= seconds


@pytest.mark.parametrize(("ratio", "accused"), [(HALF, 0.02), (0.75, 0.0)])
def test_two_minutes_seldom_accuse_anybody_within_an_hour(
    odds: Odds, limit: float, ratio: float, accused: float
) -> None:
    """Each window is a new beginning, which the guarantee does not cover."""
    total = simulated(odds, ratio=ratio, share=0.2, releases=300, moments=1800) + odds.price
    window = total[:, 60:] - total[:, :-60] - odds.price
    assert (window >= limit).any(axis=1).mean() <= accused
