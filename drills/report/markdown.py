"""The text of docs/proof.md, the page of the proof matrix, or of another of its kind from the results of a run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime

from drills.fixtures import images
from drills.load import traffic
from drills.report.result import ScenarioResult

_COLUMNS = (
    "what happens",
    "verdict",
    "s from push to verdict",
    "s from first failure to weight 0",
    "s from abort to Git healed",
    "failed requests",
    "weights, %",
    "measurements",
    "in the end",
)
_GIB = 2**30


def text(results: Sequence[ScenarioResult], took: float, *, command: str, picture: str) -> str:
    """The page as Markdown.

    `took` is the whole run's time in seconds, `command` what plays it, `picture` the file beside the page.
    """
    now = datetime.now(tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    held = sum(result.problem is None for result in results)
    lines = [
        "# The proof",
        "",
        f"Written by `{command}` on {now}: {held} of {len(results)} scenarios ended as they should, in",
        f"{took / 60:.0f} minutes on {os.cpu_count()} cores and {memory:.0f} GiB, at commit {images.head()[:12]}.",
        f"Load: {traffic.usual_rate()} requests/s through the router, counted by the load generator.",
        "`make drills SCENARIO=errors` replays one.",
        "",
        f"![Every scenario: its weight and the failed requests of all users]({picture})",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        "|" + "---|" * len(_COLUMNS),
        *(f"| {' | '.join(_row(result))} |" for result in results),
        "",
    ]
    findings = [f"- {result.title}: {'; '.join(result.findings)}" for result in results if result.findings]
    if findings:
        lines += ["Measured beside that:", "", *findings, ""]
    problems = [f"- **{result.title}**: {result.problem}" for result in results if result.problem is not None]
    if problems:
        lines += ["Not as it should be:", "", *problems, ""]
    return "\n".join(lines)


def _row(result: ScenarioResult) -> list[str]:
    record = result.record
    # A weight that is 0 after the new version has got everybody is no answer to a failure.
    back = result.seconds_from_first_failure_to_zero if result.verdict == "rolled back" else None
    return [
        result.title,
        result.verdict if result.problem is None else f"**{result.verdict}**",
        _seconds(result.seconds_to_verdict, 0),
        _seconds(back, 1),
        _seconds(result.seconds_from_abort_to_healed, 1),
        f"{len(record.failed)} of {len(record)} ({record.failed_share:.2%})",
        " → ".join(map(str, result.weights)) or "none",
        str(result.measurements),
        result.end_state,
    ]


def _seconds(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
