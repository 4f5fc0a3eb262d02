"""The rollback loop: reconciles every environment each second, and does what is decided.

Git is fetched every few seconds, and at once when a release has failed.

What it has to remember is in ConfigMaps, so it may be killed at any moment. What cannot be reached is logged once and
tried again the next time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from delivery.errors import Refused, UnreadableRelease
from delivery.gitops import freeze, promoted, quarantine
from delivery.gitops.branch import EnvironmentsBranch, fetch_existing
from delivery.gitops.git import Repository
from delivery.gitops.promoted import PromotionEntry, PromotionRecord
from delivery.guard import metrics, request_counts
from delivery.guard.decision import (
    HEALTHY,
    Correction,
    Decision,
    Nothing,
    ObservedState,
    Rollback,
    ScaleToZero,
    decide,
)
from delivery.guard.liveness import RECONCILE_SECONDS, Liveness
from delivery.guard.log import Log, now
from delivery.guard.records import Records
from delivery.guard.refusals import Refusals
from delivery.guard.rollback import roll_back
from delivery.kubernetes.analysis import RequestCount
from delivery.kubernetes.application import Migration
from delivery.kubernetes.client import Cluster
from delivery.kubernetes.rollout import RolloutStatus

GIT_SECONDS = 30.0
"""For one Git command of the guard, which tries again soon."""
_PART = "rollback loop"
_EVERY_SECONDS = 1.0
# Where nothing has changed in the cluster: Git costs processes, and takes CPU that an abort needs next.
_AGAIN_SECONDS = 5.0


@dataclass
class _Arrival:
    """The newest commit of an environment's release, and when the guard saw it first."""

    commit: str
    at: datetime
    is_reconciled: bool = False


