"""docs/verdicts.md's table of what the comparison finds, simulated anew with the numbers of the rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from delivery.kubernetes.limits import REGRESSION, VERDICT
from tests.analysis.arithmetic import Comparison
from tests.analysis.promtool import STEP

PAGE = Path(__file__).resolve().parents[2] / "docs/verdicts.md"
RELEASES = 2000
RATE = 40  # requests a second, as in the drills
WEIGHTS = (0.05, 0.2, 0.5)
LONG, AS_IN_DRILLS = (60, 60, 60), (60, 15, 15)  # seconds of each step


@dataclass(frozen=True)
class Outcome:
    aborted: float  # share of the releases
    early: float  # the same before 50 %
    seconds: float  # median, of those that are aborted
    requests: float  # of the canary, likewise


def simulate(
    stream: str,
    stable: float,
    canary: float,
    steps: tuple[int, ...],
    *,
    share: float = 1.0,
    releases: int = RELEASES,
) -> Outcome:
    """Releases whose requests are bad so often. `share`: of the requests that go to the endpoint; 1 is all of them."""
    random = np.random.default_rng(1)
    weights = np.repeat(WEIGHTS, [seconds // STEP for seconds in steps])
    shape = (releases, len(weights))
    asked = (random.poisson(RATE * STEP * weights, shape), random.poisson(RATE * STEP * (1 - weights), shape))
    n, o = asked if share == 1.0 else (random.binomial(each, share) for each in asked)
    own, others = random.binomial(n, canary), random.binomial(o, stable)
    comparison = Comparison(REGRESSION.find(stream), pooled=share == 1.0)
    proven = comparison.evidence(n, o, own, others, asked=asked) >= VERDICT.proof
    aborted, at = proven.any(axis=1), proven.argmax(axis=1)
    if not aborted.any():
        return Outcome(0.0, 0.0, np.nan, np.nan)
    early = proven[:, weights < WEIGHTS[-1]].any(axis=1).mean()
    needed = np.cumsum(n, axis=1)[np.arange(releases), at]
    seconds = float(np.median(STEP * (at[aborted] + 1)))
    return Outcome(float(aborted.mean()), float(early), seconds, float(np.median(needed[aborted])))


def rows() -> list[tuple[str, float, float, float, float, str, str]]:
    """Of the page: stream, stable's rate, the canary's, aborted with long steps and as in drills, seconds, requests."""
    pattern = (
        r"^\| `([\w.-]+)` \| ([\d.]+) → ([\d.]+) % \| ([\d.]+) % \| ([\d.]+) % \| ([\d-]+) / ([\d-]+) \|"
    )
    return [
        (
            name,
            float(stable) / 100,
            float(canary) / 100,
            float(long) / 100,
            float(short) / 100,
            seconds,
            requests,
        )
        for name, stable, canary, long, short, seconds, requests in re.findall(
            pattern, PAGE.read_text(), flags=re.MULTILINE
        )
    ]


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row[0]}-{row[1]:g}-{row[2]:g}")
def test_the_table_is_true(row: tuple[str, float, float, float, float, str, str]) -> None:
    stream, stable, canary, long, short, seconds, requests = row
    outcome = simulate(stream, stable, canary, LONG)
    assert outcome.aborted == pytest.approx(long, abs=0.02)
    assert simulate(stream, stable, canary, AS_IN_DRILLS).aborted == pytest.approx(short, abs=0.02)
    if seconds != "-":
        assert outcome.seconds == pytest.approx(float(seconds), abs=2 * STEP)
        assert outcome.requests == pytest.approx(float(requests), rel=0.1, abs=2)


def test_the_table_has_what_matters() -> None:
    assert len(rows()) >= 18
    assert {row[0] for row in rows()} == {"errors", "slow-2.0", "slow-0.25"}
    # Equal versions, at several rates.
    assert all(row[3] == row[4] == 0 for row in rows() if row[1] == row[2])


@pytest.mark.parametrize(("share", "seconds"), [(0.08, 76), (0.05, 116)])
def test_an_endpoint_that_few_ask_is_found_when_it_always_fails(share: float, seconds: int) -> None:
    """Creations of deals are 8 % of the drills' requests; sign-ins 5 % in theirs."""
    outcome = simulate("errors", 0.0, 1.0, (150, 60, 60), share=share)
    assert outcome.aborted == 1.0
    assert outcome.seconds <= seconds
    refused = simulate("refused-401", 0.0, 1.0, (150, 60, 60), share=share)
    assert refused.aborted == 1.0
    assert refused.seconds <= 1.5 * seconds


@pytest.mark.parametrize("stable", [0.001, 0.01, 0.03])
def test_a_version_at_the_limit_is_hardly_ever_aborted(stable: float) -> None:
    """Exactly twice as bad, for ten minutes at each weight: of 1 in 100 for all streams, half is this one's."""
    for weight in WEIGHTS:
        random = np.random.default_rng(2)
        shape = (RELEASES, 600 // STEP)
        n, o = (random.poisson(RATE * STEP * share, shape) for share in (weight, 1 - weight))
        own, others = random.binomial(n, 2 * stable), random.binomial(o, stable)
        evidence = Comparison(REGRESSION.find("errors"), pooled=True).evidence(n, o, own, others)
        assert (evidence >= VERDICT.proof).any(axis=1).mean() <= 0.005


def test_two_minutes_seldom_accuse_anybody_within_an_hour() -> None:
    """Each window of 2 minutes is a new beginning, which the guarantee does not cover: here of an equal version."""
    random = np.random.default_rng(3)
    shape, window = (200, 3600 // STEP), 120 // STEP
    n, o = (random.poisson(RATE * STEP * share, shape) for share in (0.2, 0.8))
    own, others = random.binomial(n, 0.02), random.binomial(o, 0.02)
    comparison = Comparison(REGRESSION.find("errors"), pooled=True)
    for rate in comparison.bets.rates:
        total = np.cumsum(comparison.bet(rate, np.maximum(n, 1), np.maximum(o, 1), own, others), axis=1)
        accused = total[:, window:] - total[:, :-window] - comparison.price >= VERDICT.proof
        assert accused.any(axis=1).mean() <= 0.005
