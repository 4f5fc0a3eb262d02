"""`python -m drills.main [--extended | --alerts | SCENARIO…] [--times N] [--resume]` plays the proof matrix.

With `--resume` a scenario that ended as it should at this commit is not played again. All is written to
build/report/; `make results` takes a whole suite's page and chart from there. Status 0 only if all ended well.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence

from cluster.progress import console, step
from drills import resume, runner
from drills.fixtures import images, inbox, local_cluster
from drills.report import charts, html, markdown, whole_run
from drills.report.result import ScenarioResult
from drills.scenarios.alerts import ALERTS
from drills.scenarios.releases import EXTENDED, MATRIX
from drills.scenarios.scenario import GOOD, Scenario
from drills.steps import on_call
from drills.steps.environment import Environment

SUITES = {"proof": MATRIX, "extended": EXTENDED, "alerts": ALERTS}
SCENARIOS = tuple(scenario for suite in SUITES.values() for scenario in suite)


def main(arguments: Sequence[str] | None = None) -> int:
    chosen, times, resuming = _chosen(arguments)
    return runner.status("drills", lambda: _reported(chosen, times, resuming=resuming))


def _reported(chosen: list[Scenario], times: int, *, resuming: bool) -> list[ScenarioResult]:
    whole = (name for name, suite in SUITES.items() if chosen == [*suite] and times == 1)
    if subject := next(whole, None):
        whole_run.discard(subject)
    started = time.monotonic()
    results, saved = _play(chosen * times, resuming=resuming)
    took = time.monotonic() - started + saved
    html.write_summary(results, local_cluster.REPORT)
    if subject == "alerts":
        charts.draw_alerts(results, local_cluster.REPORT / "alerts.png")
        whole_run.write(subject, markdown.alerts(results, took, on_call.known(), inbox.TIME_SCALE))
    elif subject:
        whole_run.write(subject, markdown.suite(subject, results, took))
    runner.show(results, took)
    return results


def _chosen(arguments: Sequence[str] | None) -> tuple[list[Scenario], int, bool]:
    """What to play, how often, and whether what has been played at this commit counts."""
    parser = argparse.ArgumentParser(prog="python -m drills.main", description="The proof matrix.")
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help=f"one of {', '.join(names)} (else the matrix)"
    )
    extended = "the extended suite: routers, manual steps, production's times"
    parser.add_argument("--extended", action="store_true", help=extended)
    parser.add_argument("--alerts", action="store_true", help="each alert's own fault, and 15 quiet minutes")
    resumed = "leave out what ended as it should at this commit"
    parser.add_argument("--resume", action="store_true", help=resumed)
    parser.add_argument("--times", type=int, default=1, metavar="N", help="one run after the other")
    options = parser.parse_args(arguments)
    wanted = options.scenarios
    if options.times < 1:
        parser.error("--times must be 1 or more")
    unknown = [name for name in wanted if name not in names]
    if unknown:
        parser.error(f"there is no scenario {unknown[0]}; there are: {', '.join(names)}")
    if options.extended + options.alerts + bool(wanted) > 1:
        parser.error(
            "--extended and --alerts play scenarios of their own: choose one, and leave the names out"
        )
    chosen = [scenario for scenario in SCENARIOS if scenario.name in wanted]
    if not wanted:
        chosen = [*(EXTENDED if options.extended else ALERTS if options.alerts else MATRIX)]
    return chosen, options.times, options.resume


def _play(chosen: Sequence[Scenario], *, resuming: bool) -> tuple[list[ScenarioResult], float]:
    """The results of all, and how many seconds those took that were not played again."""
    kubernetes = runner.set_up([*map(images.good, GOOD), *(each.recipe for each in chosen if each.recipe)])
    for addition in sorted({name for scenario in chosen for name in scenario.additions}):
        with step(f"Add {addition.capitalize()} to the cluster"):
            local_cluster.output([sys.executable, "-m", "cluster", addition], seconds=3600)
    with (
        step(f"Release {GOOD[0]} to production"),
        Environment("production", kubernetes, drill="first-release", title="A first release") as first,
    ):
        first.serving(GOOD[0])
    played: Counter[str] = Counter()
    results: list[ScenarioResult] = []
    saved = 0.0
    for scenario in chosen:
        played[scenario.name] += 1
        number = f"-{played[scenario.name]}" if played[scenario.name] > 1 else ""
        if resuming and (before := resume.kept(f"{scenario.name}{number}")):
            result, took = before
            console.print(f"[bold]{scenario.title}[/] [dim]played before at this commit[/]")
            html.write_drill(result, local_cluster.REPORT / result.name)
            results.append(result)
            saved += took
            continue
        started = time.monotonic()
        environment = Environment(
            "production",
            kubernetes,
            drill=f"{scenario.name}{number}",
            title=scenario.title,
            strategy=scenario.strategy,
            router=scenario.router,
        )
        result = runner.perform(environment, scenario.run)
        results.append(result)
        if result.problem is None:
            resume.keep(result, time.monotonic() - started)
    return results, saved


if __name__ == "__main__":
    sys.exit(main())
