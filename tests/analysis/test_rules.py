"""Each step of the recording rules, from the counters to the evidence, against numbers computed in Python."""

from __future__ import annotations

import math
import re

import pytest
import yaml

from tests.analysis.arithmetic import Bets, numbers, rules_named
from tests.analysis.promtool import Expect, Pod, Promtool, counted, near, nothing

NEW, OLD = "new", "old"
# (requests, bad ones): nothing, the first ones, a stray 500, around both proofs, the limit, the budget.
COUNTS = [
    (0, 0),
    (1, 0),
    (1, 1),
    (3, 3),
    (7, 4),
    (60, 1),
    (122, 0),
    (123, 0),
    (400, 20),
    (700, 60),
    (2999, 153),
    (3000, 150),
    (3000, 151),
    (10_000, 490),
    (10_000, 510),
]


def number(
    name: str, *, window: str = "total", question: str = "error-rate", version: str = NEW, bet: str = ""
) -> str:
    """One recorded number, without its labels."""
    return (
        f'sum(crm:verdict_{name}{{question="{question}", workload="crm", namespace="crm-production", '
        f'rollouts_pod_template_hash="{version}", window="{window}", bet="{bet}"}})'
    )


def counts_are(
    n: float, s: float, at: int = 2, *, window: str = "total", question: str = "error-rate"
) -> list[Expect]:
    return [
        near(number("requests", window=window, question=question), n, at),
        near(number("bad", window=window, question=question), s, at),
    ]


def test_the_bets_are_those_of_the_design(bets: Bets) -> None:
    assert bets.against == ("0.6", "1.5", "4", "10", "18")
    assert bets.in_favour == ("0.3", "0.6", "0.85", "1.0")
    assert bets.budget == 3000


@pytest.mark.parametrize(("record", "sign"), [("crm:verdict_bet_bad", 1), ("crm:verdict_bet_fine", -1)])
def test_each_logarithm_is_that_of_its_bet(rules_text: str, record: str, sign: int) -> None:
    for rule in rules_named(rules_text, record):
        bet = sign * float(rule["labels"]["bet"])
        exact = [abs(math.log1p(bet * 0.95)), abs(math.log1p(-bet * 0.05))]
        assert sorted(numbers(rule["expr"])) == pytest.approx(sorted(exact), abs=5e-7)


@pytest.mark.parametrize(("n", "s"), COUNTS)
def test_each_step_computes_what_python_computes(promtool: Promtool, bets: Bets, n: int, s: int) -> None:
    digits = 1e-6 * (n + 1)  # the logarithms in the rules have 6
    expected = [
        *counts_are(n, s),
        *(near(number("bet_bad", bet=bet), bets.bet_bad(bet, n, s), 2, digits) for bet in bets.against),
        *(near(number("bet_fine", bet=bet), bets.bet_fine(bet, n, s), 2, digits) for bet in bets.in_favour),
        near(number("proof_bad"), bets.proof_bad(n, s), 2, digits),
        near(number("proof_fine"), bets.proof_fine(n, s), 2, digits),
        near(number("evidence"), bets.total(n, s), 2, digits),
        # The pod is younger than the windows, so they hold the same; there the measured rate never decides.
        *(
            near(number("evidence", window=window), bets.evidence(n, s), 2, digits)
            for window in ("2m", "5m", "30s")
        ),
        near('sum(crm:verdict_failing{question="error-rate"})', bets.evidence(n, s), 2, digits),
    ]
    promtool.check(([counted(NEW, n, s)], expected))


def test_the_measured_rate_decides_in_total_from_the_budget_on(promtool: Promtool, bets: Bets) -> None:
    assert [bets.total(n, s) for n, s in [(3000, 150), (3000, 151), (10_000, 490), (10_000, 510)]] == [
        -100,
        100,
        -100,
        100,
    ]
    promtool.check(
        *(
            ([counted(NEW, n, s)], [Expect(number("measured"), 2, {"{}": value} if value else {})])
            for n, s, value in [
                (2999, 2999, 0),
                (3000, 147, -100),  # 4.9 %
                (3000, 150, -100),  # exactly 5 % is not above 5 %
                (3000, 153, 100),  # 5.1 %
                (100_000, 4_900, -100),
                (100_000, 5_100, 100),
            ]
        )
    )


