"""What is so before a release, and how something is released over it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from delivery.gitops import branch, git
from delivery.gitops.release import Release
from drills.errors import NotReady
from drills.fixtures import images, local_cluster, settings
from drills.fixtures.images import Image, Recipe
from drills.load.traffic import Traffic
from drills.observe.snapshot import Snapshot
from drills.observe.timeline import Moment
from drills.steps.assertions import LoadAssertions
from drills.steps.disruptions import Disruptions
from drills.steps.release import ReleaseAttempt

if TYPE_CHECKING:
    from drills.steps.environment import Environment


class Given(Disruptions, LoadAssertions):
    """A version serves everybody."""

    def __init__(self, environment: Environment, stable: Image) -> None:
        super().__init__(environment)
        self.stable = stable

    def under(self, load: Traffic) -> Given:
        """Let users send that load from now on."""
        running = self.environment.start_load(load)
        self.environment.log(f"users send {running.rate} requests a second")
        return self

    def after(self, release: ReleaseAttempt) -> Given:
        """The same once that release has been promoted."""
        return Given(self.environment, release.image)

    def wait_for_single_version(self, *, within: timedelta) -> Given:
        """No pod of another version is left: one that is released again meanwhile is taken down and started anew."""

        def no_other(seen: Snapshot) -> bool:
            rollout = seen.rollout
            return bool(rollout) and all(rollout and pod.pod_hash == rollout.stable_hash for pod in seen.pods)

        self.environment.wait_until(no_other, within, "no pod of another version")
        return self

    def wait_for_replicas(self, count: int, *, within: timedelta) -> Given:
        """So many pods are wanted, and as many are ready."""

        def so_many(seen: Snapshot) -> bool:
            wanted = seen.rollout.replicas if seen.rollout else 0
            return wanted == count and sum(pod.ready for pod in seen.pods) >= count

        self.environment.wait_until(so_many, within, f"{count} pods")
        return self

    # --- releases

    def release(self, recipe: Recipe, *, revision: str | None = None) -> ReleaseAttempt:
        """Release an image by `delivery release`; `revision` when not the commit that it was built from."""
        return self._release(images.image(recipe), revision)

    def release_settings(self, revision: str) -> ReleaseAttempt:
        """Release the image that serves already with the settings of another commit."""
        release = self._release(self.stable, revision)
        # The image alone does not tell that they arrived.
        release.require_sync_of(revision)
        return release

    def roll_back(self) -> ReleaseAttempt:
        """`delivery rollback` of what everybody has, to the release before."""
        push = self.environment.log_action("push rollback", kind="push")
        self.environment.roll_back(self.stable, "a drill rolls it back")
        return self._attempt_in_git(push)

    def revert(self, message: str | None = None) -> ReleaseAttempt:
        """`git revert` of the newest commit of the release file, pushed; `message` as a web page's button writes it."""
        push = self.environment.log_action("git revert", kind="push")
        settings.revert_by_hand(branch.path_of(self.environment.name), message=message)
        return self._attempt_in_git(push)

    def restore_by_hand(
        self, image: Image, message: str = "Roll it back in a web page (#12)"
    ) -> ReleaseAttempt:
        """Somebody writes into the release file what it named when the environment had that image."""
        environment = self.environment
        with git.opened(local_cluster.GIT, local_cluster.CHECKOUT) as repository:
            known = branch.fetch(repository).releases(environment.name)
        past = next(each for each in known if each.release.image.digest == image.digest)
        push = environment.log_action(f"roll back to {image.version} by hand", kind="push")
        settings.push_by_hand(branch.path_of(environment.name), past.release.to_yaml(), message)
        return self._attempt_in_git(push)

    def promote_from(self, source: str) -> ReleaseAttempt:
        """`delivery promote`: what another environment has is released here."""
        push = self.environment.log_action(f"promote from {source}", kind="push")
        self.environment.deliver("promote", source, self.environment.name)
        return self._attempt_in_git(push)

    def make(self, target: str, **variables: str) -> ReleaseAttempt:
        """A step of the pipeline changes what this environment has."""
        push = self.environment.log_action(f"make {target}", kind="push")
        self.environment.make(target, **variables)
        return self._attempt_in_git(push)

    def release_by_hand(self, image: Image) -> ReleaseAttempt:
        """Write an image into the release file as a person would who does not use `delivery`, which would refuse it."""
        environment = self.environment
        now = self._release_in_git()
        wanted = replace(now, image=replace(now.image, digest=image.digest, version=image.version))
        push = environment.log_action(f"push {image.version} by hand", kind="push")
        settings.push_by_hand(branch.path_of(environment.name), wanted.to_yaml(), "release by hand")
        return environment.attempt(image, before=self.stable, push=push)

    def undo(self, *, within: timedelta) -> ReleaseAttempt:
        """`kubectl argo rollouts undo`, by a person: for a moment the cluster has not what Git names.

        Returns the attempt to bring that back.
        """
        action = self.environment.log_action("undo by hand")
        wanted = ReleaseAttempt(self.environment, self.stable, before=self.stable, pushed_at=action.at)
        self.environment.rollouts("undo")
        self.environment.wait_until(
            lambda seen: not wanted.arrived(seen), within, "a Rollout without what Git names"
        )
        return wanted

    def _release_in_git(self) -> Release:
        if now := self.environment.release_in_git():
            return now
        raise NotReady(f"{self.environment.name} has no release file that can be read.")

    def _attempt_in_git(self, push: Moment) -> ReleaseAttempt:
        now = self._release_in_git()
        image = Image(now.image.version, now.image.digest, now.revision)
        return self.environment.attempt(image, before=self.stable, push=push)

    def _release(self, image: Image, revision: str | None) -> ReleaseAttempt:
        environment = self.environment
        if environment.quarantined(image):  # by an earlier run of the same drill
            environment.deliver("unquarantine", image.digest, "--reason", "a drill releases it again")
        image = replace(image, revision=revision or environment.revision or settings.another_main())
        # The clock starts before the command does, so that nothing of it is left out.
        push = environment.log_action(f"push {image.version}", kind="push")
        environment.release(image)
        return environment.attempt(image, before=self.stable, push=push)
