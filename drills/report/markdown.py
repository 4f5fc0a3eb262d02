"""The pages of docs/results/ about whole suites, from the results of a run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from drills.fixtures import images
from drills.load import traffic
from drills.report.result import AlertResult, ScenarioResult
from drills.report.whole_run import COMMANDS

_TITLES = {
    "proof": "The proof",
    "extended": "The extended suite",
    "alerts": "The alerts",
    "comparison": "The same bad release, shipped by other means",
}
_SUITE_CHART = "Every scenario: its weight and the failed requests of all users"
_CHARTS = {
    "alerts": "Each alert: what is promised, when it fired, and when somebody was notified",
    "comparison": "Each baseline: the new version's weight and the failed requests of all users",
}
_COLUMNS = (
    "what happens",
    "verdict",
    "s from push to verdict",
    "s from first failure to weight 0",
    "s from abort to rollback in Git",
    "failed requests",
    "weights, %",
    "measurements",
    "in the end",
)
_ALERT_COLUMNS = ("alert", "the fault", "promised", "fired after", "notified after", "ended by", "over after")
_PROGRAMS = ("kubectl", "delivery")
_GIB = 2**30


def suite(subject: str, results: Sequence[ScenarioResult], took: float) -> str:
    """The page of a suite whose scenarios are releases; `took` is the whole run's time in seconds."""
    findings = [f"- {result.title}: {'; '.join(result.findings)}" for result in results if result.findings]
    return _suite_page(
        subject,
        results,
        took,
        [f"Load: {traffic.usual_rate()} requests/s through the router, counted by the load generator."],
        table(_COLUMNS, map(_row, results)),
        ["Measured beside that:", "", *findings, ""] if findings else [],
    )


def alerts(results: Sequence[ScenarioResult], took: float, known: Iterable[str], time_scale: float) -> str:
    """The page of the alerts: how each was measured, and which of those that are known was not."""
    found = {name: alert for result in results for name, alert in result.alerts.items()}
    missing = sorted(set(known) - set(found))
    return _suite_page(
        "alerts",
        results,
        took,
        [
            f"Waiting times are divided by {time_scale:g}, expressions stay as they are. Times count from the fault,",
            "the last from what ended it. Where nobody was notified, another alert of the same fault held it back.",
        ],
        table(_ALERT_COLUMNS, (_alert_row(name, found[name]) for name in sorted(found))),
        [f"Not measured: {', '.join(missing)}.", ""] if missing else [],
    )


def _suite_page(
    subject: str, results: Sequence[ScenarioResult], took: float, about: list[str], *parts: list[str]
) -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB
    held = sum(result.problem is None for result in results)
    replay = f"`make drills SCENARIO={results[0].name}` replays one."
    cores = f"{os.cpu_count()} cores and {memory:.0f} GiB"
    return page(
        subject,
        results,
        f": {held} of {len(results)} scenarios ended as they should, in",
        [f"{took / 60:.0f} minutes on {cores}, at commit {images.head()[:12]}.", *about, replay],
        *parts,
    )


def page(
    subject: str, results: Sequence[ScenarioResult], lead: str, about: list[str], *parts: list[str]
) -> str:
    """A page with its chart: what has written it and when, `lead` in the same line, and what went wrong at the end."""
    now = datetime.now(tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    problems = [f"- **{result.title}**: {result.problem}" for result in results if result.problem is not None]
    lines = [
        f"# {_TITLES[subject]}",
        "",
        f"Written by `{COMMANDS[subject]}` on {now}{lead}",
        *about,
        "",
        f"![{_CHARTS.get(subject, _SUITE_CHART)}]({subject}.png)",
        "",
        *(line for part in parts for line in part),
        *(["Not as it should be:", "", *problems, ""] if problems else []),
    ]
    return "\n".join(lines)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Its lines, and an empty one."""
    cells = (f"| {' | '.join(row)} |" for row in (columns, *rows))
    head, *body = cells
    return [head, "|" + "---|" * len(columns), *body, ""]


def _row(result: ScenarioResult) -> list[str]:
    record = result.record
    # A weight that is 0 after the new version has got everybody is no answer to a failure.
    back = result.seconds_from_first_failure_to_zero if result.verdict == "rolled back" else None
    return [
        result.title,
        result.verdict if result.problem is None else f"**{result.verdict}**",
        seconds(result.seconds_to_verdict),
        seconds(back, 1),
        seconds(result.seconds_from_abort_to_rollback, 1),
        f"{len(record.failed)} of {len(record)} ({record.failed_share:.2%})",
        " → ".join(map(str, result.weights)) or "none",
        str(result.measurements),
        result.end_state,
    ]


def _alert_row(name: str, alert: AlertResult) -> list[str]:
    ended_by = alert.ended_by.replace("|", "\\|")
    return [
        name,
        alert.fault,
        f"{alert.promised:.0f} s",
        f"{alert.fired:.0f} s",
        "-" if alert.notified is None else f"{alert.notified:.0f} s",
        f"`{ended_by}`" if ended_by.startswith(_PROGRAMS) else ended_by,
        f"{alert.over:.0f} s",
    ]


def seconds(value: float | None, digits: int = 0, *, never: str = "-") -> str:
    return never if value is None else f"{value:.{digits}f}"
