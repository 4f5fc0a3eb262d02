"""`python -m drills.scenarios.demo`: a cluster, a good release promoted, two bad ones rolled back, all under load.

Ends with status 0 only if all of that was so. The report is in build/report/.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from cluster import __main__ as cluster
from cluster.progress import console, part, step
from drills import runner
from drills.fixtures import attestations, bootstrap, images, local_cluster
from drills.fixtures.images import Recipe
from drills.load.traffic import traffic
from drills.observe.watcher import Kubernetes
from drills.report import html
from drills.report.result import ScenarioResult
from drills.steps.duration import minutes, seconds
from drills.steps.environment import Environment
from drills.steps.given import Given
from drills.steps.release import ReleaseAttempt

WEIGHTS = (5, 20, 50, 100)
RATE = 20
"""Requests a second, which a machine with busy neighbours answers as well (docs/decisions/0015)."""
# As many as a rollback takes; 16 s of the canary's 5 % stay below two in a hundred of them.
REQUESTS = 850
# After the end, so that a failure at the very end is seen.
AFTER = 100


@dataclass(frozen=True)
class Scene:
    """A release over the version that is stable then; `make e2e` plays the same ones."""

    name: str
    title: str
    play: Callable[[Given, Recipe], None]
    recipe: Recipe
    seconds: int
    """How long it takes (docs/first-run.md)."""

    def run(self, given: Given) -> None:
        self.play(given, self.recipe)


def good_release(given: Given, recipe: Recipe) -> None:
    release = given.release(recipe)
    # As fast as the machine starts pods beside the load: one at half speed needed more than 40 s (2026-11-26).
    release.wait_for_first_canary_pod(within=minutes(2))
    release.wait_for_weight(5, within=minutes(2))
    release.delete_canary_pod()
    release.delete_stable_pod()
    release.delete_prometheus_pod()
    release.wait_for_rollout("Healthy", within=minutes(8))
    release.assert_weights(*WEIGHTS)
    release.wait_until_sent(2 * REQUESTS + AFTER)
    release.assert_no_failed_requests(of_at_least=2 * REQUESTS, after=0)


def errors(given: Given, recipe: Recipe) -> None:
    release = _rolled_back(given, recipe)
    release.wait_until_sent(REQUESTS + AFTER)
    release.assert_weight_back_at_zero(within=seconds(20))
    release.assert_error_rate_below(0.02, of_at_least=REQUESTS, after=0)


def slow(given: Given, recipe: Recipe) -> None:
    _rolled_back(given, recipe).assert_no_failed_requests(of_at_least=AFTER, after=0)


SCENES = (
    Scene(
        "good-release",
        "1.1, a good release, is promoted while pods and Prometheus are deleted",
        good_release,
        images.good("1.1"),
        125,
    ),
    Scene("errors", "1.2, which answers 500, is rolled back by the guard", errors, images.errors(), 65),
    Scene("slow", "1.3, which takes 3 s to answer, is rolled back by the guard", slow, images.slow(), 60),
)
RECIPES = (images.good("1.0"), *(scene.recipe for scene in SCENES))
INSTALL, IMAGE, FIRST_RELEASE = 15, 4, 30
SECONDS = INSTALL + IMAGE * len(RECIPES) + FIRST_RELEASE + sum(scene.seconds for scene in SCENES)


def _rolled_back(given: Given, recipe: Recipe) -> ReleaseAttempt:
    """The release aborts itself, and the guard rolls it back in Git and quarantines its image."""
    release = given.release(recipe)
    release.wait_for_rollout("Degraded", within=minutes(3))
    release.wait_for_weight(0, within=seconds(10))
    release.assert_weight_at_most(20)
    release.wait_for_automatic_rollback(within=seconds(20), quarantined=True)
    release.assert_rollback_reason(f"The image of {release.image.version} is quarantined.")
    release.wait_for_rollout("Healthy", within=minutes(1))
    release.wait_for_argocd(within=minutes(1))
    release.assert_no_new_steps()
    release.assert_canary_service_stable()
    release.wait_for_requests(AFTER)
    given.environment.assert_refused(
        "release", "--image", release.image.reference, "--to", given.environment.name, because="quarantined"
    )
    return release


def main() -> int:
    return runner.status("demo", _demo)


def _demo() -> list[ScenarioResult]:
    started = time.monotonic()
    with cluster.started(SECONDS):
        results = _play()
    cluster.tell_addresses()
    runner.show(results, time.monotonic() - started)
    return results


def _play() -> list[ScenarioResult]:
    local_cluster.prepare()
    runner.tell_of_changes()
    attestations.private_key()  # made once, for what follows side by side
    with ThreadPoolExecutor(max_workers=1) as beside:
        built = beside.submit(_build_images)
        with step("Install the charts and push main", INSTALL):
            commit = bootstrap.install()
        built.result()
    console.print(f"  [dim]main is {commit[:12]}, the commit of your checkout[/]")
    kubernetes = Kubernetes()
    with (
        step("Release 1.0 to production", FIRST_RELEASE),
        _environment(kubernetes, "first-release", "1.0 to production") as first,
    ):
        first.serving("1.0")
    results = []
    stable = "1.0"
    for scene in SCENES:
        with part(scene.title, scene.seconds):
            result = _perform(scene, kubernetes, stable)
        results.append(result)
        stable = "1.1" if result.verdict == "promoted" else stable
    html.write_summary(results, local_cluster.REPORT)
    return results


def _build_images() -> None:
    for recipe in RECIPES:
        with step(f"Build and push the image {recipe.version}", IMAGE):
            images.image(recipe)


def _perform(scene: Scene, kubernetes: Kubernetes, stable: str) -> ScenarioResult:
    environment = _environment(kubernetes, scene.name, scene.title)
    return runner.perform(environment, lambda it: scene.run(it.serving(stable).under(traffic(RATE))))


def _environment(kubernetes: Kubernetes, drill: str, title: str) -> Environment:
    return Environment("production", kubernetes, drill=drill, title=title)


if __name__ == "__main__":
    sys.exit(main())
