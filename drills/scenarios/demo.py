"""`python -m drills.scenarios.demo`: under load, a good release is promoted and the guard rolls two bad ones back.

Ends with status 0 only if all of that was so. The report is in build/report/.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from cluster.errors import ClusterError
from cluster.progress import console, step
from drills import runner
from drills.errors import DrillFailed, NotReady
from drills.fixtures import bootstrap, images, local, settings
from drills.fixtures.images import Recipe
from drills.load.traffic import traffic
from drills.observe.watcher import Kubernetes
from drills.report import html
from drills.report.result import ScenarioResult
from drills.steps.story import Environment, Given, When, minutes, seconds

WEIGHTS = (5, 20, 50, 100)
RATE = 20
"""Requests a second, which a machine with busy neighbours answers as well (docs/decisions/0015)."""
# So many that 16 s of the canary's 5 % stay below one in a hundred.
REQUESTS = 1_700
# After the end, so that a failure at the very end is seen.
AFTER = 200


@dataclass(frozen=True)
class Scene:
    """A release over the version that is stable then; `make e2e` plays the same ones."""

    name: str
    title: str
    play: Callable[[Given], None]


def good_release(given: Given) -> None:
    when = given.released(images.good("1.1"))
    # As fast as the machine starts pods beside the load: one at half speed needed more than 40 s (2026-11-26).
    when.first_canary_pod_is_ready(within=minutes(2))
    when.weight_is(5, within=minutes(2))
    when.canary_pod_deleted()
    when.stable_pod_deleted()
    when.prometheus_deleted()
    when.rollout_is("Healthy", within=minutes(8))
    when.weights_seen_are(*WEIGHTS)
    when.load_goes_on(until_requests=REQUESTS + AFTER)
    when.no_request_failed(of_at_least=REQUESTS)


def errors(given: Given) -> None:
    when = _rolled_back(given, images.errors())
    when.load_goes_on(until_requests=REQUESTS)
    when.weight_was_back_at_zero(within=seconds(20))
    when.failed_requests_are(below=0.01, of_at_least=REQUESTS - AFTER)


def slow(given: Given) -> None:
    when = _rolled_back(given, images.slow())
    when.no_request_failed(of_at_least=AFTER)


SCENES = (
    Scene("good-release", "1.1, a good release, is promoted while pods and Prometheus die", good_release),
    Scene("errors", "1.2, which answers 500, is rolled back by the guard", errors),
    Scene("slow", "1.3, which takes 3 s to answer, is rolled back by the guard", slow),
)
RECIPES = (images.good("1.0"), images.good("1.1"), images.errors(), images.slow())


def _rolled_back(given: Given, recipe: Recipe) -> When:
    """The release aborts itself, and the guard rolls it back in Git and quarantines its image."""
    when = given.released(recipe)
    when.rollout_is("Degraded", within=minutes(3))
    when.weight_is(0, within=seconds(10))
    when.weight_was_never_above(20)
    when.healed(within=seconds(20), blamed=True)
    when.was_left_because(f"The image of {when.image.version} is quarantined.")
    when.rollout_is("Healthy", within=minutes(1))
    when.argocd_is_content(within=minutes(1))
    when.no_new_steps_were_taken()
    when.canary_service_was_left_alone()
    when.requests_go_on(AFTER)
    given.environment.refuses(
        "release", "--image", when.image.reference, "--to", given.environment.name, because="quarantined"
    )
    return when


def main() -> int:
    started = time.monotonic()
    with runner.ends_at(signal.SIGTERM):
        try:
            results = _play()
        except (NotReady, DrillFailed, ClusterError) as error:
            console.print(f"[red]demo:[/] {error}", soft_wrap=True)
            return 1
        except KeyboardInterrupt:
            console.print("[red]demo:[/] stopped; the load has ended, and production is left as it is now.")
            return 130
    runner.show(results, time.monotonic() - started, local.REPORT / "index.html")
    return 1 if any(result.problem for result in results) else 0


def _play() -> list[ScenarioResult]:
    local.prepare()
    note = settings.worktree_note()
    if note:
        console.print(f"[yellow]·[/] {note}")
    with step("Tell Argo CD and the Git server about the CRM"):
        commit = bootstrap.install()
    console.print(f"  [dim]main is {commit[:12]}, the commit of your checkout[/]")
    for recipe in RECIPES:
        with step(f"Build and push the image {recipe.version}"):
            images.image(recipe)
    kubernetes = Kubernetes()
    with (
        step("Release 1.0 to production"),
        _environment(kubernetes, "first-release", "1.0 to production") as first,
    ):
        first.serving("1.0")
    results = []
    stable = "1.0"
    for scene in SCENES:
        result = _perform(scene, kubernetes, stable)
        results.append(result)
        stable = "1.1" if result.verdict == "promoted" else stable
    html.write_summary(results, local.REPORT)
    return results


def _perform(scene: Scene, kubernetes: Kubernetes, stable: str) -> ScenarioResult:
    environment = _environment(kubernetes, scene.name, scene.title)
    return runner.perform(environment, lambda it: scene.play(it.serving(stable).under(traffic(RATE))))


def _environment(kubernetes: Kubernetes, drill: str, title: str) -> Environment:
    return Environment("production", kubernetes, drill=drill, title=title, tell=runner.tell)


if __name__ == "__main__":
    sys.exit(main())
