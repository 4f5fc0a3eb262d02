"""What is promised to users, and when somebody is notified. When a release is bad: delivery/kubernetes/limits.py.

`python -m monitoring` writes them into the rules, the dashboards and the tables of docs/monitoring.md; the analyses of
analysis-templates/ name some of them themselves, and a test compares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from delivery.kubernetes.limits import VERDICT

Severity = Literal["critical", "warning"]
Duration = str
"""As Prometheus writes it: 30s, 5m, 1h, 3d."""

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: Duration) -> int:
    """Raises KeyError or ValueError for what is no single number with a unit."""
    return int(duration[:-1]) * SECONDS[duration[-1]]


@dataclass(frozen=True)
class Objective:
    """A promise about all requests of users in PERIOD."""

    name: str
    promise: str
    target: float
    """The share of requests that keep it."""

    @property
    def budget(self) -> float:
        """The share that may break it."""
        return round(1 - self.target, 10)


@dataclass(frozen=True)
class Burn:
    """So many times faster than the budget allows, in both windows."""

    rate: float
    long: Duration
    short: Duration
    """Ends the alert soon after the fault has ended."""
    wait: Duration
    severity: Severity

    @property
    def spent(self) -> float:
        """The share of the period's budget that is gone when the long window is full of it."""
        return self.rate * seconds(self.long) / seconds(PERIOD)

    def seen_after(self, objective: Objective) -> float:
        """Seconds from which on the long window is over its limit, when every request breaks the promise.

        A rate over 5 minutes counts a moment's bad requests little by little in the 5 minutes that follow.
        """
        worth = self.rate * objective.budget * seconds(self.long)
        return worth + 150 if worth > 150 else math.sqrt(600 * worth)  # noqa: PLR2004  # half of the 5 minutes


@dataclass(frozen=True)
class Limits:
    """From when on the platform's own parts need somebody."""

    cpu_above_target: float = 1.2
    """Of the autoscaler's target: it has added all pods it may, or does not work."""
    cpu_throttled: float = 0.25
    """Of the periods in which a container ran."""
    memory: float = 0.9
    """Of the limit, at which the kernel ends the container."""
    pool_waiting: float = 0.1
    """Of the time that requests take, waiting for a connection to the database."""
    cache_hits: float = 0.5
    """Of the look-ups; the health checks alone find what they have just written."""
    cache_lookups: float = 0.1
    """A second, below which the share of hits is not judged."""
    queue_length: int = 100
    queue_seconds: int = 300
    beat_seconds: int = 60
    """Without a tick; there is one every 5 s."""
    targets_down: float = 0.1
    certificate_days: int = 10
    """Authorities renew at a third of the lifetime: 15 of 45 days."""
    guard_seconds: int = 300
    """Without a whole reconciliation; there is one every few seconds."""
    quarantined_seconds: int = 3600
    scrape_seconds: float = 0.05
    scrape_series: int = 2000
    """What scraping a pod may cost."""


PERIOD: Duration = "30d"
AVAILABILITY = Objective("availability", "A request is not answered 5xx.", 0.999)
LATENCY = Objective("latency", f"A request is answered within {VERDICT.slow:g} s.", 0.99)
OBJECTIVES = (AVAILABILITY, LATENCY)
# Google's Site Reliability Workbook, chapter 5.
BURNS = (
    Burn(14.4, "1h", "5m", "2m", "critical"),
    Burn(6, "6h", "30m", "15m", "critical"),
    Burn(3, "1d", "2h", "1h", "warning"),
    Burn(1, "3d", "6h", "3h", "warning"),
)
FEWEST_BAD = 10
"""Bad requests in the long window, below which nobody is woken: 1 of 50 requests at night is no trend."""
LIMITS = Limits()

SEEN_AFTER: dict[str, Duration] = {
    "CRMDown": "2m",  # a minute without a ready pod, and as long until none is counted as ready any more
    "HighErrorRate": "4m",  # with so few requests that ten bad ones take that long
    "RolloutStuck": "30s",
    "RolloutPausedTooLong": "30s",
    "RolloutAborted": "30s",
    "ImageQuarantined": "30s",
    "GuardSilent": "5m",
    "ArgoCDOutOfSync": "2m",  # Git is asked every minute
    "ArgoCDDegraded": "1m",
    "HighCPUUsage": "5m",
    "HighMemoryUsage": "1m",
    "DatabasePoolExhausted": "1m",
    "RedisDown": "1m",
    "RedisHitRateLow": "5m",
    "QueueTooLong": "1m",
    "QueueTooOld": "5m",
    "WorkerLost": "2m",  # it may take a minute to end its tasks
    "BeatSilent": "2m",
    "BeatDoubled": "1m",
    "CertificateExpiresSoon": "1m",
    "ScrapeTargetDown": "30s",
    "MetricsSourceAbsent": "7m",  # the new configuration takes a minute or two, and Prometheus looks back 5
    "DeadMansSwitch": "1m",
}
"""How long after its fault begins an alert's expression holds at the latest; then it waits for its `for`.

Those of the budgets: Burn.seen_after.
"""
NOTIFIED_AFTER: Duration = "30s"
"""What scrapes, evaluations and the delivery of the notification may add to that."""

# A person who has not acknowledged a critical alert (a silence is an acknowledgement) is followed by the next.
LEVELS: tuple[Duration, ...] = ("0s", "15m", "30m", "60m")