def test_without_data_there_is_no_series(promtool: Promtool) -> None:
    elsewhere = counted(NEW, 9, 9, namespace="crm-staging")
    only_probes = (
        Pod(NEW)
        .up()
        .answers("200", "5x10", endpoint="health-ready")
        .answers("200", "5x10", endpoint="metrics")
    )
    no_release = counted("", 9, 9)  # the worker's pods have no version
    everything = '{__name__=~"crm:verdict.*"}'
    promtool.check(
        *(([pod], [nothing(everything, 2)]) for pod in [Pod(NEW).up(), elsewhere, only_probes, no_release])
    )


def test_a_counter_that_is_not_a_number_proves_nothing(promtool: Promtool) -> None:
    broken = Pod(NEW).up().answers("200", "NaN NaN NaN NaN")
    promtool.check(([broken], [nothing(f"{number('evidence')} >= 4.6 or {number('evidence')} <= -4.6", 4)]))


def test_no_errors_yet_are_no_errors(promtool: Promtool) -> None:
    pod = Pod(NEW).up().answers("200", "0+10x30")
    promtool.check(
        ([pod], [*counts_are(0, 0, 0), *counts_are(100, 0, 20), *counts_are(100, 0, 20, window="2m")])
    )


def test_endpoints_methods_and_status_codes_add_up(promtool: Promtool) -> None:
    pod = (
        Pod(NEW)
        .up()
        .answers("200", "40x10")
        .answers("404", "7x10", endpoint="unmatched")
        .answers("201", "5x10", method="POST")
        .answers("500", "2x10")
        .answers("503", "1x10", endpoint="deals-detail")
        .answers("503", "1000x10", endpoint="health")
    )
    promtool.check(([pod], counts_are(55, 3)))


def test_versions_are_counted_apart(promtool: Promtool) -> None:
    pods = [
        counted(NEW, 50, 50, name="crm-new"),
        counted(OLD, 950, 1, name="crm-old"),
        counted(OLD, 950, 1, name="crm-old-2"),
    ]
    promtool.check(
        (
            pods,
            [
                *counts_are(50, 50),
                near(number("requests", version=OLD), 1900, 2),
                near(number("bad", version=OLD), 2, 2),
            ],
        )
    )


@pytest.mark.parametrize(
    "twice",
    [
        Pod(NEW).up().up(endpoint="metrics", instance="10.0.0.1:9000").up(container_id="sidecar"),
        counted(NEW, 0, 0)
        .answers("200", "93x1000", job="other")
        .answers("500", "7x1000", job="other")
        .up(job="other"),
    ],
    ids=["several targets in a pod", "scraped by two monitors"],
)
def test_a_pod_with_several_targets_is_counted_once(promtool: Promtool, twice: Pod) -> None:
    twice.answers("200", "93x1000").answers("500", "7x1000")
    promtool.check(([twice], [*counts_are(100, 7), *counts_are(100, 7, window="2m")]))


def test_a_pod_that_cannot_be_scraped_keeps_its_requests_in_total(promtool: Promtool) -> None:
    pod = Pod(NEW).up("1x5 0x100").answers("200", "93x5 stale").answers("500", "7x5 stale")
    promtool.check(([pod], [*counts_are(100, 7, 60), nothing(number("requests", window="2m"), 60)]))


def test_a_pod_that_is_gone_is_not_judged_again(promtool: Promtool) -> None:
    """A second attempt with the same hash starts from nothing."""
    gone = Pod(NEW, "crm-first-attempt").up("1x5 stale").answers("500", "50x5 stale")
    fresh = Pod(NEW, "crm-second-attempt").up("_x10 1x100").answers("200", "_x10 30x100")
    promtool.check(
        ([gone, fresh], [*counts_are(50, 50, 4), nothing(number("requests"), 14), *counts_are(30, 0, 40)])
    )


def test_a_restarted_container_keeps_its_former_life_in_total(promtool: Promtool) -> None:
    pod = (
        Pod(NEW)
        .up()
        .answers("200", "80x5 stale")
        .answers("500", "20x5 stale")
        .answers("200", "_x6 0+10x20", container_id="c2")
    )
    promtool.check(([pod], [*counts_are(100, 20, 8), *counts_are(200, 20, 32)]))


