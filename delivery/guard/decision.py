"""What is to be done about an environment, from what is observed alone: no clock, no Git, no cluster in here.

The same state always gives the same decision, so a restarted guard goes on where the other stopped, and a repeated
event changes nothing: once Git is rolled back, the aborted Rollout no longer belongs to Git's release.

No two clocks are compared: whether a failed migration or a refused sync is of an earlier try is known by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from functools import cached_property

from delivery.gitops.branch import ReleaseRecord
from delivery.gitops.promoted import identity
from delivery.gitops.release import Release
from delivery.kubernetes.analysis import RequestCount, findings
from delivery.kubernetes.application import Migration
from delivery.kubernetes.client import EnvironmentObjects
from delivery.kubernetes.rollout import RolloutStatus

OLD = timedelta(minutes=20)
# What Argo Rollouts gets to notice a deadline by itself.
_GRACE = timedelta(seconds=15)


@dataclass(frozen=True)
class Rollback:
    """Git returns `to` a release that was fully promoted; `blame` quarantines the image that is left."""

    to: ReleaseRecord
    left: Release
    commit: str
    reasons: tuple[str, ...]
    blame: bool
    handled: str = ""
    """The migration or sync that is the reason, which is none any more."""


@dataclass(frozen=True)
class ScaleToZero:
    """The aborted version loses its pods: Argo Rollouts leaves it its traffic while the stable one lacks a pod."""

    replica_set: str


class Correction(Enum):
    """What is done to the cluster after a rollback, as the guard's log says it."""

    PROMOTE_IN_FULL = "promotes the rollback without the canary's steps"
    # Its users and its processors need not wait for Argo CD's sync.
    ABORT = "aborts the release that Git has left"
    # Argo CD would take up the rollback only after that.
    TERMINATE_SYNC = "terminates the sync of the release that Git has left"


@dataclass(frozen=True)
class Nothing:
    why: str


HEALTHY = Nothing("Nothing is wrong.")
Decision = Rollback | ScaleToZero | Correction | Nothing


@dataclass(frozen=True)
class Failure:
    """Why Git's release failed; `blame` where its image is the reason."""

    at: datetime
    reasons: tuple[str, ...]
    blame: bool = False
    handled: str = ""


@dataclass(frozen=True, kw_only=True)
class ObservedState(EnvironmentObjects):
    """One environment at one moment. `history` has its releases in Git, newest first."""

    environment: str
    now: datetime
    started: datetime
    commit: str
    release: Release
    is_rollback: bool
    """The release was promoted through its gates here before, and nothing speaks against it since."""
    was_promoted: bool = False
    """It was fully promoted here before, through its gates or not."""
    history: tuple[ReleaseRecord, ...] = ()
    migration: Migration | None = None
    missing_image: str = ""
    """Why the image of the migration cannot be had; empty where it can, or where that is not known."""
    request_counts: Mapping[str, RequestCount] = field(default_factory=dict)
    """The canary's by analysis, where Prometheus answered."""
    quarantined: frozenset[str] = frozenset()
    handled: str = ""
    """The failed migration or refused sync that was rolled back last."""
    frozen: str = ""
    """Why the commit should not have been pushed: the environment was frozen. Empty where it was not."""
    before: ReleaseRecord | None = None
    """The release that was promoted before Git's, where Git's is stable already."""

    @cached_property
    def failure(self) -> Failure | None:
        return next(filter(None, (find(self) for find in _FAILURES)), None)

    @cached_property
    def stable_release(self) -> ReleaseRecord | None:
        """The release in Git that the stable ReplicaSet runs; by image alone where it names no commit."""
        stable = self.replica_set(self.rollout.stable_hash) if self.rollout else None
        if stable is None:
            return None
        same_image = [past for past in self.history if past.release.image.digest == stable.digest]
        exact = sorted(
            (past for past in same_image if past.release.revision == stable.revision),
            key=lambda past: past.release.strategy != stable.strategy,
        )
        others = (past for past in same_image if identity(past.release) != identity(self.release))
        return next(iter(exact), None) or next(others, None)

    @cached_property
    def rollback(self) -> Rollback | None:
        """The rollback of a release that failed; None where nothing failed, or Git names no other release to take."""
        failure, to = self.failure, self.stable_release
        if to and identity(to.release) == identity(self.release):
            to = self.before if self.frozen else None
        if failure is None or to is None:
            return None
        same_image = to.release.image.digest == self.release.image.digest
        # What was fully promoted before is not to blame for a rollback to it that did not arrive.
        blame = failure.blame and not same_image and not self.was_promoted
        return Rollback(to, self.release, self.commit, failure.reasons, blame, failure.handled)

    @cached_property
    def lingering_canary(self) -> str:
        """The ReplicaSet of an aborted canary that still has traffic and pods; empty where there is none.

        Argo Rollouts does not set the weight to 0 while the stable version has fewer ready pods than it should have.
        """
        rollout = self.rollout
        if (
            not (rollout and rollout.observed and rollout.aborted and rollout.is_moving)
            or rollout.routers is None
        ):
            return ""
        stable, newest = self.replica_set(rollout.stable_hash), self.replica_set(rollout.newest_hash)
        if stable is None or newest is None or not newest.replicas:
            return ""
        return newest.name if 0 < stable.ready < stable.replicas else ""


def decide(state: ObservedState) -> Decision:
    """By the first rule that says something."""
    for rule in RULES:
        if decision := rule(state):
            return decision
    return HEALTHY


def no_rollout(state: ObservedState) -> Decision | None:
    return None if state.rollout else Nothing("There is no Rollout yet.")


