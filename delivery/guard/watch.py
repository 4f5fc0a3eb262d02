"""The guard at work: looks at every environment each second, and does what is decided.

Into Git it looks when a Rollout has changed, or every few seconds while a release is on its way.

It keeps nothing that it could not see again, so it may be killed at any moment. What cannot be reached is told once and
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

from delivery import quarantine
from delivery.environments import Environments, fetch_existing
from delivery.errors import Refused
from delivery.git import Repository
from delivery.guard import counts, figures
from delivery.guard.decision import (
    WELL,
    Abort,
    Decision,
    EndSync,
    Heal,
    Nothing,
    PromoteInFull,
    Seen,
    decide,
    denied,
)
from delivery.guard.healing import heal, past_releases
from delivery.guard.liveness import LOOK_SECONDS, Liveness
from delivery.kube import Object, Observed, is_moving
from delivery.texts import one_line
from delivery.verdicts import Count

RUNBOOKS = "docs/runbooks/"
GIT_SECONDS = 30.0
"""For one Git command of the guard, which asks again soon."""
LOG = logging.getLogger(__name__)
_MOST_SAID = 1000  # letters
_EVERY_SECONDS = 1.0
# Of a release on its way in which nothing has changed: Git costs processes, and takes CPU that an abort needs next.
_AGAIN_SECONDS = 5.0


class Cluster(Protocol):
    """What the guard reads and writes in the cluster; each call raises Refused when there is no answer."""

    def rollout(self, environment: str) -> Object | None: ...

    def migration(self, environment: str) -> Object | None: ...

    def application(self, environment: str) -> Object | None: ...

    def observe(self, environment: str) -> Observed: ...

    def promote_in_full(self, environment: str) -> None: ...

    def abort(self, environment: str, version: str) -> None: ...

    def end_sync(self, environment: str) -> None: ...

    def missing_migration_image(self, environment: str) -> str: ...


def now() -> datetime:
    return datetime.now(tz=UTC)


def tell(sentence: str) -> None:
    sys.stdout.write(f"{now():%H:%M:%S} {sentence}\n")
    sys.stdout.flush()


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

    def __post_init__(self) -> None:
        self.liveness.expect("watch", LOOK_SECONDS)

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
            for environment in self.environments:
                self.look(environment)
            stopped.wait(_EVERY_SECONDS)

    def look(self, environment: str) -> None:
        """Look at one environment, and act if that is needed."""
        in_the_way = ""
        try:
            said = self._act(environment)
            figures.LAST_LOOK.labels(environment).set_to_current_time()
        except Refused as refusal:
            in_the_way = said = f"cannot go on: {one_line(refusal, _MOST_SAID)}"
        except Exception as error:
            # Nobody expected it, and still it concerns this environment alone.
            in_the_way = said = f"cannot go on: {one_line(repr(error))}"
            if said != self._told.get(environment):
                LOG.exception("%s:", environment)
        figures.LOOKS.labels(environment, "hindered" if in_the_way else "done").inc()
        self._in_the_way[environment] = in_the_way
        self.liveness.expect("watch", LOOK_SECONDS)
        if said != self._told.get(environment, ""):
            self._told[environment] = said
            if said:
                self.tell(f"{environment}: {said}")

    def _act(self, environment: str) -> str:
        """What was done or what stands in the way; empty where all is well."""
        rollout = self.cluster.rollout(environment)
        if rollout is None:  # a first release has nothing to go back to
            return ""
        migration = self.cluster.migration(environment)
        pressing = _is_in_trouble(rollout, migration) or denied(self.cluster.application(environment))
        if not pressing and (
            not is_moving(rollout.get("status") or {}) or self._was_well(environment, rollout)
        ):
            return ""
        branch = fetch_existing(self.repository)
        seen = self._see(environment, branch, migration)
        if seen is None:
            return ""
        decision = decide(seen)
        if isinstance(decision, Heal) and self.prometheus:
            decision = decide(replace(seen, counts=self._counts(environment, seen)))
        if decision == WELL:
            self._well[environment] = (_version(rollout), time.monotonic())
        return self._do(environment, decision, branch, seen.rollout or rollout)

    def _was_well(self, environment: str, rollout: Object) -> bool:
        """Whether a moment ago nothing was wrong with the Rollout as it is now."""
        version, at = self._well.get(environment, ("", 0.0))
        return version == _version(rollout) and time.monotonic() - at < _AGAIN_SECONDS

    def _counts(self, environment: str, seen: Seen) -> dict[str, Count]:
        pod_hash = ((seen.rollout or {}).get("status") or {}).get("currentPodHash", "")
        return counts.asked(self.prometheus, f"crm-{environment}", pod_hash)

    def _do(self, environment: str, decision: Decision, branch: Environments, rollout: Object) -> str:
        match decision:
            case Heal():
                done = heal(
                    self.repository, environment, decision, branch=branch, now=now(), runbooks=self.runbooks
                )
                if done is None:
                    return ""
                figures.HEALS.labels(environment, str(decision.blame).lower()).inc()
                return f"{done.subject} ({done.commit[:12]})"
            case PromoteInFull():
                self.cluster.promote_in_full(environment)
                return "goes back without the canary's steps"
            case Abort():
                self.cluster.abort(environment, _version(rollout))
                return "aborts the release that Git has left"
            case EndSync():
                self.cluster.end_sync(environment)
                return "ends the sync of the release that Git has left"
            case Nothing(why):
                return "" if decision == WELL else why

    def _see(self, environment: str, branch: Environments, migration: Object | None) -> Seen | None:
        release, commit = branch.release(environment), branch.last_commit(environment)
        if release is None or commit is None:
            return None
        observed = self.cluster.observe(environment)
        return Seen(
            environment=environment,
            now=now(),
            started=self.started,
            commit=commit,
            committed=self.repository.time(commit),
            release=release,
            goes_back=branch.goes_back(commit),
            history=past_releases(self.repository, branch, environment),
            rollout=observed.rollout,
            replica_sets=observed.replica_sets,
            analysis_runs=observed.analysis_runs,
            migration=migration,
            migration_image=self.cluster.missing_migration_image(environment)
            if _is_active(migration)
            else "",
            application=observed.application,
            quarantined=quarantine.digests(branch),
        )


def _is_in_trouble(rollout: Object, migration: Object | None) -> bool:
    """Whether Git has to be asked at once: a migration may not be able to start, and then it stays as it is."""
    failed = bool(((migration or {}).get("status") or {}).get("failed"))
    return bool((rollout.get("status") or {}).get("abort")) or failed or _is_active(migration)


def _version(rollout: Object) -> str:
    return str(rollout["metadata"].get("resourceVersion"))


def _is_active(migration: Object | None) -> bool:
    return bool(((migration or {}).get("status") or {}).get("active"))
