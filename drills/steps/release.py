"""A release over what serves, and what is waited for and done after it."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from delivery.kubernetes.application import Application
from delivery.kubernetes.rollout import RolloutStatus
from drills.fixtures import local_cluster
from drills.fixtures.images import Image
from drills.observe import timeline
from drills.observe.snapshot import Pod, Snapshot
from drills.steps.assertions import ReleaseAssertions, version_of
from drills.steps.disruptions import Disruptions
from drills.steps.duration import minutes, seconds

if TYPE_CHECKING:
    from drills.steps.environment import Environment


class ReleaseAttempt(Disruptions, ReleaseAssertions):
    """An image that Git names since a push, until it is promoted or Git names the one before again."""

    def __init__(self, environment: Environment, image: Image, *, before: Image, pushed_at: float) -> None:
        """`before`: what served everybody when it was pushed."""
        super().__init__(environment, image, before=before, pushed_at=pushed_at)
        self.rolled_back_at: float | None = None
        """When Git was seen to name the release before again, by the guard."""
        self._wanted = image
        self._synced_revision: str | None = None

    def require_sync_of(self, revision: str) -> None:
        """Nothing has arrived before Argo CD has synced that commit."""
        self._synced_revision = revision

    # --- waiting

    def wait_for_first_canary_pod(self, *, within: timedelta) -> None:
        """The first pod of the new version is Ready; `within` counts from the push."""
        left = within - seconds(time.time() - self.wanted_since)
        seen = self._until(lambda seen: bool(self._canary_pods(seen)), left, "a canary pod Ready")
        self._log(seen, "first canary pod Ready", digits=1)

    def wait_for_rollout(self, phase: str, *, within: timedelta) -> None:
        """The Rollout has that phase, with what Git wants: Healthy is fully promoted (or back), Degraded aborted."""

        def is_so(seen: Snapshot) -> bool:
            rollout = seen.rollout
            if not rollout or not self.arrived(seen) or rollout.phase != phase:
                return False
            return rollout.settled if phase == "Healthy" else True

        seen = self._until(is_so, within, f"the Rollout to be {phase} with {version_of(self._wanted)}")
        self._log(seen, f"the Rollout is {phase}")

    def wait_for_argocd(self, *, within: timedelta) -> None:
        """Argo CD has synced what Git wants, and reports it as Healthy."""

        def is_so(seen: Snapshot) -> bool:
            application = seen.application
            return bool(
                application
                and application.wanted_digest == self._wanted.digest
                # After a sync that the guard has ended, nothing may be left to sync.
                and application.operation != "Running"
                and (application.sync, application.health) == ("Synced", "Healthy")
            )

        seen = self._until(is_so, within, f"Argo CD Synced and Healthy with {version_of(self._wanted)}")
        self._log(seen, "Argo CD is Synced and Healthy")

    def wait_until_promoted(self, *, within: timedelta) -> None:
        """What Git wants is the stable version, and Argo CD reports it as Synced and Healthy."""
        self.wait_for_rollout("Healthy", within=within)
        self.wait_for_argocd(within=minutes(2))

    def wait_for_failed_migration(self, *, within: timedelta) -> None:
        """The release's migration has failed for good: its Job tries no more."""

        def failed(_: Snapshot) -> bool:
            found = self.environment.kubernetes.migration(self.environment.namespace)
            return bool(found and found.failure and found.images[0].endswith(self.image.digest))

        self._until(failed, within, f"the migration of {version_of(self.image)} to fail")
        self.environment.log("the migration has failed")

    def wait_for_weight(self, weight: int, *, within: timedelta) -> None:
        """The router gives the canary that share in percent."""
        self._until(
            lambda seen: self.arrived(seen) and seen.canary_weight == weight,
            within,
            f"the canary's weight {weight} %",
        )
        self.environment.log(f"the canary's weight is {weight} %")

    def wait_for_stable_replicas(self, count: int, *, within: timedelta) -> None:
        """The autoscaler wants so many pods, and as many of the stable version are ready."""

        def so_many(seen: Snapshot) -> bool:
            rollout = seen.rollout
            return bool(
                rollout
                and rollout.replicas == count
                and len(seen.ready_pods(rollout.stable_hash)) == count
                and rollout.newest_hash != rollout.stable_hash
            )

        self._until(so_many, within, f"{count} stable pods in the middle of the canary")
        self.environment.log(f"{count} stable pods are ready")

    def wait_for_preview(self, *, within: timedelta) -> None:
        """The new version answers on the preview's host, while users have the version before."""
        environment = self.environment
        host = local_cluster.preview_host(environment.name)
        self._until(
            lambda _: environment.answering_version(host) == self.image.version,
            within,
            f"{version_of(self.image)} to answer on {host}",
        )
        environment.assert_serves(self.before.version)

    def wait_for_approval_step(self, *, within: timedelta) -> None:
        """The Rollout is paused at a step that only a person ends."""
        self._until(
            lambda seen: bool(self.arrived(seen) and seen.rollout and seen.rollout.waits_for_person),
            within,
            "the Rollout to wait for approval",
        )
        self.environment.log("the Rollout waits for approval")

    def wait_until_undecided(self, *, within: timedelta) -> None:
        """A gate has looked as often as it may and knows no answer, so the Rollout waits for a person."""

        def is_so(seen: Snapshot) -> bool:
            rollout = seen.rollout
            return bool(self.arrived(seen) and rollout and rollout.message == "InconclusiveAnalysisRun")

        self._until(is_so, within, f"{version_of(self.image)} to stay undecided")
        self.environment.log("a gate stayed undecided, and the Rollout waits for a person")

    def wait_for_automatic_rollback(self, *, within: timedelta, quarantined: bool) -> None:
        """The guard reverted the release in Git; `within` counts from the abort that was seen.

        `quarantined`: its image is in quarantine since then, or is not.
        """
        environment, before = self.environment, self.before
        ending = timeline.ending(environment.snapshots, self.pushed_at)
        aborted_at = ending.at if ending and ending.kind == "abort" else None
        since = aborted_at or time.time()

        def is_back(_: Snapshot) -> bool:
            release = environment.release_in_git()
            named = release and (release.image.digest, release.revision)
            return named == (before.digest, before.revision)

        left = max(within - seconds(time.time() - since), seconds(0))
        self._until(is_back, left, f"{before.version} in {environment.name}/release.yaml, by the guard")
        push = environment.log_action(f"automatic rollback to {before.version}", kind="push")
        self.rolled_back_at = push.at
        what = "abort" if aborted_at else "drill began to wait for it"
        environment.log(f"Git names {before.version} again {push.at - since:.1f} s after the {what}")
        if environment.quarantined(self.image) != quarantined:
            self._fail(
                f"{version_of(self.image)} {'in' if quarantined else 'not in'} quarantine", "the opposite"
            )
        self._want(before, push.at)

    def wait_for_notification(self, subject: str, *, within: timedelta) -> None:
        """The guard has sent that notification since the push."""
        self._until(
            lambda _: subject in self.environment.inbox.deliveries(self.pushed_at),
            within,
            f"the notification {subject!r}",
        )
        self.environment.log(f"a notification came: {subject}")

    # --- by hand

    def roll_back(self) -> None:
        """`delivery rollback`: the release commit is reverted in Git, and the version before must arrive."""
        self._want(self.before, self.push_rollback())

    def push_rollback(self) -> float:
        """The same, while what the cluster makes of the release is still looked at; when it was pushed."""
        push = self.environment.log_action("push rollback", kind="push")
        self.environment.roll_back(self.image, "a drill ended this release")
        return push.at

    def expect_rollback(self) -> None:
        """Somebody has rolled it back in Git: from now on it is the version before that must arrive."""
        self._want(self.before, time.time())

    def approve(self) -> None:
        """`kubectl argo rollouts promote`, by a person."""
        self.environment.log_action("promote by hand")
        self.environment.rollouts("promote")

    def promote_in_full(self) -> None:
        """`kubectl argo rollouts promote --full`, by a person who does not wait for the gates."""
        self.environment.log_action("promote --full by hand")
        self.environment.rollouts("promote", "--full")

    def abort(self) -> None:
        """`kubectl argo rollouts abort`, by a person."""
        self.environment.log_action("abort by hand")
        self.environment.rollouts("abort")

    def delete_canary_pod(self) -> None:
        self._delete_pod("a canary pod", self._canary_pods)

    # --- how

    def arrived(self, seen: Snapshot) -> bool:
        """Whether the Rollout's controller works on what Git wants now."""
        revision = self._synced_revision
        if revision and not is_synced(seen.application, revision):
            return False
        return has_image(seen.rollout, self._wanted)

    def _want(self, image: Image, since: float) -> None:
        """Since then Git names that image."""
        self._wanted, self.wanted_since = image, since
        if self._synced_revision:
            self._synced_revision = image.revision

    def _log(self, seen: Snapshot, what: str, *, digits: int = 0) -> None:
        self.environment.log(f"{what} {seen.at - self.wanted_since:.{digits}f} s after the push")

    def _canary_pods(self, seen: Snapshot) -> list[Pod]:
        rollout = seen.rollout
        if not rollout or not self.arrived(seen) or rollout.newest_hash == rollout.stable_hash:
            return []
        return seen.ready_pods(rollout.newest_hash)


def has_image(rollout: RolloutStatus | None, image: Image) -> bool:
    """Whether the Rollout's controller works on that image."""
    return bool(rollout and rollout.observed and rollout.image.endswith(image.digest))


def is_synced(application: Application | None, revision: str) -> bool:
    """Whether Argo CD wants that commit of the code and has applied it."""
    if application is None:
        return False
    reported = (application.wanted_revision, application.revision, application.sync)
    return reported == (revision, revision, "Synced")
