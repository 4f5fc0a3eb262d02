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


VERDICT = VerdictLimits(
    limit=0.05,
    slow=2.0,
    saturation=0.5,
    error_chance=0.01,
    against=("0.6", "1.5", "4", "10", "18"),
    in_favour=("0.3", "0.6", "0.85", "1.0"),
    budget=3000,
)
