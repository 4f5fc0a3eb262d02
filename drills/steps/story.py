"""Drills as stories: given what serves and under which load, when something is released, then this is so.

    given = production.serving("1.0").under(traffic())
    when = given.released(images.errors(share=1.0))
    when.rollout_is("Degraded", within=minutes(2))
    when.failed_requests_are(below=0.01)

Every sentence waits for what it says, never for a time, and fails with what was expected, what was found and where to
look.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import httpx

from delivery.errors import Refused
from delivery.gitops import branch, git, quarantine
from delivery.gitops.release import Release
from delivery.kubernetes.application import Application
from delivery.kubernetes.objects import Object
from drills.errors import DrillFailed, NotReady
from drills.fixtures import argocd, images, inbox, local, settings
from drills.fixtures.images import Image, Recipe
from drills.fixtures.manifests import manifest
from drills.load.results import Record, Request
from drills.load.slow_clients import slow_clients
from drills.load.traffic import RunningTraffic, Traffic
from drills.observe import diagnosis, timeline
from drills.observe.snapshot import Pod, Snapshot
from drills.observe.timeline import Moment
from drills.observe.watcher import Kubernetes, Watcher
from drills.report.result import AlertResult, ScenarioResult

# An environment's first release starts its database and runs all migrations.
_FIRST_RELEASE = timedelta(minutes=5)
_MOST_KINDS_SHOWN = 5
# Of the pods behind the canary Service in a release: a few are usual, 190 were Argo Rollouts in two minds for 30 s.
_MOST_CHANGES = 100


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


class Environment:
    """An environment in one drill, used in a `with`: its end stops load and watch, a failure leaves a diagnosis."""

    def __init__(
        self,
        name: str,
        kubernetes: Kubernetes,
        *,
        drill: str,
        title: str,
        tell: Callable[[str], None] = lambda _: None,
        strategy: str | None = None,
        router: str = "traefik",
    ) -> None:
        """`strategy`: of the releases of this drill; the environment keeps its own otherwise."""
        self.name = name
        self.namespace = f"crm-{name}"
        self.kubernetes = kubernetes
        self.drill = drill
        self.title = title
        self.strategy = strategy
        self.router = router
        self.settings: dict[str, Any] = {}
        """What this drill changes in the local settings; set before its first release."""
        self.tell = tell
        self.folder = local.REPORT / drill
        self.actions: list[Moment] = []
        self.findings: list[str] = []
        self.alerts: dict[str, AlertResult] = {}
        self.load: RunningTraffic | None = None
        self.rushes: list[RunningTraffic] = []
        self.stable: Image | None = None
        self.released: Image | None = None
        self.pushed_at: float | None = None
        self.healed_at: float | None = None
        self.problem: str | None = None
        shutil.rmtree(self.folder, ignore_errors=True)
        self.watcher = Watcher(kubernetes, name)
        self.inbox = inbox.Inbox()

    def __enter__(self) -> Self:
        self.watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                self.failed(str(error) or repr(error))
        finally:
            # Also where a second Ctrl-C has ended the diagnosis.
            self.close()

    def failed(self, problem: str) -> None:
        """Note that the drill failed, and write down what the cluster looks like now."""
        if self.problem is None:
            self.problem = problem
            diagnosis.write(self.name, self.folder / "diagnosis")

    def close(self) -> None:
        """Stop load and watch."""
        try:
            self.record()
        finally:
            self.watcher.stop()

    def record(self) -> Record:
        """Every request of the drill; stops its load."""
        loads = [*([self.load] if self.load else []), *self.rushes]
        records = [load.stop() for load in loads]
        return Record(request for record in records for request in record.requests)

    def result(self) -> ScenarioResult:
        """What the drill did, saw and felt; stops its load."""
        return ScenarioResult(
            name=self.drill,
            title=self.title,
            environment=self.name,
            stable=self.stable.version if self.stable else "?",
            released=self.released.version if self.released else None,
            pushed_at=self.pushed_at,
            record=self.record(),
            snapshots=self.watcher.snapshots,
            actions=self.actions,
            problem=self.problem,
            version_in_git=self.version_in_git(),
            rolled_back_at=self.healed_at,
            findings=self.findings,
            alerts=self.alerts,
        )

    def beside(self, name: str) -> Environment:
        """Another environment in the same drill, to be used in a `with` of its own."""
        return Environment(
            name, self.kubernetes, drill=f"{self.drill}-{name}", title=self.title, tell=self.tell
        )

    def is_given(self, image: Image, *, within: timedelta) -> None:
        """Somebody else releases that image here, and it reaches everybody."""

        def arrived(seen: Snapshot) -> bool:
            rollout = seen.rollout
            return bool(
                rollout
                and rollout.observed
                and rollout.image.endswith(image.digest)
                and rollout.settled
                and rollout.phase == "Healthy"
            )

        self.until(arrived, within, f"{version_of(image)} stable in {self.name}")
        self.tell(f"{self.name} serves {image.version}")

    def release_in_git(self) -> Release | None:
        """What the release file names, None if it cannot be read."""
        try:
            with git.opened(local.GIT, local.CHECKOUT) as repository:
                return branch.fetch(repository).release(self.name)
        except Refused:
            return None

    def version_in_git(self) -> str | None:
        """The version that the release file names, None if it cannot be read."""
        release = self.release_in_git()
        return release.image.version if release else None

    def quarantined(self, image: Image) -> bool:
        """Whether that image must not be released."""
        return image.digest in self.quarantine()

    def quarantine(self) -> list[str]:
        """The digests of the images that must not be released."""
        with git.opened(local.GIT, local.CHECKOUT) as repository:
            return [each.digest for each in quarantine.entries(branch.fetch(repository))]

    @property
    def url(self) -> str:
        """Where the drill's router listens."""
        return local.ROUTERS[self.router]

    @cached_property
    def revision(self) -> str | None:
        """The commit with this drill's settings; None where an image's own revision will do."""
        routed = {"routing": {"provider": self.router}} if self.router != "traefik" else {}
        wanted = settings.merged(self.settings, routed)
        return settings.with_settings(self.name, wanted, file=settings.LOCAL_SETTINGS) if wanted else None

    def options(self, revision: str | None = None) -> list[str]:
        """Of `delivery release`, for this drill's settings or those of another commit."""
        chosen = revision or self.revision
        return [
            *(("--revision", chosen) if chosen else ()),
            *(("--strategy", self.strategy) if self.strategy else ()),
        ]

    def serving(self, version: str | Recipe) -> Given:
        """Bring a version to all users by a release that is promoted at once; nothing to do if they have it."""
        image = images.image(images.good(version) if isinstance(version, str) else version)
        named = self.release_in_git()
        if self.revision:
            image = replace(image, revision=self.revision)
        elif named and named.image.digest == image.digest and settings.is_as_main(named.revision):
            image = replace(image, revision=named.revision)
        if not self._is_in_git(named, image):
            self.deliver("release", "--image", image.reference, "--to", self.name, *self.options())
        promoted: set[str] = set()

        def is_stable(seen: Snapshot) -> bool:
            rollout = seen.rollout
            # Before it is synced, the Rollout may stand well where the commit before it has put it.
            if not rollout or not is_synced(seen.application, image.revision):
                return False
            if not rollout.observed or not rollout.image.endswith(image.digest):
                return False
            if self.strategy and rollout.strategy != self.strategy:
                return False
            if rollout.newest_hash and not rollout.settled and rollout.newest_hash not in promoted:
                self.promote("--full")
                promoted.add(rollout.newest_hash)
            return rollout.settled and rollout.phase == "Healthy" and not seen.canary_weight

        self.until(is_stable, _FIRST_RELEASE, f"{version_of(image)} stable in {self.name}")
        self.until(
            lambda _: self.answering_version() == image.version,
            minutes(1),
            f"{version_of(image)} to answer users",
        )
        self.stable = image
        self.tell(f"{self.name} serves {image.version}")
        return Given(self)

    def _is_in_git(self, named: Release | None, image: Image) -> bool:
        """Whether Git names that release already; `delivery release` would find the same, and take seconds for it."""
        if named is None or self.strategy not in (None, named.strategy):
            return False
        return (named.image.digest, named.revision) == (image.digest, image.revision)

    def answering_version(self, host: str | None = None) -> str | None:
        """The version that answers a user now, or whoever asks for that host."""
        try:
            answer = httpx.get(
                f"{self.url}/health/live/", headers={"Host": host or local.api_host(self.name)}, timeout=5
            )
        except httpx.HTTPError:
            return None
        return answer.headers.get("X-CRM-Version") if answer.is_success else None

    def deliver(self, *arguments: str) -> str:
        """Run the `delivery` command line; what it prints."""
        return local.output([sys.executable, "-m", "delivery", *arguments], seconds=120).strip()

    def rollback_of(self, image: Image) -> list[str]:
        """The words of `delivery rollback` for whoever saw that version."""
        return ["rollback", self.name, "--from", image.version]

    def make(self, target: str, **variables: str) -> str:
        """A step of the pipeline, by the words of its workflow; what it prints."""
        # A verification waits for a canary.
        said = local.output(["make", "--silent", target], env=variables, seconds=1800).strip()
        self.tell(f"make {target}: {said}")
        return said

    def promote(self, *options: str) -> None:
        """`kubectl argo rollouts promote`."""
        self.rollouts("promote", *options)

    def rollouts(self, verb: str, *options: str) -> None:
        """`kubectl argo rollouts` does something with this environment's Rollout."""
        local.output(
            ["kubectl", "argo", "rollouts", verb, local.ROLLOUT, "--namespace", self.namespace, *options]
        )

    def done(self, kind: str, text: str) -> Moment:
        """Write down what the drill does now."""
        action = Moment(time.time(), kind, text)
        self.actions.append(action)
        self.tell(text)
        return action

    def found(self, text: str) -> None:
        """Write down what only this drill measures: the proof's page has it too."""
        self.findings.append(text)
        self.tell(text)

    def refuses(self, *arguments: str, because: str) -> None:
        """`delivery` refuses these arguments with a sentence that has these words, and pushes nothing."""
        before = _tip()
        try:
            said = self.deliver(*arguments)
        except NotReady as refusal:
            if because not in str(refusal):
                self.fail(f"a refusal that says {because!r}", str(refusal))
        else:
            self.fail(f"delivery {' '.join(arguments)} to be refused", said)
        if _tip() != before:
            self.fail("nothing pushed by a refused command", "a new commit on the branch environments")

    def still_serves(self, version: str) -> None:
        """That version answers users, and the canary has no traffic."""
        answering = self.answering_version()
        if answering != version:
            self.fail(f"{version} to answer users", str(answering))

    @contextmanager
    def canary_bypassed(self) -> Iterator[None]:
        """As long as this lasts, somebody's own route sends every request past the canary, whatever its weight."""
        route = manifest("past-canary", host=local.api_host(self.name), namespace=self.namespace)
        self.done("action", "a route past the canary")
        local.output(["kubectl", "apply", "--filename", "-"], stdin=route)
        try:
            yield
        finally:
            self.done("action", "the route past the canary is gone")
            local.output(["kubectl", "delete", "--filename", "-"], stdin=route)

    def argocd_complains(self, *, within: timedelta) -> None:
        """Argo CD says that it cannot read the environment's release file."""
        self.until(
            lambda _: bool(self._complaint()), within, f"an error of the ApplicationSet {self.namespace}"
        )
        self.tell(f"Argo CD says: {self._complaint()}")

    def argocd_looks_again(self) -> None:
        """What a person does who does not want to wait the 3 minutes after which Argo CD looks at an error again."""
        annotation = "argocd.argoproj.io/application-set-refresh"
        for value in (f"{annotation}-", f"{annotation}=true"):
            local.output(
                ["kubectl", "annotate", "applicationset", self.namespace, "--namespace=argocd", value]
            )

    def argocd_complains_no_more(self, *, within: timedelta) -> None:
        self.until(
            lambda _: not self._complaint(), within, f"no error of the ApplicationSet {self.namespace}"
        )

    def argocd_refuses(self, *, because: str, within: timedelta) -> None:
        """Argo CD cannot render the release, with a sentence that has these words."""

        def refused(_: Snapshot) -> bool:
            return because in conditions(self.kubernetes.application(self.name))

        self.until(refused, within, f"an Application that cannot be rendered because of {because!r}")

    def _complaint(self) -> str:
        return conditions(self.kubernetes.application_set(self.name))

    def until(self, condition: Callable[[Snapshot], bool], within: timedelta, expected: str) -> Snapshot:
        """Wait until a snapshot fulfils the condition, and return it.

        Raises DrillFailed after `within`, or when the load ends before.
        """
        deadline = time.monotonic() + within.total_seconds()
        while True:
            seen = self.watcher.wait(2.0)
            if seen and condition(seen):
                return seen
            if self.load:
                self.load.check()
            if time.monotonic() > deadline:
                self.fail(f"{expected} within {within.total_seconds():.0f} s", self._found(seen))

    def fail(self, expected: str, found: str) -> None:
        raise DrillFailed(
            f"Expected {expected}; found {found}. Look at {self.folder} or at:"
            f" kubectl argo rollouts get rollout {local.ROLLOUT} -n {self.namespace}"
        )

    def _found(self, seen: Snapshot | None) -> str:
        trouble = (
            f" (the last look at the cluster failed: {self.watcher.trouble})" if self.watcher.trouble else ""
        )
        return described(seen) + trouble


