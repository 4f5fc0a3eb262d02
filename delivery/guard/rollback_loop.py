"""The guard at work: looks at every environment each second, and does what is decided.

Into Git it looks every few seconds, and at once when a Rollout is in trouble.

What it has to remember is in ConfigMaps, so it may be killed at any moment. What cannot be reached is told once and
tried again with the next look.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Protocol

from delivery.errors import Refused, UnreadableRelease
from delivery.gitops import freeze, promoted, quarantine
from delivery.gitops.branch import EnvironmentsBranch, fetch_existing
from delivery.gitops.git import Repository
from delivery.gitops.promoted import PromotionEntry, PromotionRecord
from delivery.guard import metrics, request_counts
from delivery.guard.decision import (
    WELL,
    Abort,
    Decision,
    EndSync,
    Heal,
    Nothing,
    PromoteInFull,
    ScaleToZero,
    Seen,
    decide,
    denied,
    works_on_another,
)
from delivery.guard.liveness import LOOK_SECONDS, Liveness
from delivery.guard.records import Records
from delivery.guard.refusals import Refusals
from delivery.guard.rollback import heal
from delivery.kubernetes.analysis import Count
from delivery.kubernetes.client import Object, Observed, is_moving
from delivery.texts import one_line

RUNBOOKS = "docs/runbooks/"
GIT_SECONDS = 30.0
"""For one Git command of the guard, which asks again soon."""
LOG = logging.getLogger(__name__)
_MOST_SAID = 1000  # letters
_EVERY_SECONDS = 1.0
# Where nothing has changed in the cluster: Git costs processes, and takes CPU that an abort needs next.
_AGAIN_SECONDS = 5.0


class Cluster(Protocol):
    """What the guard reads and writes in the cluster; each call raises Refused when there is no answer."""

    def rollout(self, environment: str) -> Object | None: ...

    def migration(self, environment: str) -> Object | None: ...

    def application(self, environment: str) -> Object | None: ...

    def observe(self, environment: str) -> Observed: ...

    def promote_in_full(self, environment: str, version: str) -> None: ...

    def scale_to_zero(self, environment: str, replica_set: str) -> None: ...

    def kept(self, name: str, key: str) -> str: ...

    def keep(self, name: str, key: str, text: str) -> None: ...

    def abort(self, environment: str, version: str) -> None: ...

    def end_sync(self, environment: str) -> None: ...

    def missing_migration_image(self, environment: str) -> str: ...


def now() -> datetime:
    return datetime.now(tz=UTC)


def tell(sentence: str) -> None:
    sys.stdout.write(f"{now():%H:%M:%S} {sentence}\n")
    sys.stdout.flush()


@dataclass
class _Arrival:
    """The newest commit of an environment's release, and when the guard saw it first."""

    commit: str
    at: datetime
    is_looked_at: bool = False


