"""What the guard does beside its looks, a few times a minute: promote, copy its record, count, announce, sweep.

In a thread of its own with a copy of the repository of its own, so that no way back ever waits for it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Protocol

from delivery.errors import Refused, UnreadableRelease
from delivery.gitops import dora, promoted, quarantine
from delivery.gitops.branch import Change, EnvironmentsBranch, fetch_existing, publish
from delivery.gitops.git import HISTORY_COMMITS, Repository
from delivery.gitops.history import Event, events
from delivery.gitops.promoted import PromotionRecord
from delivery.guard import auto_promotion, metrics
from delivery.guard.config_gc import sweep
from delivery.guard.decision import is_of, promoted_at
from delivery.guard.liveness import ROUND_SECONDS, Liveness
from delivery.guard.notifier import Announcer, Promoted
from delivery.guard.rollback_loop import now, tell
from delivery.kubernetes.client import Object, Observed
from delivery.texts import one_line

LOG = logging.getLogger(__name__)
# Of the branch the newest commits are read: with fifty a day, so many are three months, and DORA's figures look at one.
# Between this and twice as many, so that what counts up falls once in so many commits and not with each.
_COMMITS = 5000
_MOST_SAID = 1000  # letters
_EVERY_SECONDS = 15.0
_SWEEP_SECONDS = 300.0


class Cluster(Protocol):
    """What the rounds read and write in the cluster; each call raises Refused when there is no answer."""

    def rollout(self, environment: str) -> Object | None: ...

    def observe(self, environment: str) -> Observed: ...

    def configurations(self, environment: str) -> dict[str, datetime]: ...

    def workloads(self, environment: str) -> list[Object]: ...

    def delete_configuration(self, environment: str, name: str) -> None: ...


@dataclass
class Rounds:
    cluster: Cluster
    repository: Repository
    environments: Sequence[str]
    promotions: Sequence[auto_promotion.Promotion] = ()
    records: Mapping[str, PromotionRecord] = field(default_factory=dict)
    """What became of each environment's releases; the looks keep it."""
    tell: Callable[[str], None] = tell
    delivered: metrics.Delivered = metrics.DELIVERED
    announcer: Announcer = field(default_factory=lambda: Announcer({}, now()))
    liveness: Liveness = field(default_factory=Liveness)
    _counted: str | None = None
    """The commit of the branch whose history is in the figures."""
    _events: list[Event] = field(default_factory=list)
    _made: dict[str, datetime | None] = field(default_factory=dict)
    """When each revision was committed; None where that is not known."""
    _swept: float = -_SWEEP_SECONDS
    _told: dict[str, str] = field(default_factory=dict)

    def watch(self, stopped: threading.Event) -> None:
        """Go the round until stopped; should that ever end, the whole guard stops and is started anew."""
        try:
            while not stopped.is_set():
                try:
                    self.go()
                except Exception:
                    # Nobody expected it; that no round ends any more is told by /healthz.
                    LOG.exception("a round:")
                stopped.wait(_EVERY_SECONDS)
        finally:
            stopped.set()

    def go(self) -> None:
        """Go the round once."""
        try:
            branch = fetch_existing(self.repository)
        except Refused as refusal:
            self._say("Git", f"cannot go on: {one_line(refusal, _MOST_SAID)}")
            self.liveness.expect("rounds", ROUND_SECONDS)
            return
        self._say("Git", "")
        for each in self.promotions:
            self._do(
                str(each), partial(auto_promotion.promote, each, self.cluster, self.repository, branch, now())
            )
        self._do("record", partial(self._copy, branch))
        self._do("figures", partial(self._count, branch))
        self._do("quarantine", partial(self._count_quarantined, branch))
        self._do("announcements", partial(self._announce, branch))
        if time.monotonic() - self._swept > _SWEEP_SECONDS:
            self._swept = time.monotonic()
            for environment in self.environments:
                self._do(f"{environment}'s configuration", partial(sweep, self.cluster, environment, now()))

    def _copy(self, branch: EnvironmentsBranch) -> str:
        """Write down on the branch which releases reached everybody, where that has changed."""

        def copied(branch: EnvironmentsBranch) -> Change | None:
            there = promoted.copies_of(branch)
            new = [
                name
                for name, record in self.records.items()
                if record.stable and not record.same_promoted(there.get(name))
            ]
            if not new:
                return None
            # One line a release, for whoever reads the log of the branch.
            subjects = ", ".join(
                f"{each.version} in {name}" for name in new if (each := self.records[name].stable)
            )
            text = promoted.copy_text({**there, **self.records})
            return Change({promoted.FILE: text}, f"record {subjects} as promoted\n\nBy: delivery guard\n")

        publish(self.repository, copied, branch)
        return ""

    def _count(self, branch: EnvironmentsBranch) -> str:
        """Bring the figures of what was delivered up to date."""
        if branch.tip and branch.tip != self._counted:
            most = _COMMITS + self.repository.count(branch.tip) % _COMMITS
            self._events = events(self.repository, branch, most)
            self.delivered.performances = {name: dora.of(name, self._events) for name in self.environments}
            self._counted = branch.tip
        leads, troubles = {}, []
        for name in self.environments:
            try:
                leads[name] = self._lead_seconds(name, branch)
            except Refused as refusal:
                troubles.append(f"{name}: {refusal}")
        self.delivered.lead_seconds = {name: lead for name, lead in leads.items() if lead is not None}
        return "; ".join(troubles)

    def _count_quarantined(self, branch: EnvironmentsBranch) -> str:
        found = quarantine.entries(branch)
        self.delivered.quarantined = {
            (entry.environment, entry.version): entry.since.timestamp() for entry in found
        }
        return ""

    def _announce(self, branch: EnvironmentsBranch) -> str:
        promoted = []
        for name in self.environments:
            with contextlib.suppress(Refused):  # the figures tell of it
                promoted += [each] if (each := self._promoted(name, branch)) else []
        return self.announcer.announce(self._events, promoted)

    def _lead_seconds(self, environment: str, branch: EnvironmentsBranch) -> float | None:
        """From the commit of the code to the full promotion of Git's release; None where there was none."""
        found = self._promoted(environment, branch)
        if found is None:
            return None
        revision = found.revision
        if revision not in self._made:
            self.repository.fetch_history(HISTORY_COMMITS)
            known = self.repository.commit_on_remote(revision)
            self._made[revision] = self.repository.time(revision) if known else None
        made = self._made[revision]
        return (found.promoted - made).total_seconds() if made else None

    def _promoted(self, environment: str, branch: EnvironmentsBranch) -> Promoted | None:
        """Git's release where everybody has it; None where not, or where it is a way back."""
        rollout, record = self.cluster.rollout(environment), self.records.get(environment)
        at, commit = promoted_at(rollout), branch.last_commit(environment)
        if rollout is None or at is None or commit is None or record is None:
            return None
        try:
            release = branch.release(environment)
        except UnreadableRelease:
            return None
        if release is None or not is_of(rollout, release):
            return None
        found = record.find(release)
        # What came after it was left for it.
        if found is None or found is not record.newest:
            return None
        released = self.repository.time(commit)
        return Promoted(
            environment,
            release.image.version,
            commit,
            release.revision,
            rollout["status"].get("stableRS", ""),
            released,
            # What changes no pod is promoted as soon as it is in Git.
            max(at, released),
        )

    def _do(self, name: str, work: Callable[[], str]) -> None:
        """Do one thing, and say what came of it."""
        self.liveness.expect("rounds", ROUND_SECONDS)
        try:
            said = work()
        except Refused as refusal:
            said = f"cannot go on: {one_line(refusal, _MOST_SAID)}"
        except Exception as error:
            # Nobody expected it, and still the rest of the round goes on.
            said = f"cannot go on: {one_line(repr(error))}"
            if said != self._told.get(name):
                LOG.exception("%s:", name)
        self._say(name, said)

    def _say(self, name: str, said: str) -> None:
        if said != self._told.get(name, ""):
            self._told[name] = said
            if said:
                self.tell(f"{name}: {said}")


@contextmanager
def going(rounds: Rounds, stopped: threading.Event) -> Iterator[None]:
    """Go the rounds in a thread of its own as long as this lasts."""
    rounds.liveness.expect("rounds", ROUND_SECONDS)
    thread = threading.Thread(target=rounds.watch, args=(stopped,), name="guard-rounds")
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