class Given:
    """What is so before the drill."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment

    @property
    def stable(self) -> Image:
        """What serves everybody."""
        if self.environment.stable is None:
            raise NotReady("A drill begins with serving(…).")
        return self.environment.stable

    def under(self, load: Traffic) -> Given:
        """Let users send that load from now on."""
        environment = self.environment
        environment.load = load.start(environment.name, environment.folder, environment.url)
        environment.tell(f"users send {environment.load.rate} requests a second")
        return self

    def alone(self, *, within: timedelta) -> Given:
        """No pod of another version is left: one that is released again meanwhile is taken down and started anew."""

        def no_other(seen: Snapshot) -> bool:
            rollout = seen.rollout
            return bool(rollout) and all(rollout and pod.pod_hash == rollout.stable_hash for pod in seen.pods)

        self.environment.until(no_other, within, "no pod of another version")
        return self

    def replicas_are(self, count: int, *, within: timedelta) -> Given:
        """So many pods are wanted, and as many are ready."""

        def so_many(seen: Snapshot) -> bool:
            wanted = seen.rollout.replicas if seen.rollout else 0
            return wanted == count and sum(pod.ready for pod in seen.pods) >= count

        self.environment.until(so_many, within, f"{count} pods")
        return self

    def released(self, recipe: Recipe, *, revision: str | None = None) -> When:
        """Release an image by `delivery release`; `revision` when not the commit that it was built from."""
        return self._release(images.image(recipe), revision)

    def released_again(self, revision: str) -> When:
        """Release the image that serves already with the settings of another commit."""
        when = self._release(self.stable, revision)
        when.synced_revision = revision
        return when

    def taken_back(self) -> When:
        """`delivery rollback` of what everybody has, to the release before."""
        environment = self.environment
        push = environment.done("push", "push rollback")
        environment.deliver(*environment.rollback_of(self.stable), "--reason", "a drill takes it back")
        return self._what_git_names(push)

    def reverted(self, message: str | None = None) -> When:
        """`git revert` of the newest commit of the release file, pushed; `message` as a web page's button writes it."""
        environment = self.environment
        push = environment.done("push", "git revert")
        settings.revert_by_hand(branch.path_of(environment.name), message=message)
        return self._what_git_names(push)

    def rolled_back_to(self, image: Image, message: str = "Roll it back in a web page (#12)") -> When:
        """Somebody writes into the release file what it named when the environment had that image."""
        environment = self.environment
        with git.opened(local.GIT, local.CHECKOUT) as repository:
            known = branch.fetch(repository).releases(environment.name)
        past = next(each for each in known if each.release.image.digest == image.digest)
        push = environment.done("push", f"roll back to {image.version} by hand")
        settings.push_by_hand(branch.path_of(environment.name), past.release.to_yaml(), message)
        return self._what_git_names(push)

    def promoted_from(self, source: str) -> When:
        """`delivery promote`: what another environment has is released here."""
        environment = self.environment
        push = environment.done("push", f"promote from {source}")
        environment.deliver("promote", source, environment.name)
        return self._what_git_names(push)

    def made(self, target: str, **variables: str) -> When:
        """A step of the pipeline changes what this environment has."""
        push = self.environment.done("push", f"make {target}")
        self.environment.make(target, **variables)
        return self._what_git_names(push)

    def released_by_hand(self, image: Image) -> When:
        """Write an image into the release file as a person would who does not use `delivery`, which would refuse it."""
        environment = self.environment
        now = environment.release_in_git()
        if now is None:
            raise NotReady("A drill that releases by hand begins with serving(…).")
        wanted = replace(now, image=replace(now.image, digest=image.digest, version=image.version))
        push = environment.done("push", f"push {image.version} by hand")
        settings.push_by_hand(branch.path_of(environment.name), wanted.to_yaml(), "release by hand")
        environment.pushed_at, environment.released = push.at, image
        return When(environment, image)

    def _what_git_names(self, push: Moment) -> When:
        environment = self.environment
        now = environment.release_in_git()
        if now is None:
            raise NotReady(f"{environment.name} has no release file that can be read.")
        image = Image(now.image.version, now.image.digest, now.revision)
        environment.pushed_at, environment.released = push.at, image
        return When(environment, image)

    def _release(self, image: Image, revision: str | None) -> When:
        environment = self.environment
        if environment.quarantined(image):  # by an earlier run of the same drill
            environment.deliver("unquarantine", image.digest, "--reason", "a drill releases it again")
        revision = revision or environment.revision or settings.another_main()
        image = replace(image, revision=revision)
        # The clock starts before the command does, so that nothing of it is left out.
        push = environment.done("push", f"push {image.version}")
        environment.deliver(
            "release", "--image", image.reference, "--to", environment.name, *environment.options(revision)
        )
        environment.pushed_at, environment.released = push.at, image
        return When(environment, image)


