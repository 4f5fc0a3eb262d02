"""From when on an analysis calls a version bad or fine: one source for recording rules and for messages about them.

monitoring/ writes these numbers into the rules; they stand here because the guard's image holds delivery/ alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class VerdictLimits:
    """The arithmetic is explained in monitoring/rules/verdicts.yaml."""

    limit: float
    """More than this share of bad requests is too much."""
    slow: float
    """Seconds. A request that takes longer is a bad one; an edge of the application's histogram."""
    saturation: float
    """A version that waits for so much of its time is too slow, however it answers."""
    error_chance: float
    """How often a release that sits exactly at the limit may be judged wrongly."""
    against: tuple[str, ...]
    """λ, the bets that a version is bad: what of a bettor's money is set on each request."""
    in_favour: tuple[str, ...]
    """μ, the bets that it is fine."""
    budget: int
    """Requests from which on the measured share decides."""

    @property
    def proof(self) -> float:
        """The evidence from which on something is proven, as the files write it."""
        return math.floor(-math.log(self.error_chance) * 10) / 10


@dataclass(frozen=True)
class Bets:
    """A version's rate of events is at the limit when it is `ratio` times the others'; each bet is on another rate."""

    ratio: float
    rates: tuple[str, ...]


@dataclass(frozen=True)
class Stream:
    """One kind of events that are compared, by endpoint and method or of all requests (`pooled`)."""

    name: str
    exposed: str
    """What the events are shares of: requests, warm requests, routed requests, or pods."""
    floor: float
    """A share that is larger than the others' by less than this does not matter."""
    pooled: float = 0.0
    """Of the chance of a wrong abort that one over all endpoints may take."""
    each: float = 0.0
    """The same of one endpoint and method."""
    side: str = "more"
    """Of RegressionLimits.bets."""
    edge: str = ""
    """Seconds: the edge of the application's histogram that it is about."""
    status: str = ""
    """The status that it counts, where it counts one alone."""


@dataclass(frozen=True)
class RegressionLimits:
    """The arithmetic is explained in monitoring/rules/regression.yaml and docs/verdicts.md."""

    bets: dict[str, Bets]
    streams: tuple[Stream, ...]
    windows: tuple[str, ...]
    least: int
    """Events of the version itself, below which nothing is proven."""

    def find(self, name: str) -> Stream:
        """Raises StopIteration if there is none of that name."""
        return next(each for each in self.streams if each.name == name)

    def price(self, stream: Stream, *, pooled: bool) -> float:
        """What one of many pays, as a logarithm: one stream of all, one bet of several, one window of two."""
        weight = stream.pooled if pooled else stream.each
        choices = len(self.bets[stream.side].rates) * len(self.windows)
        return math.log(choices / weight)


_ENDPOINTS = 64
"""Pairs of endpoint and method that share a weight; a test counts those of the application."""
_REFUSALS = ("400", "401", "403", "404", "409", "429")
# By how much more of the requests may be slower than so many seconds.
_SLOWER = (("0.1", 0.10), ("0.25", 0.10), ("0.5", 0.05), ("1.0", 0.02), ("2.0", 0.01))
_FEW = 1 / 8 / _ENDPOINTS
# All others: slow and fast at each edge, refused, empty.
_MANY = 3 / 32 / _ENDPOINTS / (2 * len(_SLOWER) + len(_REFUSALS) + 1)

REGRESSION = RegressionLimits(
    bets={
        "more": Bets(2.0, ("4", "20", "100")),
        "less": Bets(0.5, ("0.25", "0.05", "0.01")),
        "equal": Bets(1.0, ("4", "20", "100")),
    },
    streams=(
        Stream("errors", "requests", 0.01, pooled=1 / 2, each=_FEW),
        Stream("lost", "routed", 0.01, pooled=1 / 16),
        Stream("restarts", "pods", 0.0, pooled=1 / 16, side="equal"),
        Stream("unmatched", "requests", 0.05, pooled=1 / 32),
        *(
            Stream(f"slow-{edge}", "warm", floor, pooled=1 / 8 / len(_SLOWER), each=_MANY, edge=edge)
            for edge, floor in _SLOWER
        ),
        *(
            Stream(f"fast-{edge}", "warm", floor, each=_MANY, side="less", edge=edge)
            for edge, floor in _SLOWER
        ),
        *(Stream(f"refused-{status}", "requests", 0.05, each=_MANY, status=status) for status in _REFUSALS),
        Stream("empty", "requests", 0.05, each=_MANY),
    ),
    windows=("10m", "2m"),
    least=4,
)
POOLED = "all"
"""The endpoint and method of all requests together."""
ANSWERS = "refused-.+|unmatched|empty"
"""The streams, as a regular expression, of answers that a release may mean to change: the analysis `answers`."""

VERDICT = VerdictLimits(
    limit=0.05,
    slow=2.0,
    saturation=0.5,
    error_chance=0.01,
    against=("0.6", "1.5", "4", "10", "18"),
    in_favour=("0.3", "0.6", "0.85", "1.0"),
    budget=3000,
)