def test_a_counter_reset_inside_a_container_is_no_false_alarm(promtool: Promtool) -> None:
    """A container starts again: the counters of one pod start at 0."""
    pod = Pod(NEW).up().answers("200", "50x100 0+3x100").answers("500", "1x100 0x3 1x100")
    at = 2 * (101 + 20)
    promtool.check(
        (
            [pod],
            [
                *counts_are(61, 1, at, window="2m"),
                *counts_are(61, 1, at, window="30s"),
                *counts_are(61, 1, at),
            ],
        )
    )


def test_a_window_holds_whole_requests_of_exactly_that_time(promtool: Promtool) -> None:
    pod = (
        Pod(NEW).up().answers("200", "0+20x200").answers("500", "0x160 1+1x40")
    )  # errors in the last 40 steps
    windows = [("30s", 300, 15), ("2m", 1200, 40), ("5m", 3000, 40)]
    expected = [counts_are(good + bad, bad, 400, window=window) for window, good, bad in windows]
    promtool.check(([pod], [*expected[0], *expected[1], *expected[2]]))


def test_prometheus_without_its_history_does_not_raise_an_alarm(promtool: Promtool) -> None:
    """Its pod was replaced: the first samples are large, and nothing is extrapolated from two of them."""
    pod = Pod(NEW).up("_x100 1x100").answers("200", "_x100 9800+1x100").answers("500", "_x100 200+1x100")
    at = 2 * 101  # the 2nd scrape of the new Prometheus: one good and one bad request since the first
    expected = [*counts_are(10_002, 201, at), *counts_are(10_002, 201, at, window="2m")]
    promtool.check(([pod], [*expected, Expect(number("evidence"), at, {"{}": -100})]))


def test_a_failed_scrape_does_not_open_the_window(promtool: Promtool) -> None:
    """Just when the window begins there is a gap of 20 s: a slightly older counter takes its place, not 0."""
    pod = Pod(NEW).up().answers("200", "0+10x50 stale _x9 610+10x100")
    at = 2 * (50 + 5) + 120
    promtool.check(([pod], counts_are(10 * (at / 2) - 500, 0, at, window="2m")))


@pytest.mark.parametrize(
    ("seconds", "slow"),
    [(0.05, 0), (1.9, 0), (2.0, 0), (2.1, 200), (3.0, 200), (60.0, 200)],
    ids=str,
)
def test_slow_is_what_takes_longer_than_two_seconds(
    promtool: Promtool, bets: Bets, seconds: float, slow: int
) -> None:
    evidence = near(number("evidence", question="latency"), bets.total(200, slow), 2, 2e-4)
    promtool.check(
        ([Pod(NEW).up().takes([seconds] * 200)], [*counts_are(200, slow, question="latency"), evidence])
    )


def test_one_slow_request_in_ten_is_seen(promtool: Promtool) -> None:
    pod = Pod(NEW).up().takes([0.1] * 90 + [2.1] * 10)
    promtool.check(([pod], counts_are(100, 10, question="latency")))


def test_a_histogram_without_the_edge_at_two_seconds_gives_no_verdict(promtool: Promtool) -> None:
    pod = Pod(NEW).up().takes([0.1] * 200)
    pod.series = {series: values for series, values in pod.series.items() if 'le="2.0"' not in series}
    promtool.check(([pod], [nothing('crm:verdict_evidence{question="latency"}', 2)]))


def test_the_rules_stay_in_their_namespace(rules_text: str) -> None:
    """Every environment has these rules, in one Prometheus; without this they would write the same series."""
    expressions = [rule["expr"] for group in yaml.safe_load(rules_text)["groups"] for rule in group["rules"]]
    selectors = [selector for expression in expressions for selector in re.findall(r"\{.*?\}", expression)]
    assert len(selectors) > len(expressions)
    assert all('namespace="crm-production"' in selector for selector in selectors)
    assert not re.search(r"crm:verdict_\w+\b(?!\{)", "\n".join(expressions)), "a series without a selector"
