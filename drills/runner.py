"""Plays drills one after the other, and says in the terminal what happens and how each ended."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterable, Sequence

from cluster.errors import ClusterError
from cluster.progress import console, step
from drills.errors import DrillFailed, NotReady
from drills.fixtures import bootstrap, images, local_cluster, settings
from drills.fixtures.images import Recipe
from drills.load import traffic
from drills.observe.watcher import Kubernetes
from drills.report import html
from drills.report.result import ScenarioResult
from drills.steps.environment import Environment


def set_up(recipes: Iterable[Recipe]) -> Kubernetes:
    """Bring the checkout's HEAD to the cluster, and every image before the first drill: a build would slow it down.

    Raises NotReady.
    """
    traffic.usual_rate()  # refused now, and not after the images are built
    local_cluster.prepare()
    tell_of_changes()
    with step("Install the charts and push main"):
        bootstrap.install()
    with step("Build and push the images"):
        for recipe in recipes:
            images.image(recipe)
    return Kubernetes()


def tell_of_changes() -> None:
    """That some are not committed, if so."""
    if note := settings.worktree_note():
        console.print(f"[yellow]·[/] {note}")


def perform(environment: Environment, play: Callable[[Environment], None]) -> ScenarioResult:
    """Play one drill to its end, good or bad, and write its report; its result."""
    console.print(f"[bold]{environment.title}[/]")
    with contextlib.suppress(DrillFailed, NotReady), environment:
        play(environment)
    result = environment.result()
    html.write_drill(result, environment.folder)
    if result.problem:
        console.print(f"  [red]✗[/] {result.problem}", soft_wrap=True)
    return result


def status(program: str, play: Callable[[], Sequence[ScenarioResult]]) -> int:
    """Play drills, and say in one sentence what stops them; the program's exit status."""
    # As Ctrl-C does, so that the load generator ends as well.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        results = play()
    except (NotReady, DrillFailed, ClusterError) as error:
        console.print(f"[red]{program}:[/] {error}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        left = "the load has ended, and the cluster is left as it is now"
        console.print(f"[red]{program}:[/] stopped; {left}.")
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    return 1 if any(result.problem for result in results) else 0


def show(results: Sequence[ScenarioResult], took: float) -> None:
    """Each drill in a line, how long all took in seconds, and where the pages are."""
    console.print()
    for result in results:
        mark = "[red]✗[/]" if result.problem else "[green]✓[/]"
        console.print(f"{mark} {result.line()}", soft_wrap=True)
    console.print(f"[dim]{took:.0f} s. The report: {local_cluster.REPORT / 'index.html'}[/]", soft_wrap=True)