class When:
    """What is so after a release."""

    def __init__(self, environment: Environment, image: Image) -> None:
        self.environment = environment
        self.image = image
        self._wanted = image
        self._waiting_since = environment.pushed_at or time.time()
        self._changes_before = self._changes_of_canary_service()
        self.synced_revision: str | None = None
        """The commit that Argo CD must have synced, where the image alone does not tell that the release arrived."""

    # --- waiting

    def first_canary_pod_is_ready(self, *, within: timedelta) -> None:
        """The first pod of the new version is Ready; `within` counts from the push."""
        left = within - seconds(time.time() - self._waiting_since)
        seen = self._until(lambda seen: bool(self._canary_pods(seen)), left, "a canary pod Ready")
        self.environment.tell(f"first canary pod Ready {seen.at - self._waiting_since:.1f} s after the push")

    def rollout_is(self, phase: str, *, within: timedelta) -> None:
        """The Rollout has that phase, with what Git wants: Healthy is fully promoted (or back), Degraded aborted."""

        def is_so(seen: Snapshot) -> bool:
            rollout = seen.rollout
            if not rollout or not self._arrived(seen) or rollout.phase != phase:
                return False
            return rollout.settled if phase == "Healthy" else True

        seen = self._until(is_so, within, f"the Rollout to be {phase} with {version_of(self._wanted)}")
        self.environment.tell(f"the Rollout is {phase} {seen.at - self._waiting_since:.0f} s after the push")

    def migration_fails(self, *, within: timedelta) -> None:
        """The release's migration has failed for good: its Job tries no more."""

        def failed(_: Snapshot) -> bool:
            job = self.environment.kubernetes.migration(self.environment.namespace)
            found = ((job or {}).get("status") or {}).get("conditions") or []
            ended = any(each["type"] == "Failed" and each["status"] == "True" for each in found)
            return bool(job and ended and self._runs_this(job))

        self._until(failed, within, f"the migration of {version_of(self.image)} to fail")
        self.environment.tell("the migration has failed")

    def argocd_is_content(self, *, within: timedelta) -> None:
        """Argo CD has synced what Git wants, and calls it Healthy."""

        def content(seen: Snapshot) -> bool:
            application = seen.application
            return bool(
                application
                and application.wanted_digest == self._wanted.digest
                # After a sync that the guard has ended, nothing may be left to sync.
                and application.operation != "Running"
                and (application.sync, application.health) == ("Synced", "Healthy")
            )

        seen = self._until(content, within, f"Argo CD Synced and Healthy with {version_of(self._wanted)}")
        took = seen.at - self._waiting_since
        self.environment.tell(f"Argo CD is Synced and Healthy {took:.0f} s after the push")

    def weight_is(self, weight: int, *, within: timedelta) -> None:
        """The router gives the canary that share in percent."""
        self._until(
            lambda seen: self._arrived(seen) and seen.canary_weight == weight,
            within,
            f"the canary's weight {weight} %",
        )
        self.environment.tell(f"the canary's weight is {weight} %")

    def replicas_are(self, count: int, *, within: timedelta) -> None:
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
        self.environment.tell(f"{count} stable pods are ready")

    def previewed(self, *, within: timedelta) -> None:
        """The new version answers on the preview's host, while users have the version before."""
        environment = self.environment
        host = local.preview_host(environment.name)
        self._until(
            lambda _: environment.answering_version(host) == self.image.version,
            within,
            f"{version_of(self.image)} to answer on {host}",
        )
        if environment.stable:
            environment.still_serves(environment.stable.version)

    def waits_for_approval(self, *, within: timedelta) -> None:
        """The Rollout stands at a step that only a person ends."""
        self._until(
            lambda seen: bool(self._arrived(seen) and seen.rollout and seen.rollout.waits_for_person),
            within,
            "the Rollout to wait for approval",
        )
        self.environment.tell("the Rollout waits for approval")

    def healed(self, *, within: timedelta, blamed: bool) -> None:
        """The guard put the release before back in Git; `within` counts from the abort that was seen.

        `blamed`: it has quarantined the image as well, or has not.
        """
        environment, before = self.environment, self.environment.stable
        if before is None:
            raise NotReady("A drill that heals begins with serving(…).")
        found = timeline.ending(environment.watcher.snapshots, environment.pushed_at or 0.0)
        since = found.at if found and found.kind == "abort" else time.time()

        def back(_: Snapshot) -> bool:
            release = environment.release_in_git()
            return release is not None and (release.image.digest, release.revision) == (
                before.digest,
                before.revision,
            )

        left = max(within - seconds(time.time() - since), seconds(0))
        environment.until(back, left, f"{before.version} in {environment.name}/release.yaml, by the guard")
        moment = environment.done("push", f"the guard puts {before.version} back")
        environment.healed_at = moment.at
        what = "abort" if found and found.kind == "abort" else "drill began to wait for it"
        environment.tell(f"Git was back {moment.at - since:.1f} s after the {what}")
        if environment.quarantined(self.image) != blamed:
            environment.fail(
                f"{version_of(self.image)} {'in' if blamed else 'not in'} quarantine", "the opposite"
            )
        self._wants(before, moment)

    def is_in_git(self) -> None:
        """The release file still names the release."""
        named = self.environment.release_in_git()
        if named is None or named.image.digest != self.image.digest:
            self.environment.fail(f"{version_of(self.image)} in Git", str(named))

    def was_left_because(self, reason: str) -> None:
        """The newest commit that changed the environment's release gives that reason; its message is shown."""
        environment = self.environment
        with git.opened(local.GIT, local.CHECKOUT) as repository:
            commit = branch.fetch(repository).last_commit(environment.name)
            message = repository.message(commit) if commit else ""
        if reason not in message:
            environment.fail(f"Git to say {reason!r}", message)
        for line in message.splitlines():
            environment.tell(f"  {line}" if line else "")

    def people_are_told(self, subject: str, *, within: timedelta) -> None:
        """Whoever the guard tells of deliveries hears that, or has heard it since the push."""
        since = self.environment.pushed_at or 0.0
        self._until(
            lambda _: subject in self.environment.inbox.deliveries(since),
            within,
            f"people to be told {subject!r}",
        )
        self.environment.tell(f"people were told: {subject}")

    def requests_sent(self) -> int:
        """By the drill's load, since it began."""
        return self._load().sent()

    def load_goes_on(self, *, until_requests: int) -> None:
        """Wait until the drill's load has sent that many requests since it began."""
        load = self._load()
        longest = seconds(max(until_requests - load.sent(), 0) / load.rate + 10)
        self.environment.until(
            lambda _: load.sent() >= until_requests, longest, f"{until_requests} requests sent"
        )

    def requests_go_on(self, count: int) -> None:
        """Wait until so many more requests were sent."""
        self.load_goes_on(until_requests=self.requests_sent() + count)

    def load_ends(self, *, after: int, of_at_least: int) -> None:
        """Wait until so many more requests were sent, and so many in all; nothing if the load has ended."""
        load = self._load()
        if not load.ended:
            # What was sent is reckoned from the time, and some of it is still on its way when the load ends.
            self.load_goes_on(until_requests=max(load.sent(), of_at_least) + after)
            load.stop()

    def stays_so(self, requests: int) -> tuple[float, float]:
        """Wait until so many more requests were sent; from when to when."""
        start = time.time()
        self.requests_go_on(requests)
        return start, time.time()

    # --- actions

    def rolled_back_by_hand(self) -> None:
        """`delivery rollback`: the release commit is taken back in Git."""
        before = self.environment.stable
        if before is None:
            raise NotReady("A drill that rolls back begins with serving(…).")
        self._wants(before, self.left_by_hand())

    def left_by_hand(self) -> Moment:
        """The same, while what the cluster makes of the release that Git has left is still looked at."""
        moment = self.environment.done("push", "push rollback")
        self.environment.deliver(
            *self.environment.rollback_of(self.image), "--reason", "a drill ended this release"
        )
        return moment

    def is_taken_back(self) -> None:
        """Somebody else has taken it back in Git: from now on it is the version before that must arrive."""
        before = self.environment.stable
        if before is None:
            raise NotReady("A drill that takes back begins with serving(…).")
        self._wants(before, Moment(time.time(), "push", f"{before.version} in Git again"))

    def approved(self) -> None:
        """`kubectl argo rollouts promote`, by a person."""
        self.environment.done("action", "promote by hand")
        self.environment.promote()

    def synced_by_hand(self) -> None:
        """`argocd app sync`, with the real command line."""
        self.environment.done("action", "argocd app sync")
        argocd.sync(self.environment.namespace)

    def canary_pod_deleted(self) -> None:
        self._delete("a canary pod", self._canary_pods)

    def stable_pod_deleted(self) -> None:
        self._delete(
            "a stable pod", lambda seen: seen.ready_pods(seen.rollout.stable_hash) if seen.rollout else []
        )

    def prometheus_deleted(self) -> None:
        self._restart("monitoring", "app.kubernetes.io/name=prometheus", "delete Prometheus")

    def guard_deleted(self) -> None:
        """The guard's pod is deleted; its Deployment makes another one, which knows nothing of what was."""
        self._restart("argocd", "app.kubernetes.io/name=delivery-guard", "delete the guard's pod")

    def promoted_in_full_by_hand(self) -> None:
        """`kubectl argo rollouts promote --full`, by a person who does not wait for the gates."""
        self.environment.done("action", "promote --full by hand")
        self.environment.promote("--full")

    def stable_pod_missing(self) -> AbstractContextManager[None]:
        """As long as this lasts the stable version has one pod less than it should have."""
        return self._without_new_pods(self.stable_pod_deleted)

    def redis_missing(self) -> AbstractContextManager[None]:
        """As long as this lasts there is no Redis, and what it held is lost."""

        def delete() -> None:
            self.environment.done("action", "delete Redis")
            self.environment.kubernetes.delete_pod(self.environment.namespace, "redis-0")

        return self._without_new_pods(delete)

    @contextmanager
    def hanging(self, pod: str) -> Iterator[None]:
        """As long as this lasts the pod's processes stand still (SIGSTOP), and take connections all the same."""
        self.environment.done("action", f"stop the processes of {pod}")
        with local.hanging(self.environment.namespace, pod):
            yield
        self.environment.done("action", f"the processes of {pod} go on")

    @contextmanager
    def slow_clients(self, count: int) -> Iterator[None]:
        """As long as this lasts so many clients send a request's body one byte a second."""
        environment = self.environment
        environment.done("action", f"{count} clients send a byte a second")
        with slow_clients(environment.url, local.api_host(environment.name), count) as clients:
            yield
        environment.found(
            f"{clients.sent} bytes on {clients.connections} connections of {count} slow clients"
        )
        if clients.connections < count:
            environment.fail(f"{count} slow clients", f"{clients.connections} connections")

    @contextmanager
    def _without_new_pods(self, delete: Callable[[], None]) -> Iterator[None]:
        """As long as this lasts the node takes no new pod, and what is deleted stays away."""
        (node,) = local.output(["kubectl", "get", "nodes", "--output=name"]).split()
        self.environment.done("action", "cordon the node")
        local.output(["kubectl", "cordon", node.removeprefix("node/")])
        try:
            delete()
            yield
        finally:
            self.environment.done("action", "uncordon the node")
            local.output(["kubectl", "uncordon", node.removeprefix("node/")])

    def guard_down(self) -> AbstractContextManager[None]:
        """As long as this lasts there is no guard."""
        return self._down(
            "the guard",
            lambda replicas: [
                "scale",
                "deployment/delivery-guard",
                "--namespace=argocd",
                f"--replicas={replicas}",
            ],
        )

    def aborted_by_hand(self) -> None:
        """`kubectl argo rollouts abort`, by a person."""
        self.environment.done("action", "abort by hand")
        self.environment.rollouts("abort")

    def undone_by_hand(self, *, within: timedelta) -> None:
        """`kubectl argo rollouts undo`, by a person: for a moment the cluster has not what Git says."""
        self.environment.done("action", "undo by hand")
        self.environment.rollouts("undo")
        self._until(lambda seen: not self._arrived(seen), within, "a Rollout that has not what Git says")

    def pods_replaced(self, *, within: timedelta) -> None:
        """`kubectl argo rollouts restart`, by a person: every web pod makes way for a new one."""
        before = {pod.name for pod in self._until(_has_pods, minutes(1), "web pods").pods}
        self.environment.done("action", "restart by hand")
        self.environment.rollouts("restart")
        self._until(
            lambda seen: _has_others(seen, before),
            within,
            f"{len(before)} new web pods instead of the old ones",
        )

    def pods_evicted(self, *, within: timedelta) -> None:
        """Every web pod is evicted, as by a drain of its node: the disruption budget lets one go at a time."""
        environment = self.environment
        before = {pod.name for pod in self._until(_has_pods, minutes(1), "web pods").pods}
        left, refused = set(before), set[str]()
        environment.done("action", f"evict {len(before)} pods")

        def gone(seen: Snapshot) -> bool:
            for name in sorted(left):
                if environment.kubernetes.evict_pod(environment.namespace, name):
                    left.discard(name)
                else:
                    refused.add(name)
            return not left and _has_others(seen, before)

        self._until(gone, within, "every web pod to be evicted and the new ones to be ready")
        if not refused:
            environment.fail("the disruption budget to refuse two pods at once", "that it let all go")
        environment.tell(f"the disruption budget let one pod go at a time: {len(refused)} had to wait")

    def rollouts_controller_deleted(self) -> None:
        """The pod of Argo Rollouts is deleted; its Deployment makes another one."""
        self._restart("argo-rollouts", "app.kubernetes.io/name=argo-rollouts", "restart Argo Rollouts")

    @contextmanager
    def rush(self, load: Traffic) -> Iterator[None]:
        """As long as this lasts, users send that load as well."""
        environment = self.environment
        more = load.start(environment.name, environment.folder / "rush", environment.url)
        environment.rushes.append(more)
        environment.done("action", f"{more.rate} more requests a second")
        try:
            yield
        finally:
            more.stop()
            environment.done("action", "the rush is over")

    def prometheus_down(self) -> AbstractContextManager[None]:
        """As long as this lasts there is no Prometheus."""
        # Its operator would undo a change of the StatefulSet.
        return self._down(
            "Prometheus",
            lambda replicas: [
                *("patch", "prometheus/prometheus", "--namespace=monitoring", "--type=merge", "-p"),
                json.dumps({"spec": {"replicas": replicas}}),
            ],
        )

    @contextmanager
    def argocd_down(self) -> Iterator[None]:
        """As long as this lasts there is no Argo CD; whoever brings it back has it look as soon as it can."""
        # Not the guard, which lives beside it.
        chosen = (
            "deployment,statefulset",
            "--selector=app.kubernetes.io/part-of=argocd",
            "--namespace=argocd",
        )
        with self._down("Argo CD", lambda replicas: ["scale", *chosen, f"--replicas={replicas}"]):
            yield
        # Its first look may come before manifests can be made, and the next one is 3 minutes later.
        there = ("deployment/argocd-repo-server", "--namespace=argocd", "--timeout=2m")
        local.output(["kubectl", "rollout", "status", *there], seconds=150)
        self.environment.argocd_looks_again()

    def git_down(self) -> AbstractContextManager[None]:
        """As long as this lasts there is no Git server."""
        return self._down(
            "the Git server",
            lambda replicas: ["scale", "deployment/git", "--namespace=forge", f"--replicas={replicas}"],
        )

    @contextmanager
    def _down(self, what: str, command: Callable[[int], list[str]]) -> Iterator[None]:
        self.environment.done("action", f"stop {what}")
        local.output(["kubectl", *command(0)])
        try:
            yield
        finally:
            self.environment.done("action", f"start {what}")
            local.output(["kubectl", *command(1)])

    # --- what was so

    def no_pod_was_started(self) -> None:
        """No web pod of the release was ever there."""
        snapshots, since = self.environment.watcher.snapshots, self.environment.pushed_at or 0.0
        known = {pod.pod_hash for seen in snapshots if seen.at < since for pod in seen.pods}
        found = {pod.name for seen in snapshots for pod in seen.pods if pod.pod_hash not in known}
        if found:
            self.environment.fail("no web pod of the release", ", ".join(sorted(found)))

    def users_lost_it(self, *, within: timedelta) -> None:
        """Ends the load. So soon after the abort no user was answered by the release any more, whatever its weight."""
        ending = timeline.ending(self.environment.watcher.snapshots, self.environment.pushed_at or 0.0)
        if ending is None or ending.kind != "abort":
            self.environment.fail("an abort", str(ending))
        else:
            last = max(
                (each.at for each in self.record.requests if self._is_by_release(each)), default=ending.at
            )
            self.environment.found(f"users lost it {max(last - ending.at, 0):.1f} s after the abort")
            if last - ending.at > within.total_seconds():
                self.environment.fail(
                    f"no answer by {version_of(self.image)} {within.total_seconds():.0f} s after the abort",
                    f"one {last - ending.at:.1f} s after it",
                )

    def replicas_were_never_above(self, most: int) -> None:
        """The autoscaler wanted no more pods than that since the push."""
        wanted = self._replicas_wanted()
        if max(wanted, default=0) > most:
            self.environment.fail(f"at most {most} replicas", str(sorted(wanted)))

    def replicas_were_never_below(self, fewest: int) -> None:
        """Since the push nobody wanted fewer pods than that, not for a moment."""
        wanted = self._replicas_wanted()
        if min(wanted, default=0) < fewest:
            self.environment.fail(f"at least {fewest} replicas", str(sorted(wanted)))

    def _replicas_wanted(self) -> set[int]:
        since = self.environment.pushed_at or 0.0
        return {
            seen.rollout.replicas
            for seen in self.environment.watcher.snapshots
            if seen.rollout and seen.at >= since
        }

    def guard_was_never_restarted(self) -> None:
        """Its container has run since its pod was made."""
        pods = self.environment.kubernetes.pods("argocd", "app.kubernetes.io/name=delivery-guard")
        restarts = [
            each["restartCount"] for pod in pods for each in pod["status"].get("containerStatuses") or []
        ]
        if restarts != [0]:
            self.environment.fail("a guard that was never restarted", f"restarts {restarts}")

    def failures_are(self, *, exactly: int) -> None:
        """Ends the load. So many requests failed and no more."""
        if len(self.record.failed) != exactly:
            self.environment.fail(f"exactly {exactly} failed requests", self._failures())

    def weights_seen_are(self, *weights: int) -> None:
        """The router had exactly these weights for the canary, in this order (0 left out)."""
        found = timeline.weights_seen(self.environment.watcher.snapshots, self.environment.pushed_at or 0.0)
        if found != list(weights):
            self.environment.fail(f"the canary's weights {list(weights)}", str(found))

    def health_was_asked_of_it(self) -> None:
        """The last answer about health was the release's own, though the Service had another version before."""
        answers = {
            measured.finished_at: measured.value or ""
            for seen in self.environment.watcher.snapshots
            for run in seen.analyses
            for metric in run.results
            if metric.name == "health-watch"
            for measured in metric.measurements
        }
        last = answers[max(answers)] if answers else "none"
        if f"{self.image.version} is healthy" not in last:
            self.environment.fail(f"the last answer about health from {self.image.version}", last)

    def canary_service_was_left_alone(self) -> None:
        """Its pods changed as often as a release and its end need, and not over and over (decision 0032)."""
        changes = self._changes_of_canary_service() - self._changes_before
        if changes > _MOST_CHANGES:
            self.environment.fail(
                f"at most {_MOST_CHANGES} changes of the pods behind the canary Service", str(changes)
            )

    def only_beta_had_it(self, window: tuple[float, float], *, of_at_least: int) -> None:
        """Ends the load. In that time each request of the group beta was answered by the release, and no other was."""
        inside = self.record.between(*window)
        beta = inside.where(lambda request: request.beta)
        astray = [request for request in inside.requests if request.beta != self._is_by_release(request)]
        if len(beta) < of_at_least:
            self.environment.fail(f"{of_at_least} requests of the group beta", str(len(beta)))
        if astray:
            kinds = Counter((request.beta, request.version) for request in astray)
            listed = "; ".join(
                f"{count} of {'beta' if is_beta else 'everyone else'} by {version}"
                for (is_beta, version), count in kinds.items()
            )
            self.environment.fail(f"{self.image.version} for the group beta and nobody else", listed)
        self.environment.found(
            f"{len(beta)} of {len(inside)} requests were beta's: all of them, and no other, had it"
        )

    def only_beta_felt_it(self) -> None:
        """Ends the load. No request failed but those of the group beta."""
        others = self.record.where(lambda request: request.failed and not request.beta)
        if len(others):
            self.environment.fail(
                "failed requests of the group beta alone", f"{len(others)} of everyone else"
            )

    def _is_by_release(self, request: Request) -> bool:
        return request.version == self.image.version

    def weight_was_never_above(self, limit: int) -> None:
        found = timeline.weights_seen(self.environment.watcher.snapshots, self.environment.pushed_at or 0.0)
        if max(found, default=0) > limit:
            self.environment.fail(f"a canary that never gets more than {limit} %", f"the weights {found}")

    def no_new_steps_were_taken(self) -> None:
        """Since the last push the canary got no traffic, nothing was analysed and the stable version stayed."""
        since = self._waiting_since
        snapshots = self.environment.watcher.snapshots
        after = bisect_left(snapshots, since, key=lambda each: each.at)
        seen = snapshots[max(after - 1, 0) :]  # with the last one before the push, to compare with
        weights = timeline.weights_seen(seen, since)
        if weights:
            self.environment.fail("no weight for a canary after the rollback", str(weights))
        runs = {run.name for each in seen for run in each.analyses} - {run.name for run in seen[0].analyses}
        if runs:
            self.environment.fail("no analysis after the rollback", ", ".join(sorted(runs)))
        stable = {each.rollout.stable_hash for each in seen if each.rollout}
        if len(stable) != 1:
            self.environment.fail(
                "the stable version to stay the same", f"pod template hashes {sorted(stable)}"
            )

    def requests_failed_only_between(self, start: float, end: float) -> None:
        """Ends the load. Every request that was sent at another time was answered well."""
        others = [each for each in self.record.failed if not start <= each.at <= end]
        if others:
            off = max(each.at - end for each in others)
            self.environment.fail(
                "failed requests in that time alone", f"{len(others)} others, the last {off:.1f} s after it"
            )

    def no_answer_took_longer(self, *, than: timedelta) -> None:
        """Ends the load."""
        slowest = max(each.latency for each in self.record.requests)
        self.environment.found(f"the slowest answer took {slowest:.2f} s")
        if slowest > than.total_seconds():
            self.environment.fail(f"answers within {than.total_seconds():g} s", f"one after {slowest:.1f} s")

    def pods_were_never_restarted(self) -> None:
        """No container of a web pod ended in this drill."""
        found = {pod.name for seen in self.environment.watcher.snapshots for pod in seen.pods if pod.restarts}
        if found:
            self.environment.fail("no restart of a web pod", ", ".join(sorted(found)))

    def pods_were_ready(self, since: float) -> None:
        """No web pod that was ready then left its Service."""
        seen = [each for each in self.environment.watcher.snapshots if each.at >= since]
        left = {pod.name for each in seen for pod in each.pods if not pod.ready}
        if not seen or left:
            self.environment.fail("web pods that stay ready", ", ".join(sorted(left)) or "nothing was seen")

    def every_mail_was_sent_once(self, since: float, *, within: timedelta) -> None:
        """What the CRM has queued since then came to its receivers, and nothing twice."""

        def queued(status: str) -> set[str]:
            since_then = f"created_at >= to_timestamp({since}) and status {status}"
            query = f"select key from notifications_email where {since_then}"  # nosec B608  # noqa: S608  # nothing of a stranger's
            user = 'PGPASSWORD="$POSTGRES_PASSWORD" psql --host=127.0.0.1 --username="$POSTGRES_USER"'
            psql = f'{user} --dbname="$POSTGRES_DB" -Atc "{query}"'
            pod = ("postgresql-0", f"--namespace={self.environment.namespace}")
            return set(local.output(["kubectl", "exec", *pod, "--", "sh", "-c", psql]).split())

        self._until(lambda _: not queued("= 'ready'"), within, "every e-mail to be sent")
        came, expected = self.environment.inbox.mails(since), queued("is not null")
        wrong = {key: came[key] for key in expected if came[key] != 1}
        if not expected or wrong:
            self.environment.fail(
                "each e-mail once", f"{len(wrong)} of {len(expected)} otherwise: {sorted(wrong.items())[:5]}"
            )
        self.environment.found(f"{len(expected)} e-mails were queued, and each came once")

    def was_not_aborted(self) -> None:
        """Nobody aborted the release, and its image is not in quarantine."""
        aborted = [
            each for each in self.environment.watcher.snapshots if each.rollout and each.rollout.aborted
        ]
        if aborted or self.environment.quarantined(self.image):
            self.environment.fail("a release that nobody blames", "an abort, or its image in quarantine")

    def no_request_failed(self, *, of_at_least: int) -> None:
        """Ends the load. Every request was answered, and well."""
        self._requests_were(of_at_least)
        if self.record.failed:
            self.environment.fail("no failed request", self._failures())

    def failed_requests_are(self, *, below: float, of_at_least: int = 0) -> None:
        """Ends the load. At most that share of all requests of the drill failed."""
        self._requests_were(of_at_least)
        if self.record.failed_share > below:
            self.environment.fail(f"at most {below:.1%} of the requests to fail", self._failures())

    def weight_was_back_at_zero(self, *, within: timedelta) -> None:
        """Ends the load. Counts from the first failed answer that a user got."""
        took = self.environment.result().seconds_from_first_failure_to_zero
        if took is None:
            self.environment.fail(
                "a failed answer and then the weight 0", "no failed answer, or no weight 0 after it"
            )
        elif took > within.total_seconds():
            self.environment.fail(
                f"the weight 0 within {within.total_seconds():.0f} s of the first failed answer",
                f"{took:.1f} s",
            )
        else:
            self.environment.tell(f"the weight was 0 again {took:.1f} s after the first failed answer")

    def canary_shares_are(self, weights: Sequence[int], *, within_points: float, of_at_least: int) -> None:
        """Ends the load. In each step the new version answered its weight's share of all requests."""
        windows = timeline.windows(self.environment.watcher.snapshots, self.environment.pushed_at or 0.0)
        steps = [window for window in windows if window.weight]
        if [window.weight for window in steps] != list(weights):
            self.environment.fail(f"the steps {list(weights)}", str([window.weight for window in steps]))
        for window, requests, share in timeline.shares(self.record, steps, self.image.version):
            self.environment.found(f"at {window.weight} %: {share:.2f} % of {requests} requests")
            if requests < of_at_least:
                self.environment.fail(f"{of_at_least} requests at {window.weight} %", str(requests))
            if abs(share - window.weight) > within_points:
                self.environment.fail(
                    f"{window.weight} ± {within_points} % of the requests at the canary",
                    f"{share:.2f} % of {requests}",
                )

    @property
    def record(self) -> Record:
        """Every request of the drill; asking for it ends the load."""
        self._load()
        return self.environment.record()

    # --- how

    def _changes_of_canary_service(self) -> int:
        return self.environment.kubernetes.changes(self.environment.namespace, "crm-canary")

    def _wants(self, image: Image, moment: Moment) -> None:
        """From now on Git names that image."""
        self._wanted, self._waiting_since = image, moment.at
        if self.synced_revision:
            self.synced_revision = image.revision

    def _until(self, condition: Callable[[Snapshot], bool], within: timedelta, expected: str) -> Snapshot:
        return self.environment.until(condition, within, expected)

    def _arrived(self, seen: Snapshot) -> bool:
        """Whether the Rollout's controller works on what Git wants now."""
        rollout, application, revision = seen.rollout, seen.application, self.synced_revision
        if revision and not is_synced(application, revision):
            return False
        return bool(rollout and rollout.observed and rollout.image.endswith(self._wanted.digest))

    def _canary_pods(self, seen: Snapshot) -> list[Pod]:
        rollout = seen.rollout
        if not rollout or not self._arrived(seen) or rollout.newest_hash == rollout.stable_hash:
            return []
        return seen.ready_pods(rollout.newest_hash)

    def _delete(self, what: str, choose: Callable[[Snapshot], list[Pod]]) -> None:
        seen = self._until(lambda seen: bool(choose(seen)), minutes(1), f"{what} to delete")
        self.environment.done("action", f"delete {what}")
        self.environment.kubernetes.delete_pod(self.environment.namespace, choose(seen)[0].name)

    def _restart(self, namespace: str, selector: str, action: str) -> None:
        pods = self.environment.kubernetes.pods(namespace, selector)
        self.environment.done("action", action)
        for pod in pods:
            self.environment.kubernetes.delete_pod(namespace, pod["metadata"]["name"])

    def _runs_this(self, job: Object) -> bool:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        return str(container["image"]).endswith(self.image.digest)

    def _load(self) -> RunningTraffic:
        if self.environment.load is None:
            raise NotReady("A drill that counts requests begins with under(traffic(…)).")
        return self.environment.load

    def _requests_were(self, at_least: int) -> None:
        if len(self.record) < at_least:
            self.environment.fail(f"at least {at_least} requests", str(len(self.record)))

    def _failures(self) -> str:
        kinds = self.record.failures_by_kind().most_common(_MOST_KINDS_SHOWN)
        listed = "; ".join(f"{count} times {kind}" for kind, count in kinds)
        return f"{len(self.record.failed)} of {len(self.record)} failed: {listed}"


