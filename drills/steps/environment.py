"""Drills read as Given, When, Then: what serves and under which load, what is released, and what must be so after it.

    given = production.serving("1.0").under(traffic())
    release = given.release(images.errors(share=1.0))
    release.wait_for_rollout("Degraded", within=minutes(2))
    release.assert_error_rate_below(0.01)

Every step waits for what it names, never for a time, and fails with what was expected, what was found and where to
look.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from types import TracebackType
from typing import Any, NoReturn, Self

import httpx

from cluster.progress import console
from delivery.errors import Refused
from delivery.gitops import branch, git, quarantine
from delivery.gitops.release import Release
from delivery.kubernetes.application import application_set_error
from drills.errors import DrillFailed, NotReady
from drills.fixtures import images, inbox, local_cluster, settings
from drills.fixtures.images import Image, Recipe
from drills.fixtures.manifests import manifest
from drills.load.results import Record
from drills.load.traffic import RunningTraffic, Traffic
from drills.observe import diagnosis
from drills.observe.snapshot import Snapshot
from drills.observe.timeline import Moment
from drills.observe.watcher import Kubernetes, Watcher
from drills.report.result import AlertResult, ScenarioResult
from drills.steps.assertions import version_of
from drills.steps.duration import minutes
from drills.steps.given import Given
from drills.steps.release import ReleaseAttempt, has_image, is_synced

# An environment's first release starts its database and runs all migrations.
_FIRST_RELEASE = timedelta(minutes=5)


class Environment:
    """An environment in one drill, used in a `with`: its end stops load and watch, a failure leaves a diagnosis."""

    def __init__(
        self,
        name: str,
        kubernetes: Kubernetes,
        *,
        drill: str,
        title: str,
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
        """What this drill changes in the local settings."""
        self.folder = local_cluster.REPORT / drill
        self.actions: list[Moment] = []
        self.findings: list[str] = []
        self.alerts: dict[str, AlertResult] = {}
        self.load: RunningTraffic | None = None
        """The load that steps wait for."""
        self.stable: Image | None = None
        """What serves everybody, as `serving` has left it."""
        self.attempts: list[ReleaseAttempt] = []
        self.problem: str | None = None
        self._loads: list[RunningTraffic] = []
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
        """Note that the drill failed, and write down the state of the cluster."""
        if self.problem is None:
            self.problem = problem
            diagnosis.write(self.name, self.folder / "diagnosis")

    def close(self) -> None:
        """Stop load and watch."""
        try:
            self.record()
        finally:
            self.watcher.stop()

    # --- what the drill does and sees

    def configure(self, *, settings: dict[str, Any] | None = None, strategy: str | None = None) -> Self:
        """What the drill's releases have from now on: other local settings, another strategy."""
        if settings is not None:
            self.settings = settings
            vars(self).pop("revision", None)
        self.strategy = strategy or self.strategy
        return self

    def start_load(
        self, load: Traffic, *, extra: bool = False, sign_up_at: str | None = None
    ) -> RunningTraffic:
        """Users send that load from now on: instead of the load before, or `extra`, beside it."""
        folder = self.folder / f"load-{len(self._loads) + 1}" if self._loads else self.folder
        running = load.start(self.name, folder, self.url, sign_up_at=sign_up_at)
        self._loads.append(running)
        if not extra:
            if self.load:
                self.load.stop()
            self.load = running
        return running

    def attempt(self, image: Image, *, before: Image, push: Moment) -> ReleaseAttempt:
        """Git names that image since the push; the drill's result is about its newest attempt."""
        self.attempts.append(ReleaseAttempt(self, image, before=before, pushed_at=push.at))
        return self.attempts[-1]

    def log(self, fact: str) -> None:
        """Say in the terminal what happens."""
        console.print(f"  [dim]·[/] {fact}")

    def log_action(self, text: str, *, kind: str = "action") -> Moment:
        """Write down what the drill does now; `kind` as a Moment has it."""
        action = Moment(time.time(), kind, text)
        self.actions.append(action)
        self.log(text)
        return action

    def log_finding(self, text: str) -> None:
        """Write down what only this drill measures: the proof's page has it too."""
        self.findings.append(text)
        self.log(text)

    def log_alert(self, name: str, result: AlertResult, text: str) -> None:
        """Write down the times of an alert."""
        self.alerts[name] = result
        self.log(text)

    @property
    def snapshots(self) -> list[Snapshot]:
        """What the cluster looked like since the drill began."""
        return self.watcher.snapshots

    def record(self) -> Record:
        """Every request of the drill; stops its load."""
        return Record(request for load in self._loads for request in load.stop().requests)

    def result(self) -> ScenarioResult:
        """What the drill did and saw, and every request of its users; stops its load."""
        attempt = self.attempts[-1] if self.attempts else None
        stable = attempt.before if attempt else self.stable
        return ScenarioResult(
            name=self.drill,
            title=self.title,
            environment=self.name,
            stable=stable.version if stable else "?",
            released=attempt.image.version if attempt else None,
            pushed_at=attempt.pushed_at if attempt else None,
            record=self.record(),
            snapshots=self.snapshots,
            actions=self.actions,
            problem=self.problem,
            version_in_git=self.version_in_git(),
            rolled_back_at=attempt.rolled_back_at if attempt else None,
            findings=self.findings,
            alerts=self.alerts,
        )

    def beside(self, name: str) -> Environment:
        """Another environment in the same drill, to be used in a `with` of its own."""
        return Environment(name, self.kubernetes, drill=f"{self.drill}-{name}", title=self.title)

    # --- what it has

    def release_in_git(self) -> Release | None:
        """What the release file names, None if it cannot be read."""
        try:
            with git.opened(local_cluster.GIT, local_cluster.CHECKOUT) as repository:
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
        with git.opened(local_cluster.GIT, local_cluster.CHECKOUT) as repository:
            return [each.digest for each in quarantine.entries(branch.fetch(repository))]

    @property
    def url(self) -> str:
        """Where the drill's router listens."""
        return local_cluster.ROUTERS[self.router]

    @cached_property
    def revision(self) -> str | None:
        """The commit with this drill's settings; None where an image's own revision will do."""
        routed = {"routing": {"provider": self.router}} if self.router != "traefik" else {}
        wanted = settings.merged(self.settings, routed)
        return settings.with_settings(self.name, wanted, file=settings.LOCAL_SETTINGS) if wanted else None

    def answering_version(self, host: str | None = None) -> str | None:
        """The version that answers a user now, or whoever asks for that host."""
        headers = {"Host": host or local_cluster.api_host(self.name)}
        try:
            answer = httpx.get(f"{self.url}/health/live/", headers=headers, timeout=5)
        except httpx.HTTPError:
            return None
        return answer.headers.get("X-CRM-Version") if answer.is_success else None

    # --- commands

    def deliver(self, *arguments: str) -> str:
        """Run the `delivery` command line; what it prints."""
        return local_cluster.output([sys.executable, "-m", "delivery", *arguments], seconds=120).strip()

    def release(self, image: Image) -> None:
        """`delivery release` of an image at its revision, by this drill's strategy if it has one."""
        strategy = ("--strategy", self.strategy) if self.strategy else ()
        what = ("--image", image.reference, "--to", self.name, "--revision", image.revision)
        self.deliver("release", *what, *strategy)

    def roll_back(self, image: Image, reason: str) -> None:
        """`delivery rollback` by whoever saw that version."""
        self.deliver("rollback", self.name, "--from", image.version, "--reason", reason)

    def make(self, target: str, **variables: str) -> None:
        """A step of the pipeline, by the words of its workflow."""
        # A verification waits for a canary.
        printed = local_cluster.output(["make", "--silent", target], env=variables, seconds=1800).strip()
        self.log(f"make {target}: {printed}")

    def kubectl(self, *words: str, stdin: str | None = None, seconds: float = 60) -> str:
        """What it prints. Raises NotReady."""
        return local_cluster.output(["kubectl", *words], stdin=stdin, seconds=seconds)

    def rollouts(self, verb: str, *options: str) -> None:
        """`kubectl argo rollouts` does something with this environment's Rollout."""
        self.kubectl("argo", "rollouts", verb, local_cluster.ROLLOUT, "--namespace", self.namespace, *options)

    def refresh_argocd(self) -> None:
        """What a person does who does not want to wait the 3 minutes after which Argo CD tries again after an error."""
        annotation = "argocd.argoproj.io/application-set-refresh"
        for value in (f"{annotation}-", f"{annotation}=true"):
            self.kubectl("annotate", "applicationset", self.namespace, "--namespace=argocd", value)

    @contextmanager
    def canary_bypassed(self) -> Iterator[None]:
        """As long as this lasts, somebody's own route sends every request past the canary, whatever its weight."""
        route = manifest("past-canary", host=local_cluster.api_host(self.name), namespace=self.namespace)
        self.log_action("add a route past the canary")
        self.kubectl("apply", "--filename", "-", stdin=route)
        try:
            yield
        finally:
            self.log_action("delete the route past the canary")
            self.kubectl("delete", "--filename", "-", stdin=route)

    # --- steps

    def serving(self, wanted: str | Recipe | Image) -> Given:
        """Bring a version to all users by a release that is promoted at once; nothing to do if they have it."""
        recipe = images.good(wanted) if isinstance(wanted, str) else wanted
        image = recipe if isinstance(recipe, Image) else images.image(recipe)
        named = self.release_in_git()
        if self.revision:
            image = replace(image, revision=self.revision)
        elif named and named.image.digest == image.digest and settings.is_as_main(named.revision):
            image = replace(image, revision=named.revision)
        if not self._is_in_git(named, image):
            self.release(image)
        promoted: set[str] = set()

        def is_stable(seen: Snapshot) -> bool:
            rollout = seen.rollout
            # Before it is synced, the Rollout may be Healthy with the commit before it.
            if not rollout or not is_synced(seen.application, image.revision):
                return False
            if not has_image(rollout, image):
                return False
            if self.strategy and rollout.strategy != self.strategy:
                return False
            if rollout.newest_hash and not rollout.settled and rollout.newest_hash not in promoted:
                self.rollouts("promote", "--full")
                promoted.add(rollout.newest_hash)
            return rollout.settled and rollout.phase == "Healthy" and not seen.canary_weight

        self.wait_until(is_stable, _FIRST_RELEASE, f"{version_of(image)} stable in {self.name}")
        self.wait_until(
            lambda _: self.answering_version() == image.version,
            minutes(1),
            f"{version_of(image)} to answer users",
        )
        self.stable = image
        self.log(f"{self.name} serves {image.version}")
        return Given(self, image)

    def _is_in_git(self, named: Release | None, image: Image) -> bool:
        """Whether Git names that release already; `delivery release` would find the same, and take seconds for it."""
        if named is None or self.strategy not in (None, named.strategy):
            return False
        return (named.image.digest, named.revision) == (image.digest, image.revision)

    def wait_until_stable(self, image: Image, *, within: timedelta) -> None:
        """Somebody else releases that image here, and it is promoted."""

        def is_stable(seen: Snapshot) -> bool:
            rollout = seen.rollout
            return bool(
                rollout and has_image(rollout, image) and rollout.settled and rollout.phase == "Healthy"
            )

        self.wait_until(is_stable, within, f"{version_of(image)} stable in {self.name}")
        self.log(f"{self.name} serves {image.version}")

    def wait_for_argocd_error(self, *, within: timedelta) -> None:
        """Argo CD reports that it cannot read the environment's release file."""
        self.wait_until(
            lambda _: bool(self._argocd_error()), within, f"an error of the ApplicationSet {self.namespace}"
        )
        self.log(f"Argo CD reports: {self._argocd_error()}")

    def wait_for_end_of_argocd_error(self, *, within: timedelta) -> None:
        self.wait_until(
            lambda _: not self._argocd_error(), within, f"no error of the ApplicationSet {self.namespace}"
        )

    def wait_for_render_error(self, text: str, *, within: timedelta) -> None:
        """Argo CD cannot render the release, with an error that has this text."""
        self.wait_until(
            lambda seen: bool(seen.application and text in " ".join(seen.application.errors)),
            within,
            f"an Application that cannot be rendered because of {text!r}",
        )

    def _argocd_error(self) -> str:
        return application_set_error(self.kubernetes.application_set(self.name) or {}) or ""

    def assert_refused(self, *arguments: str, because: str) -> None:
        """`delivery` refuses these arguments with a sentence that has this text, and pushes nothing."""
        before = _tip()
        try:
            printed = self.deliver(*arguments)
        except NotReady as refusal:
            if because not in str(refusal):
                self.fail(f"a refusal because of {because!r}", str(refusal))
        else:
            self.fail(f"delivery {' '.join(arguments)} to be refused", printed)
        if _tip() != before:
            self.fail("nothing pushed by a refused command", "a new commit on the branch environments")

    def assert_serves(self, version: str) -> None:
        """That version answers users."""
        answering = self.answering_version()
        if answering != version:
            self.fail(f"{version} to answer users", str(answering))

    # --- how

    def wait_until(self, condition: Callable[[Snapshot], bool], within: timedelta, expected: str) -> Snapshot:
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
                trouble = self.watcher.trouble
                failed = f" (the last query of the cluster failed: {trouble})" if trouble else ""
                self.fail(f"{expected} within {within.total_seconds():.0f} s", described(seen) + failed)

    def fail(self, expected: str, found: str) -> NoReturn:
        raise DrillFailed(
            f"Expected {expected}; found {found}. Look at {self.folder} or at:"
            f" kubectl argo rollouts get rollout {local_cluster.ROLLOUT} -n {self.namespace}"
        )


def _tip() -> str | None:
    with git.opened(local_cluster.GIT, local_cluster.CHECKOUT) as repository:
        return branch.fetch(repository).tip


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
