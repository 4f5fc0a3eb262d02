"""`python -m delivery.drills.demo`: under load, a good release is promoted and two bad ones are rolled back.

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
from delivery.drills import images, local, performing, platform, report, settings
from delivery.drills.account import Account
from delivery.drills.errors import DrillFailed, NotReady
from delivery.drills.images import Recipe
from delivery.drills.observe import Kubernetes
from delivery.drills.story import Environment, Given, minutes, seconds
from delivery.drills.traffic import RATE, traffic

WEIGHTS = (5, 20, 50, 100)
# The share of failed requests depends on how long a drill is; these are 75 s.
REQUESTS = 75 * RATE


@dataclass(frozen=True)
class Scene:
    name: str
    title: str
    play: Callable[[Given], None]


def good_release(given: Given) -> None:
    when = given.released(images.good("1.1"))
    when.first_canary_pod_is_ready(within=seconds(60))
    when.rollout_is("Healthy", within=minutes(4))
    when.weights_seen_are(*WEIGHTS)
    when.load_goes_on(until_requests=REQUESTS)
    when.no_request_failed(of_at_least=REQUESTS)


def errors(given: Given) -> None:
    _rolled_back(given, images.errors())


def slow(given: Given) -> None:
    _rolled_back(given, images.slow())


SCENES = (
    Scene("good-release", "1.1, a good release, is promoted", good_release),
    Scene("errors", "1.2, which answers 500, is rolled back", errors),
    Scene("slow", "1.3, which takes 3 s to answer, is rolled back", slow),
)


def _rolled_back(given: Given, recipe: Recipe) -> None:
    when = given.released(recipe)
    when.rollout_is("Degraded", within=minutes(3))
    when.weight_is(0, within=seconds(10))
    when.weight_was_never_above(20)
    when.rolled_back_by_hand()
    when.rollout_is("Healthy", within=minutes(1))
    when.no_new_steps_were_taken()
    when.load_goes_on(until_requests=REQUESTS)
    when.failed_requests_are(below=0.01)


def main() -> int:
    started = time.monotonic()
    with performing.ends_at(signal.SIGTERM):
        try:
            accounts = _play()
        except (NotReady, DrillFailed, ClusterError) as error:
            console.print(f"[red]demo:[/] {error}", soft_wrap=True)
            return 1
        except KeyboardInterrupt:
            console.print("[red]demo:[/] stopped; the load has ended, and production is left as it is now.")
            return 130
    performing.show(accounts, time.monotonic() - started, local.REPORT / "index.html")
    return 1 if any(account.problem for account in accounts) else 0


def _play() -> list[Account]:
    local.prepare()
    note = settings.worktree_note()
    if note:
        console.print(f"[yellow]·[/] {note}")
    with step("Tell Argo CD and the Git server about the CRM"):
        commit = platform.install()
    console.print(f"  [dim]main is {commit[:12]}, the commit of your checkout[/]")
    for recipe, what in (
        (images.good("1.0"), "1.0"),
        (images.good("1.1"), "1.1, good as well"),
        (images.errors(), "1.2, which answers 500"),
        (images.slow(), "1.3, which sleeps 3 s"),
    ):
        with step(f"Build and push the image {what}"):
            images.image(recipe)
    kubernetes = Kubernetes()
    with (
        step("Release 1.0 to production"),
        _environment(kubernetes, "first-release", "1.0 to production") as first,
    ):
        first.serving("1.0")
    accounts = []
    stable = "1.0"
    for scene in SCENES:
        account = _perform(scene, kubernetes, stable)
        accounts.append(account)
        stable = "1.1" if account.verdict == "promoted" else stable
    report.write_summary(accounts, local.REPORT)
    return accounts


def _perform(scene: Scene, kubernetes: Kubernetes, stable: str) -> Account:
    environment = _environment(kubernetes, scene.name, scene.title)
    return performing.perform(environment, lambda it: scene.play(it.serving(stable).under(traffic())))


def _environment(kubernetes: Kubernetes, drill: str, title: str) -> Environment:
    return Environment("production", kubernetes, drill=drill, title=title, tell=performing.tell)


if __name__ == "__main__":
    sys.exit(main())