def _has_pods(seen: Snapshot) -> bool:
    return bool(seen.pods)


def _has_others(seen: Snapshot, before: set[str]) -> bool:
    """Whether none of the pods of before is left, and as many others are ready."""
    gone = before.isdisjoint(pod.name for pod in seen.pods)
    return gone and sum(pod.ready for pod in seen.pods) >= len(before)


def conditions(thing: Object | None) -> str:
    """What an Application or ApplicationSet complains about; empty when it does not."""
    found = ((thing or {}).get("status") or {}).get("conditions") or []
    complaints = (each for each in found if "Error" in each["type"] and each.get("status", "True") == "True")
    return " ".join(str(each.get("message", each["type"])) for each in complaints)


def is_synced(application: Application | None, revision: str) -> bool:
    """Whether Argo CD wants that commit of the code and has applied it."""
    if application is None:
        return False
    said = (application.wanted_revision, application.revision, application.sync)
    return said == (revision, revision, "Synced")


def _tip() -> str | None:
    with git.opened(local.GIT, local.CHECKOUT) as repository:
        return branch.fetch(repository).tip


def version_of(image: Image) -> str:
    return f"version {image.version}"


def described(seen: Snapshot | None) -> str:
    """A snapshot in half a sentence."""
    if seen is None:
        return "nothing: the cluster did not answer"
    rollout, application = seen.rollout, seen.application
    if rollout is None:
        state = "no Rollout"
    else:
        step = "" if rollout.step is None else f" at step {rollout.step} of {rollout.steps}"
        message = f" ({rollout.message})" if rollout.message else ""
        state = f"the Rollout {rollout.phase}{step}{message}"
    argo = f"Argo CD {application.sync}/{application.health}" if application else "no Application"
    ready = sum(pod.ready for pod in seen.pods)
    return (
        f"{state}, the canary's weight {seen.canary_weight}, {ready} of {len(seen.pods)} pods ready, {argo}"
    )
