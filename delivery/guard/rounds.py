"""What the guard does beside its looks, a few times a minute: promote, count, sweep.

In a thread of its own with a copy of the repository of its own, so that no way back ever waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from delivery.environments import fetch_existing
from delivery.errors import Refused
from delivery.git import Repository
from delivery.guard import promotion
from delivery.guard.watch import now, tell
from delivery.kube import Object

_EVERY_SECONDS = 15.0


class Cluster(Protocol):
    """What the rounds read and write in the cluster; each call raises Refused when there is no answer."""

    def rollout(self, environment: str) -> Object | None: ...


@dataclass
class Rounds:
    cluster: Cluster
    repository: Repository
    environments: Sequence[str]
    promotions: Sequence[promotion.Promotion] = ()
    tell: Callable[[str], None] = tell
    _told: dict[str, str] = field(default_factory=dict)

    def watch(self, stopped: threading.Event) -> None:
        """Go the round until stopped; should it ever fail, the whole guard stops and is started anew."""
        try:
            while not stopped.is_set():
                self.go()
                stopped.wait(_EVERY_SECONDS)
        finally:
            stopped.set()

    def go(self) -> None:
        """Go the round once."""
        try:
            branch = fetch_existing(self.repository)
        except Refused as refusal:
            self._say("Git", f"cannot go on: {refusal}")
            return
        self._say("Git", "")
        for each in self.promotions:
            self._do(
                str(each), partial(promotion.promote, each, self.cluster, self.repository, branch, now())
            )

    def _do(self, name: str, work: Callable[[], str]) -> None:
        """Do one thing, and say what came of it."""
        try:
            said = work()
        except Refused as refusal:
            said = f"cannot go on: {refusal}"
        self._say(name, said)

    def _say(self, name: str, said: str) -> None:
        if said != self._told.get(name, ""):
            self._told[name] = said
            if said:
                self.tell(f"{name}: {said}")