def aborted_canary_keeps_traffic(state: ObservedState) -> Decision | None:
    return ScaleToZero(state.lingering_canary) if state.lingering_canary else None


def rollback_meets_another_release(state: ObservedState) -> Decision | None:
    """Git is rolled back, and a release that it has left is still on its way."""
    rollout = state.rollout
    moving = rollout and rollout.stable_hash and rollout.is_moving and not rollout.aborted
    another = rollout and moving and rollout.observed and not rollout.is_of(state.release)
    return Correction.ABORT if state.is_rollback and another else None


def sync_is_outdated(state: ObservedState) -> Decision | None:
    outdated = state.application and state.application.syncs_outdated_source
    return Correction.TERMINATE_SYNC if outdated else None


def failed(state: ObservedState) -> Decision | None:
    failure, rollback = state.failure, state.rollback
    if failure is None:
        return None
    if failure.at < state.started - OLD:
        return Nothing("The failure is more than 20 minutes older than this guard: a person has to decide.")
    if state.stable_release is None:
        return Nothing("No fully promoted release is known in Git: there is nothing to roll back to.")
    if rollback is None:
        return Nothing("Git names the fully promoted release already.")
    image = rollback.to.release.image
    if image.digest in state.quarantined:
        why = f"The stable release {image.version} is quarantined itself"
        return Nothing(f"{why}: a person has to choose a release to roll back to.")
    return rollback


def rollback_takes_steps(state: ObservedState) -> Decision | None:
    rollout = state.rollout
    steps = rollout and rollout.is_moving and not rollout.promotes_in_full and rollout.is_of(state.release)
    return Correction.PROMOTE_IN_FULL if state.is_rollback and steps else None


# Users first, then whatever a rollback would wait for.
RULES: tuple[Callable[[ObservedState], Decision | None], ...] = (
    no_rollout,
    aborted_canary_keeps_traffic,
    rollback_meets_another_release,
    sync_is_outdated,
    failed,
    rollback_takes_steps,
)


def _denied_by_admission(state: ObservedState) -> Failure | None:
    """The cluster does not take Git's release, so nothing of it runs. The image may be let in once it is signed."""
    application, release = state.application, state.release
    if not application or application.synced_release != (release.image.digest, release.revision):
        return None
    # Each try of a sync counts: the image may be signed by then.
    handled = f"sync {application.started_at} {application.retries}"
    if not application.denied or handled == state.handled:
        return None
    why = f"admission: {release.image.version} is not let in: {application.denied}"
    at = datetime.fromisoformat(application.started_at) if application.started_at else state.started
    return Failure(at, (why,), handled=handled)


def _failed_migration(state: ObservedState) -> Failure | None:
    """Of Git's release; one that was rolled back already was another attempt."""
    migration, image = state.migration, state.release.image
    handled = f"migration {migration.uid}" if migration else ""
    if migration is None or handled == state.handled:
        return None
    if not any(each.endswith(f"@{image.digest}") for each in migration.images):
        return None
    if state.missing_image:
        why = f"image: {image.version} cannot be had: {state.missing_image}"
        return Failure(state.now, (why,), blame=True, handled=handled)
    if migration.failure:
        why = f"migration of {image.version}: {migration.failure}"
        return Failure(migration.failed_at or state.started, (why,), blame=True, handled=handled)
    return None


def _failed_rollout(state: ObservedState) -> Failure | None:
    """Why Argo Rollouts gave up on Git's release, if it did."""
    rollout = state.rollout
    if rollout is None or not rollout.observed or not rollout.is_of(state.release):
        return None
    progress, message = rollout.conditions.get("Progressing"), rollout.message or ""
    stuck = (
        bool(progress and progress.reason == "ProgressDeadlineExceeded")
        or "timed out progressing" in message
        or _is_overdue(state, rollout)
    )
    if not (rollout.aborted or stuck):
        return None
    at = rollout.aborted_at if rollout.aborted else progress and progress.updated
    message = message or (progress.message if progress else "")
    version = state.release.image.version
    runs = filter(rollout.has_run, state.analysis_runs)
    found = [each for run in runs for each in findings(run, version, state.request_counts)]
    reasons = tuple(dict.fromkeys(finding.message for finding in found))
    if stuck:
        # A Rollout's message without its deadline explains nothing.
        why = message if "timed out" in message else "the new pods did not become ready in time"
        reasons += (f"progress: {why}",)
    blame = stuck or any(finding.blames for finding in found)
    return Failure(at or state.started, reasons or (message or "aborted, without a verdict",), blame)


def _is_overdue(state: ObservedState, rollout: RolloutStatus) -> bool:
    """Whether pods are not ready long after the deadline, which Argo Rollouts 1.10 can forget.

    It leaves the deadline out while another ReplicaSet waits to be scaled down, and the mark of one that was scaled
    down on another way stays for ever (docs/decisions/0023).
    """
    progress, newest = rollout.conditions.get("Progressing"), state.replica_set(rollout.newest_hash)
    if not (rollout.deadline_seconds and newest and progress and progress.is_true and progress.updated):
        return False
    if rollout.paused or rollout.at_open_ended_step or newest.ready >= newest.replicas:
        return False
    return state.now > progress.updated + timedelta(seconds=rollout.deadline_seconds) + _GRACE


def _pushed_in_freeze(state: ObservedState) -> Failure | None:
    return Failure(state.now, (f"freeze: {state.frozen}",)) if state.frozen else None


_FAILURES = (_denied_by_admission, _failed_migration, _failed_rollout, _pushed_in_freeze)
