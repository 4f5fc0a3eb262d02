"""Tells people of every release, promotion and way back, and when a release has reached everybody.

What happened is read from Git and the cluster, so nothing is lost where somebody cannot be told for a while. What has
been told is kept in memory alone: at its start it tells what is younger than two minutes, perhaps once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from delivery.errors import Refused
from delivery.gitops.history import Event
from delivery.kubernetes.analysis import Count
from delivery.notifications.channels import Channel
from delivery.notifications.messages import Message, of_event, of_promotion

_YOUNG = timedelta(minutes=2)


@dataclass(frozen=True)
class Promoted:
    """A release that has reached everybody: since when it was in Git, and since when everybody has it."""

    environment: str
    version: str
    commit: str
    revision: str
    pod_hash: str
    released: datetime
    promoted: datetime


@dataclass
class Announcer:
    people: Mapping[str, Channel]
    started: datetime
    counts: Callable[[str, str], dict[str, Count]] = lambda _namespace, _pod_hash: {}
    """Of a namespace and a version's pods: how many requests it answered."""
    _told: dict[str, set[str]] = field(default_factory=dict)
    """What each has been told: commits, and `promoted COMMIT in ENVIRONMENT`."""

    def announce(self, events: Iterable[Event], promoted: Iterable[Promoted]) -> str:
        """Channel everybody what is new, oldest first. Says who could not be told of what."""
        if not self.people:
            return ""
        since = self.started - _YOUNG
        news: list[tuple[datetime, str, Callable[[], Message]]] = [
            (each.at, f"{each.commit} in {each.environment}", lambda each=each: of_event(each))  # type: ignore[misc]
            for each in events
            if each.at >= since
        ]
        news += [
            (each.promoted, f"promoted {each.commit} in {each.environment}", lambda each=each: self._of(each))  # type: ignore[misc]
            for each in promoted
            if each.promoted >= since
        ]
        news.sort(key=lambda one: one[0])
        return "; ".join(filter(None, (self._tell(name, news) for name in self.people)))

    def _tell(self, name: str, news: Iterable[tuple[datetime, str, Callable[[], Message]]]) -> str:
        """Channel one of them; the trouble with that, and then no more until the next time."""
        told = self._told.setdefault(name, set())
        for _, key, made in news:
            if key in told:
                continue
            try:
                self.people[name](made())
            except Refused as refusal:
                return str(refusal)
            told.add(key)
        return ""

    def _of(self, each: Promoted) -> Message:
        counts = self.counts(f"crm-{each.environment}", each.pod_hash)
        return of_promotion(each.environment, each.version, each.promoted - each.released, counts)