@dataclass
class RollbackLoop:
    cluster: Cluster
    repository: Repository
    environments: Sequence[str]
    started: datetime = field(default_factory=now)
    log: Log = field(default_factory=Log)
    prometheus: str = ""
    """Where the request counts of a rollback's message come from; empty: it goes without."""
    liveness: Liveness = field(default_factory=Liveness)
    _errors: dict[str, str] = field(default_factory=dict)
    _healthy: dict[str, tuple[str, float]] = field(default_factory=dict)
    """The version of the Rollout with which nothing was wrong, and when."""
    _arrivals: dict[str, _Arrival] = field(default_factory=dict)
    _noted: datetime | None = None
    """When the branch was last read."""
    _branch: EnvironmentsBranch | None = None
    _fetched: float = -_AGAIN_SECONDS

    def __post_init__(self) -> None:
        self.liveness.expect(_PART, RECONCILE_SECONDS)
        self.records = Records(self.cluster, now, self._copy)
        self._refusals = Refusals(self.cluster, self.repository, self._stable_digest)

    def _copy(self, environment: str) -> PromotionRecord | None:
        return promoted.copies_of(self._branch or fetch_existing(self.repository)).get(environment)

    @property
    def is_ready(self) -> bool:
        """Whether it has reconciled an environment, whatever came of it."""
        return bool(self._errors) or not self.environments

    @property
    def errors(self) -> dict[str, str]:
        """Why it cannot act just now, by environment."""
        return {name: error for name, error in list(self._errors.items()) if error}

    def run(self, stopped: threading.Event) -> None:
        """Reconcile all environments until stopped."""
        self.log.write(f"watching {', '.join(self.environments)} and {self.repository.remote}")
        while not stopped.is_set():
            self.fetch_git()
            for environment in self.environments:
                self.reconcile(environment)
            stopped.wait(_EVERY_SECONDS)

    def reconcile(self, environment: str) -> None:
        """Observe one environment, and act if that is needed."""
        error = self.log.attempt(environment, lambda: self._reconcile(environment))
        if not error:
            metrics.LAST_RECONCILIATION.labels(environment).set_to_current_time()
        metrics.RECONCILIATIONS.labels(environment, "failed" if error else "done").inc()
        self._errors[environment] = error
        self.liveness.expect(_PART, RECONCILE_SECONDS)

    def _reconcile(self, environment: str) -> str:
        """What was done or why nothing can be; empty where nothing is wrong."""
        rollout = self.cluster.rollout(environment)
        if rollout is None:  # a first release has nothing to be rolled back to
            return ""
        record = self.records.follow(environment, rollout)
        migration, application = self.cluster.migration(environment), self.cluster.application(environment)
        urgent = (
            rollout.aborted
            # A migration may not be able to start, and then it stays as it is.
            or (migration and (migration.has_failed_pods or migration.is_active))
            or (application and (application.denied or application.syncs_outdated_source))
            or self._is_new(environment)
        )
        if not urgent and (not rollout.is_moving or self._was_healthy(environment, rollout)):
            return ""
        branch = fetch_existing(self.repository)
        self._note(branch)
        try:
            state = self._observe(environment, branch, migration, record)
        except UnreadableRelease:
            self._arrivals[environment].is_reconciled = True  # it stays so until somebody pushes again
            raise
        if state is None:
            return ""
        decision = decide(state)
        if isinstance(decision, Rollback) and self.prometheus:
            decision = decide(replace(state, request_counts=self._request_counts(state)))
        if decision == HEALTHY:
            self._healthy[environment] = (rollout.resource_version, time.monotonic())
        if isinstance(decision, Rollback):
            done = self._roll_back(environment, decision, branch)
        else:
            done = self._change_cluster(environment, decision, state.rollout or rollout)
        self._arrivals[environment].is_reconciled = True
        return done

    def fetch_git(self) -> None:
        """Note, every few seconds, what has been pushed, and keep what admission refuses as the quarantine has it."""
        if time.monotonic() - self._fetched >= _AGAIN_SECONDS:
            self._fetched = time.monotonic()
            self.log.attempt("Git", self._fetch_git)

    def _fetch_git(self) -> str:
        self._branch = fetch_existing(self.repository)
        self._note(self._branch)
        return self._refusals.follow(self._branch, self.records.known)

    def _note(self, branch: EnvironmentsBranch) -> None:
        """What is new on the branch: it arrived since the branch was last read, or before the guard's start."""
        at = now()
        for environment in self.environments:
            commit, known = branch.last_commit(environment), self._arrivals.get(environment)
            if commit and (known is None or known.commit != commit):
                made = self.repository.time(commit)
                self._arrivals[environment] = _Arrival(commit, max(self._noted or made, min(at, made)))
        self._noted = at

    def _is_new(self, environment: str) -> bool:
        arrival = self._arrivals.get(environment)
        return arrival is not None and not arrival.is_reconciled

    def _stable_digest(self, environment: str) -> str:
        record = self.records.known.get(environment)
        return record.stable.digest if record and record.stable else ""

    def _was_healthy(self, environment: str, rollout: RolloutStatus) -> bool:
        """Whether a moment ago nothing was wrong with the Rollout as it is now."""
        version, at = self._healthy.get(environment, ("", 0.0))
        return version == rollout.resource_version and time.monotonic() - at < _AGAIN_SECONDS

    def _request_counts(self, state: ObservedState) -> dict[str, RequestCount]:
        pod_hash = state.rollout.newest_hash if state.rollout else ""
        return request_counts.fetch(self.prometheus, f"crm-{state.environment}", pod_hash)

    def _change_cluster(self, environment: str, decision: Decision, rollout: RolloutStatus) -> str:
        match decision:
            case ScaleToZero(replica_set):
                self.cluster.scale_to_zero(environment, replica_set)
                return f"scales the aborted {replica_set}, which keeps its traffic, to zero"
            case Correction.PROMOTE_IN_FULL:
                self.cluster.promote_in_full(environment, rollout)
            case Correction.ABORT:
                self.cluster.abort(environment, rollout)
            case Correction.TERMINATE_SYNC:
                self.cluster.terminate_sync(environment)
            case Nothing(why) if decision != HEALTHY:
                return why
        return decision.value if isinstance(decision, Correction) else ""

    def _roll_back(self, environment: str, decision: Rollback, branch: EnvironmentsBranch) -> str:
        left = promoted.PromotionEntry.of(decision.left, promoted.ABORTED, now())
        record = self.records.known.get(environment, PromotionRecord()).with_aborted(left)
        if decision.handled:
            record = replace(record, handled=decision.handled)
        done = roll_back(
            self.repository,
            environment,
            decision,
            branch=branch,
            now=now(),
            records={**self.records.known, environment: record},
        )
        if done is None:
            return ""
        self.records.write(environment, record)
        self._fetched = -_AGAIN_SECONDS  # what is quarantined now is refused at once
        metrics.ROLLBACKS.labels(environment, str(decision.blame).lower()).inc()
        return str(done)

    def _observe(
        self,
        environment: str,
        branch: EnvironmentsBranch,
        migration: Migration | None,
        record: PromotionRecord,
    ) -> ObservedState | None:
        release, commit = branch.release(environment), branch.last_commit(environment)
        if release is None or commit is None:
            return None
        objects = self.cluster.observe(environment)
        quarantined = quarantine.digests(branch)
        before = [each for each in record.targets if each.identity != promoted.identity(release)]
        missing = migration and migration.is_active and self.cluster.missing_migration_image(environment)
        return ObservedState(
            **vars(objects),
            environment=environment,
            now=now(),
            started=self.started,
            commit=commit,
            release=release,
            is_rollback=record.skips_steps(release, quarantined),
            was_promoted=record.find(release) is not None,
            history=branch.releases(environment),
            migration=migration,
            missing_image=missing or "",
            quarantined=quarantined,
            handled=record.handled,
            frozen=self._frozen(environment, branch, commit, record.find(release)),
            before=promoted.release_record(branch, environment, before[-1]) if before else None,
        )

    def _frozen(
        self, environment: str, branch: EnvironmentsBranch, commit: str, entry: PromotionEntry | None
    ) -> str:
        """Why that commit should not have been pushed; empty where it was allowed, or where that is not known."""
        arrived = self._arrivals[environment].at
        # What was fully promoted before it was pushed is a rollback, whoever made it and however.
        is_rollback = entry is not None and entry.since <= arrived
        if is_rollback or freeze.DESPITE.search(self.repository.message(commit)):
            return ""
        try:
            found = freeze.frozen(branch, environment, arrived) and freeze.frozen(branch, environment, now())
        except Refused:
            return ""
        how = f"if it cannot wait, add to the commit's message {freeze.TRAILER}: REASON"
        return f"{found}; {how}" if found else ""