@dataclass
class Guard:
    cluster: Cluster
    repository: Repository
    environments: Sequence[str]
    started: datetime = field(default_factory=now)
    tell: Callable[[str], None] = tell
    runbooks: str = RUNBOOKS
    prometheus: str = ""
    """Where the counts of a heal's message come from; empty: it goes without."""
    liveness: Liveness = field(default_factory=Liveness)
    _told: dict[str, str] = field(default_factory=dict)
    _in_the_way: dict[str, str] = field(default_factory=dict)
    _well: dict[str, tuple[str, float]] = field(default_factory=dict)
    """The version of the Rollout with which all was well, and when."""
    _arrivals: dict[str, _Arrival] = field(default_factory=dict)
    _noted: datetime | None = None
    """When the branch was last looked at."""
    _branch: EnvironmentsBranch | None = None
    _fetched: float = -_AGAIN_SECONDS

    def __post_init__(self) -> None:
        self.liveness.expect("watch", LOOK_SECONDS)
        self.records = Records(self.cluster, now, self._copy)
        self._refusals = Refusals(self.cluster, self.repository, self._stable_digest)

    def _copy(self, environment: str) -> PromotionRecord | None:
        return promoted.copy_of(self._branch or fetch_existing(self.repository), environment)

    @property
    def has_looked(self) -> bool:
        """At an environment, whatever came of it."""
        return bool(self._in_the_way) or not self.environments

    @property
    def hindrances(self) -> dict[str, str]:
        """Why it cannot act just now, by environment."""
        return {name: why for name, why in list(self._in_the_way.items()) if why}

    def watch(self, stopped: threading.Event) -> None:
        """Look at all environments until stopped."""
        self.tell(f"watching {', '.join(self.environments)} and {self.repository.remote}")
        while not stopped.is_set():
            self.look_into_git()
            for environment in self.environments:
                self.look(environment)
            stopped.wait(_EVERY_SECONDS)

    def look(self, environment: str) -> None:
        """Look at one environment, and act if that is needed."""
        in_the_way = ""
        try:
            said = self._act(environment)
            metrics.LAST_LOOK.labels(environment).set_to_current_time()
        except Refused as refusal:
            in_the_way = said = f"cannot go on: {one_line(refusal, _MOST_SAID)}"
        except Exception as error:
            # Nobody expected it, and still it concerns this environment alone.
            in_the_way = said = f"cannot go on: {one_line(repr(error))}"
            if said != self._told.get(environment):
                LOG.exception("%s:", environment)
        metrics.LOOKS.labels(environment, "hindered" if in_the_way else "done").inc()
        self._in_the_way[environment] = in_the_way
        self.liveness.expect("watch", LOOK_SECONDS)
        self._say(environment, said)

    def _say(self, name: str, said: str) -> None:
        if said != self._told.get(name, ""):
            self._told[name] = said
            if said:
                self.tell(f"{name}: {said}")

    def _act(self, environment: str) -> str:
        """What was done or what stands in the way; empty where all is well."""
        rollout = self.cluster.rollout(environment)
        if rollout is None:  # a first release has nothing to go back to
            return ""
        record = self.records.follow(environment, rollout)
        migration, application = self.cluster.migration(environment), self.cluster.application(environment)
        pressing = (
            _is_in_trouble(rollout, migration)
            or denied(application)
            or works_on_another(application)
            or self._is_new(environment)
        )
        if not pressing and (
            not is_moving(rollout.get("status") or {}) or self._was_well(environment, rollout)
        ):
            return ""
        branch = fetch_existing(self.repository)
        self._note(branch)
        try:
            seen = self._see(environment, branch, migration, record)
        except UnreadableRelease:
            self._arrivals[environment].is_looked_at = True  # it stays so until somebody pushes again
            raise
        if seen is None:
            return ""
        decision = decide(seen)
        if isinstance(decision, Heal) and self.prometheus:
            decision = decide(replace(seen, counts=self._counts(environment, seen)))
        if decision == WELL:
            self._well[environment] = (_version(rollout), time.monotonic())
        done = self._do(environment, decision, branch, seen.rollout or rollout)
        self._arrivals[environment].is_looked_at = True
        return done

    def look_into_git(self) -> None:
        """Note, every few seconds, what has been pushed, and keep what admission refuses as the quarantine has it."""
        if time.monotonic() - self._fetched < _AGAIN_SECONDS:
            return
        self._fetched = time.monotonic()
        try:
            self._branch = fetch_existing(self.repository)
            self._note(self._branch)
            said = self._refusals.follow(self._branch, self.records.known)
        except Refused as refusal:
            said = f"cannot go on: {one_line(refusal, _MOST_SAID)}"
        except Exception as error:
            said = f"cannot go on: {one_line(repr(error))}"
            if said != self._told.get("Git"):
                LOG.exception("Git:")
        self._say("Git", said)

    def _note(self, branch: EnvironmentsBranch) -> None:
        """What is new on the branch: it arrived since the last look there, and before that if the guard had none."""
        at = now()
        for environment in self.environments:
            commit, known = branch.last_commit(environment), self._arrivals.get(environment)
            if commit and (known is None or known.commit != commit):
                made = self.repository.time(commit)
                self._arrivals[environment] = _Arrival(commit, max(self._noted or made, min(at, made)))
        self._noted = at

    def _is_new(self, environment: str) -> bool:
        arrival = self._arrivals.get(environment)
        return arrival is not None and not arrival.is_looked_at

    def _stable_digest(self, environment: str) -> str:
        record = self.records.known.get(environment)
        return record.stable.digest if record and record.stable else ""

    def _was_well(self, environment: str, rollout: Object) -> bool:
        """Whether a moment ago nothing was wrong with the Rollout as it is now."""
        version, at = self._well.get(environment, ("", 0.0))
        return version == _version(rollout) and time.monotonic() - at < _AGAIN_SECONDS

    def _counts(self, environment: str, seen: Seen) -> dict[str, Count]:
        pod_hash = ((seen.rollout or {}).get("status") or {}).get("currentPodHash", "")
        return request_counts.asked(self.prometheus, f"crm-{environment}", pod_hash)

    def _do(self, environment: str, decision: Decision, branch: EnvironmentsBranch, rollout: Object) -> str:
        if isinstance(decision, Heal):
            return self._heal(environment, decision, branch)
        return self._act_in_cluster(environment, decision, rollout)

    def _heal(self, environment: str, decision: Heal, branch: EnvironmentsBranch) -> str:
        left = promoted.PromotionEntry.of(decision.left, promoted.ABORTED, now())
        record = self.records.known.get(environment, PromotionRecord()).with_aborted(left)
        if decision.handled:
            record = replace(record, handled=decision.handled)
        done = heal(
            self.repository,
            environment,
            decision,
            branch=branch,
            now=now(),
            runbooks=self.runbooks,
            records={**self.records.known, environment: record},
        )
        if done is None:
            return ""
        self.records.write(environment, record)
        self._fetched = -_AGAIN_SECONDS  # what is quarantined now is refused at once
        metrics.HEALS.labels(environment, str(decision.blame).lower()).inc()
        return f"{done.subject} ({done.commit[:12]})"

    def _act_in_cluster(self, environment: str, decision: Decision, rollout: Object) -> str:
        match decision:
            case PromoteInFull():
                self.cluster.promote_in_full(environment, _version(rollout))
                return "goes back without the canary's steps"
            case ScaleToZero(replica_set):
                self.cluster.scale_to_zero(environment, replica_set)
                return f"takes the pods of the aborted {replica_set} away, which keeps its traffic"
            case Abort():
                self.cluster.abort(environment, _version(rollout))
                return "aborts the release that Git has left"
            case EndSync():
                self.cluster.end_sync(environment)
                return "ends the sync of the release that Git has left"
            case Nothing(why) if decision != WELL:
                return why
        return ""

    def _see(
        self, environment: str, branch: EnvironmentsBranch, migration: Object | None, record: PromotionRecord
    ) -> Seen | None:
        release, commit = branch.release(environment), branch.last_commit(environment)
        if release is None or commit is None:
            return None
        observed = self.cluster.observe(environment)
        quarantined = quarantine.digests(branch)
        before = [each for each in record.standing if each.identity != promoted.identity(release)]
        return Seen(
            environment=environment,
            now=now(),
            started=self.started,
            commit=commit,
            release=release,
            is_rollback=record.skips_steps(release, quarantined),
            was_promoted=record.find(release) is not None,
            history=branch.releases(environment),
            rollout=observed.rollout,
            replica_sets=observed.replica_sets,
            analysis_runs=observed.analysis_runs,
            migration=migration,
            migration_image=self.cluster.missing_migration_image(environment)
            if _is_active(migration)
            else "",
            application=observed.application,
            quarantined=quarantined,
            handled=record.handled,
            frozen=self._frozen(environment, branch, commit, record.find(release)),
            before=promoted.release_record(branch, environment, before[-1]) if before else None,
        )

    def _frozen(
        self, environment: str, branch: EnvironmentsBranch, commit: str, entry: PromotionEntry | None
    ) -> str:
        """Why that commit should not have been pushed; empty where it was allowed, or where nobody can tell."""
        arrived = self._arrivals[environment].at
        # What everybody had before it was pushed is a rollback, whoever made it and however.
        is_rollback = entry is not None and entry.since <= arrived
        if is_rollback or freeze.DESPITE.search(self.repository.message(commit)):
            return ""
        try:
            found = freeze.frozen(branch, environment, arrived) and freeze.frozen(branch, environment, now())
        except Refused:
            return ""
        return (
            f"{found}; if it cannot wait, say in the commit's message {freeze.TRAILER}: REASON"
            if found
            else ""
        )


def _is_in_trouble(rollout: Object, migration: Object | None) -> bool:
    """Whether Git has to be asked at once: a migration may not be able to start, and then it stays as it is."""
    failed = bool(((migration or {}).get("status") or {}).get("failed"))
    return bool((rollout.get("status") or {}).get("abort")) or failed or _is_active(migration)


def _version(rollout: Object) -> str:
    return str(rollout["metadata"].get("resourceVersion"))


def _is_active(migration: Object | None) -> bool:
    return bool(((migration or {}).get("status") or {}).get("active"))
