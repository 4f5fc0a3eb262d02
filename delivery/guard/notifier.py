"""Notifies people of every release, promotion and rollback, and when a release is fully promoted.

What happened is read from Git and the cluster, so nothing is lost where a channel cannot be reached for a while. What
was sent is kept in memory alone: at its start it sends what is younger than two minutes, perhaps once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from delivery.errors import Refused
from delivery.gitops.history import Event
from delivery.gitops.release import Release
from delivery.kubernetes.analysis import RequestCount
from delivery.notifications.channels import Channel
from delivery.notifications.messages import Message, of_event, of_promotion

_YOUNG = timedelta(minutes=2)


@dataclass(frozen=True)
class Promoted:
    """A release that is fully promoted: since when it was in Git, and when it was promoted."""

    environment: str
    release: Release
    commit: str
    pod_hash: str
    released: datetime
    promoted: datetime


@dataclass
class Notifier:
    channels: Mapping[str, Channel]
    started: datetime
    request_counts: Callable[[str, str], dict[str, RequestCount]] = lambda _namespace, _pod_hash: {}
    """Of a namespace and a version's pods."""
    _sent: dict[str, set[str]] = field(default_factory=dict)
    """By channel: commits, and `promoted COMMIT in ENVIRONMENT`."""

    def notify(self, events: Iterable[Event], promoted: Iterable[Promoted]) -> str:
        """Send what is new to every channel, oldest first. Returns which could not be reached, and why."""
        if not self.channels:
            return ""
        since = self.started - _YOUNG
        news: list[tuple[datetime, str, Callable[[], Message]]] = [
            (each.at, f"{each.commit} in {each.environment}", partial(of_event, each))
            for each in events
            if each.at >= since
        ]
        news += [
            (each.promoted, f"promoted {each.commit} in {each.environment}", partial(self._of, each))
            for each in promoted
            if each.promoted >= since
        ]
        news.sort(key=lambda one: one[0])
        return "; ".join(filter(None, (self._send(name, news) for name in self.channels)))

    def _send(self, name: str, news: Iterable[tuple[datetime, str, Callable[[], Message]]]) -> str:
        """Send to one channel; on its first error, which is returned, no more until the next time."""
        sent = self._sent.setdefault(name, set())
        for _, key, message in news:
            if key in sent:
                continue
            try:
                self.channels[name](message())
            except Refused as refusal:
                return str(refusal)
            sent.add(key)
        return ""

    def _of(self, each: Promoted) -> Message:
        counts = self.request_counts(f"crm-{each.environment}", each.pod_hash)
        return of_promotion(
            each.environment, each.release.image.version, each.promoted - each.released, counts
        )
