"""How well an environment is delivered to: those of DORA's metrics that the branch `environments` knows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from delivery.gitops.history import DEPLOYMENTS, ROLLBACKS, Event


@dataclass(frozen=True)
class Performance:
    """Of one environment. A deployment has failed if the next event was a rollback.

    `restored`: how long each of those was in Git until its rollback.
    """

    environment: str
    deployments: tuple[Event, ...] = ()
    restored: tuple[timedelta, ...] = ()

    @property
    def failed(self) -> int:
        return len(self.restored)


def of(environment: str, events: Iterable[Event], since: datetime | None = None) -> Performance:
    """The metrics of one environment, `events` newest first; `since` leaves out what was deployed before."""
    ordered = [each for each in events if each.environment == environment and each.release][::-1]
    deployed = [
        (each, following)
        for each, following in zip(ordered, [*ordered, None][1:], strict=True)
        if each.kind in DEPLOYMENTS and (since is None or each.at >= since)
    ]
    restored = (after.at - each.at for each, after in deployed if after and after.kind in ROLLBACKS)
    return Performance(environment, tuple(each for each, _ in deployed), tuple(restored))
