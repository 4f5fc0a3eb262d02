"""The maintenance loop: automatic promotion, the record's copy, metrics, notifications, config garbage collection.

A few times a minute, in a thread of its own with a copy of the repository of its own, so that no rollback ever waits.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from delivery.errors import Refused, UnreadableRelease
from delivery.gitops import dora, promoted, quarantine
from delivery.gitops.branch import Change, EnvironmentsBranch, fetch_existing, publish
from delivery.gitops.git import HISTORY_COMMITS, Repository
from delivery.gitops.history import Event, events
from delivery.gitops.promoted import PromotionRecord
from delivery.guard import auto_promotion
from delivery.guard.config_gc import collect_garbage
from delivery.guard.liveness import MAINTENANCE_SECONDS, Liveness, repeating
from delivery.guard.log import Log, now
from delivery.guard.metrics import DELIVERY, DeliveryMetrics
from delivery.guard.notifier import Notifier, Promoted
from delivery.kubernetes.client import Cluster

_PART = "maintenance loop"
# Of the branch the newest commits are read: with fifty a day, so many are three months, and DORA's metrics take one.
# Between this and twice as many, so that what counts up falls once in so many commits and not with each.
_COMMITS = 5000
_EVERY_SECONDS = 15.0
_GARBAGE_SECONDS = 300.0


@dataclass
class MaintenanceLoop:
    cluster: Cluster
    repository: Repository
    environments: Sequence[str]
    promotions: Sequence[auto_promotion.Promotion] = ()
    records: Mapping[str, PromotionRecord] = field(default_factory=dict)
    """What became of each environment's releases; the rollback loop keeps it."""
    log: Log = field(default_factory=Log)
    metrics: DeliveryMetrics = DELIVERY
    notifier: Notifier = field(default_factory=lambda: Notifier({}, now()))
    liveness: Liveness = field(default_factory=Liveness)
    _counted: str | None = None
    """The commit of the branch whose history is in the metrics."""
    _events: list[Event] = field(default_factory=list)
    _committed: dict[str, datetime | None] = field(default_factory=dict)
    """When each revision was committed; None where that is not known."""
    _collected: float = -_GARBAGE_SECONDS

    def running(self, stopped: threading.Event) -> AbstractContextManager[None]:
        """In a thread of its own as long as this lasts."""
        self.liveness.expect(_PART, MAINTENANCE_SECONDS)
        return repeating(_PART, self.run_once, _EVERY_SECONDS, stopped)

    def run_once(self) -> None:
        self.liveness.expect(_PART, MAINTENANCE_SECONDS)
        self.log.attempt("Git", self._run_tasks)

    def _run_tasks(self) -> str:
        branch = fetch_existing(self.repository)
        for each in self.promotions:
            promote = partial(auto_promotion.promote, each, self.cluster, self.repository, branch, now())
            self._run(each.text, promote)
        self._run("record", partial(self._copy, branch))
        self._run("metrics", partial(self._count, branch))
        self._run("quarantine", partial(self._count_quarantined, branch))
        self._run("notifications", partial(self._notify, branch))
        if time.monotonic() - self._collected > _GARBAGE_SECONDS:
            self._collected = time.monotonic()
            for environment in self.environments:
                collect = partial(collect_garbage, self.cluster, environment, now())
                self._run(f"{environment}'s configuration", collect)
        return ""

    def _run(self, name: str, work: Callable[[], str]) -> None:
        self.liveness.expect(_PART, MAINTENANCE_SECONDS)
        self.log.attempt(name, work)

    def _copy(self, branch: EnvironmentsBranch) -> str:
        """Write down on the branch which releases were fully promoted, where that has changed."""

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
        """Bring the metrics of what was delivered up to date."""
        if branch.tip and branch.tip != self._counted:
            most = _COMMITS + self.repository.count(branch.tip) % _COMMITS
            self._events = events(self.repository, branch, most)
            self.metrics.performances = {name: dora.of(name, self._events) for name in self.environments}
            self._counted = branch.tip
        leads, errors = {}, []
        for name in self.environments:
            try:
                leads[name] = self._lead_seconds(name, branch)
            except Refused as refusal:
                errors.append(f"{name}: {refusal}")
        self.metrics.lead_seconds = {name: lead for name, lead in leads.items() if lead is not None}
        return "; ".join(errors)

    def _count_quarantined(self, branch: EnvironmentsBranch) -> str:
        found = quarantine.entries(branch)
        self.metrics.quarantined = {
            (entry.environment, entry.version): entry.since.timestamp() for entry in found
        }
        return ""

    def _notify(self, branch: EnvironmentsBranch) -> str:
        promoted = []
        for name in self.environments:
            with contextlib.suppress(Refused):  # the metrics' task logs it
                promoted += [each] if (each := self._promoted(name, branch)) else []
        return self.notifier.notify(self._events, promoted)

    def _lead_seconds(self, environment: str, branch: EnvironmentsBranch) -> float | None:
        """From the commit of the code to the full promotion of Git's release; None where there was none."""
        found = self._promoted(environment, branch)
        if found is None:
            return None
        revision = found.release.revision
        if revision not in self._committed:
            self.repository.fetch_history(HISTORY_COMMITS)
            known = self.repository.commit_on_remote(revision)
            self._committed[revision] = self.repository.time(revision) if known else None
        committed = self._committed[revision]
        return (found.promoted - committed).total_seconds() if committed else None

    def _promoted(self, environment: str, branch: EnvironmentsBranch) -> Promoted | None:
        """Git's release where it is fully promoted; None where not, or where it is a rollback."""
        rollout, record = self.cluster.rollout(environment), self.records.get(environment)
        at, commit = rollout.promoted_at if rollout else None, branch.last_commit(environment)
        if rollout is None or at is None or commit is None or record is None:
            return None
        try:
            release = branch.release(environment)
        except UnreadableRelease:
            return None
        if release is None or not rollout.is_of(release):
            return None
        found = record.find(release)
        # What came after it was left for it.
        if found is None or found is not record.newest:
            return None
        released = self.repository.time(commit)
        # What changes no pod is promoted as soon as it is in Git.
        return Promoted(environment, release, commit, rollout.stable_hash, released, max(at, released))
