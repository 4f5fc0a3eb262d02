"""Draws a drill: the canary's weight, the requests of each version, failures and latency over one common time."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from delivery.kubernetes.limits import VERDICT
from drills.load.results import Second
from drills.observe import timeline
from drills.observe.timeline import Moment
from drills.report.result import ScenarioResult
from monitoring.dashboard_charts import STYLE

# Okabe and Ito's palette: distinct for all common kinds of colour vision, and in grey by their lightness.
STABLE, CANARY, FAILED, NEUTRAL = "#0072B2", "#E69F00", "#D55E00", "#4D4D4D"
GOOD, MEDIAN, P95, SLOWEST = "#009E73", "#56B4E9", "#0072B2", "#999999"
MARKS = {
    "push": (NEUTRAL, "-"),
    "sync": (NEUTRAL, ":"),
    "step": (CANARY, ":"),
    "verdict": (FAILED, "--"),
    "abort": (FAILED, "-"),
    "promoted": (GOOD, "-"),
    "healthy": (GOOD, "--"),
    "action": ("#CC79A7", "-"),
}
# Of bad requests, failed or slow: the limit of analysis-templates/.
_LIMIT_PERCENT = f"{100 * VERDICT.limit:g} %"
_WIDTH, _HEIGHT, _DPI = 12.0, 9.0, 110
_LATENCY_TICKS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_ALERT_TICKS = (3, 10, 30, 100, 300, 1000, 3000)
_LATENCY_TOP_SECONDS = 8.0
_TITLE_LETTERS = 46
_LABEL_ROWS = 4
_LABEL_INCHES_PER_LETTER = 0.088
_BETWEEN = "   ·   "
_ENDINGS = ("push", "abort", "promoted", "healthy")
_STYLE: Any = STYLE | {"legend.fontsize": 9}


@dataclass(frozen=True)
class Label:
    """Text over a mark, in the row where it does not touch its neighbours."""

    at: float
    text: str
    kind: str
    row: int


def draw(result: ScenarioResult, file: Path) -> Path:
    """Write the drill's chart as PNG (or whatever the file's suffix says)."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        happened, weight, requests, errors, latency = figure.subplots(
            5, 1, sharex=True, gridspec_kw={"height_ratios": [0.42, 1.15, 1, 0.75, 1.1]}
        )
        zero, end = span(result)
        seconds = result.record.seconds()
        times = [second.at - zero for second in seconds]
        _weights(weight, result, zero)
        _requests(requests, result, seconds, times)
        _errors(errors, seconds, times)
        _latency(latency, seconds, times)
        latency.set_xlabel("seconds since the push" if result.pushed_at else "seconds")
        latency.set_xlim(result.record.start - zero if seconds else 0, end - zero)
        _marks((weight, requests, errors, latency), result.moments, zero)
        _happened(happened, result.moments, zero)
        figure.suptitle(f"{result.title}\n", x=0.01, ha="left", fontsize=15, fontweight="bold")
        figure.text(0.01, 0.955, subtitle(result), ha="left", va="top", fontsize=10.5, color=NEUTRAL)
        _save(figure, file)
    return file


def _save(figure: Figure, file: Path) -> None:
    """A crowded chart is still one: matplotlib warns when there is no room left to lay it out."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="constrained_layout not applied")
        figure.savefig(file, dpi=_DPI, facecolor="white")


def draw_summary(results: Sequence[ScenarioResult], file: Path) -> Path:
    """Write one chart of all drills: a row each, with the canary's weight and the seconds with failed requests."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 0.9 + 1.45 * len(results)), layout="constrained")
        rows = figure.subplots(len(results), 2, squeeze=False, gridspec_kw={"width_ratios": [1, 1.35]})
        longest = max(end - zero for zero, end in map(span, results))
        earliest = min(
            result.record.start - span(result)[0] if len(result.record) else 0.0 for result in results
        )
        for (words, weight), result in zip(rows, results, strict=True):
            zero = span(result)[0]
            _words(words, result)
            _weights(weight, result, zero)
            _failures(weight, result, zero)
            weight.set_title("")
            weight.set_xlim(earliest, longest)
            _marks([weight], [moment for moment in result.moments if moment.kind in _ENDINGS], zero)
        rows[0][1].set_title(
            "Canary's weight in percent; red: seconds with failed requests\n"
            "Lines: a push (grey), the abort (red), promoted or healthy again (green)",
            pad=6,
        )
        rows[-1][1].set_xlabel("seconds since the push")
        _save(figure, file)
    return file


def draw_alerts(results: Sequence[ScenarioResult], file: Path) -> Path:
    """Write one chart of all alerts: a bar as long as is promised, and when each fired and somebody was notified."""
    found = sorted((name, alert) for result in results for name, alert in result.alerts.items())[::-1]
    rows = range(len(found))
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, 1.2 + 0.3 * len(found)), layout="constrained")
        axes = figure.subplots()
        axes.barh(rows, [alert.promised for _, alert in found], color="#E6E6E6", label="promised")
        axes.plot([alert.fired for _, alert in found], rows, "o", color=CANARY, label="fired")
        notified = [float("nan") if alert.notified is None else alert.notified for _, alert in found]
        axes.plot(notified, rows, "|", color=STABLE, markersize=12, markeredgewidth=2.2, label="notified")
        axes.set_yticks(rows, [name for name, _ in found])
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(_ALERT_TICKS))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.margins(y=0.01)
        axes.set_xlabel("seconds since the fault, with the drills' time scale")
        axes.set_title("When each alert fired, and when somebody was notified", pad=6)
        axes.legend(loc="lower right")
        _save(figure, file)
    return file


def _words(axes: Axes, result: ScenarioResult) -> None:
    axes.set_axis_off()
    title = textwrap.fill(result.title, _TITLE_LETTERS)
    axes.text(0, 0.98, title, va="top", fontsize=11, fontweight="bold", transform=axes.transAxes)
    facts = [*(["drill failed"] if result.problem else []), *subtitle(result).split(_BETWEEN)[1:]]
    colour = FAILED if result.problem else NEUTRAL
    text = "\n".join(facts)
    below = 0.76 - 0.18 * title.count("\n")
    axes.text(
        0, below, text, va="top", fontsize=9.5, color=colour, linespacing=1.45, transform=axes.transAxes
    )


def _failures(axes: Axes, result: ScenarioResult, zero: float) -> None:
    times = [second.at - zero + 0.5 for second in result.record.seconds() if second.failed]
    axes.plot(
        times, [0.25] * len(times), linestyle="", marker="|", color=FAILED, markersize=11, markeredgewidth=2.2
    )


def span(result: ScenarioResult) -> tuple[float, float]:
    """Where the chart's time is 0 (the push) and where it ends, in seconds since 1970."""
    seen = [snapshot.at for snapshot in result.snapshots]
    zero = result.pushed_at or result.record.start or (seen[0] if seen else 0.0)
    ends = [result.record.end, *seen[-1:]]
    # After the load has ended there is nothing to see but a rollback that still goes on.
    last = max((moment.at for moment in result.moments), default=zero)
    end = max(result.record.end, last) + 2 if len(result.record) else max(ends)
    return zero, max(end, zero + 1)


def subtitle(result: ScenarioResult) -> str:
    """The drill's numbers in one line."""
    versions = [result.stable, *([result.released] if result.released else [])]
    parts = [f"{result.environment}: {' → '.join(versions)}"]
    took = result.seconds_to_verdict
    parts.append(result.verdict if took is None else f"{result.verdict} {took:.0f} s after the push")
    failed = len(result.record.failed)
    parts.append(f"{failed:,} of {len(result.record):,} requests failed ({result.record.failed_share:.2%})")
    back = result.seconds_from_first_failure_to_zero
    if result.verdict == "rolled back" and back is not None:
        parts.append(f"weight 0 again {back:.1f} s after the first failure")
    return _BETWEEN.join(parts)


def labels(moments: Iterable[Moment], zero: float, seconds_per_inch: float) -> list[Label]:
    """Labels for the marks in up to four rows: those that fit side by side share a row; equal neighbours become one."""
    ends = [float("-inf")] * _LABEL_ROWS
    placed: list[Label] = []
    for moment in moments:
        if moment.kind == "step":
            continue  # the curve says it
        at = moment.at - zero
        if any(label.text == moment.text and at - label.at < seconds_per_inch for label in placed):
            continue
        width = len(moment.text) * _LABEL_INCHES_PER_LETTER * seconds_per_inch
        row = next((index for index, end in enumerate(ends) if at >= end), None)
        if row is None:
            row = min(range(_LABEL_ROWS), key=ends.__getitem__)
        ends[row] = at + width + 0.1 * seconds_per_inch
        placed.append(Label(at, moment.text, moment.kind, row))
    return placed


def _weights(axes: Axes, result: ScenarioResult, zero: float) -> None:
    windows = timeline.windows(result.snapshots)
    times = [window.start - zero for window in windows] + [window.end - zero for window in windows[-1:]]
    weights = [window.weight for window in windows] + [window.weight for window in windows[-1:]]
    if windows:
        axes.step(times, weights, where="post", color=CANARY, linewidth=2)
        axes.fill_between(times, weights, step="post", color=CANARY, alpha=0.25)
    for window in windows:
        if window.weight:
            axes.annotate(
                f"{window.weight} %",
                (window.start - zero, window.weight),
                xytext=(3, 3),
                textcoords="offset points",
                fontsize=9,
                color="#8A5A00",
                fontweight="bold",
            )
    # Square roots, so that 5 % can be seen beside 100 %.
    axes.set_yscale("function", functions=(lambda share: np.sqrt(np.maximum(share, 0)), np.square))
    axes.set_ylim(0, 130)
    axes.yaxis.set_major_locator(FixedLocator((0, 5, 20, 50, 100)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_title(f"Weight of {result.released or 'the canary'} in the router, percent", pad=6)


def _requests(axes: Axes, result: ScenarioResult, seconds: Sequence[Second], times: Sequence[float]) -> None:
    versions = [(result.stable, STABLE), (result.released or "", CANARY)]
    for version, colour in versions:
        answered = [second.by_version.get(version, 0) for second in seconds]
        axes.step(times, answered, where="post", color=colour, linewidth=1.5, label=f"answered by {version}")
        axes.fill_between(times, answered, step="post", color=colour, alpha=0.15)
    unanswered = [
        second.requests - sum(second.by_version.get(version, 0) for version, _ in versions)
        for second in seconds
    ]
    if any(unanswered):
        none = "answered by no version"
        axes.step(times, unanswered, where="post", color=FAILED, linewidth=1.5, label=none)
    axes.set_title("Requests sent each second, by the version that answered", pad=6)
    _legend(axes)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def _legend(axes: Axes) -> None:
    """Beside the title."""
    legend = axes.legend(loc="lower left", bbox_to_anchor=(0.45, 1.0), ncols=3, borderaxespad=0.0)
    for line in legend.get_lines():
        line.set_linewidth(3)


def _errors(axes: Axes, seconds: Sequence[Second], times: Sequence[float]) -> None:
    shares = [100 * second.failed / second.requests if second.requests else 0.0 for second in seconds]
    axes.bar(times, shares, width=1.0, align="edge", color=FAILED)
    _limit(axes, 100 * VERDICT.limit, f"limit for a release: {_LIMIT_PERCENT} of its own requests")
    axes.set_ylim(0, max(10.0, 1.15 * max(shares, default=0.0)))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    total = sum(second.failed for second in seconds)
    note = "" if total else "   (none failed)"
    axes.set_title(f"Failed requests of all users, percent{note}", pad=6)


def _latency(axes: Axes, seconds: Sequence[Second], times: Sequence[float]) -> None:
    for share, name, colour, width in (
        (1.0, "slowest", SLOWEST, 0.9),
        (0.95, "p95", P95, 1.8),
        (0.5, "median", MEDIAN, 1.8),
    ):
        latencies = [second.latency(share) for second in seconds]
        values = [float("nan") if latency is None else latency for latency in latencies]
        axes.plot(times, values, color=colour, linewidth=width, label=name)
    slow = f"limit for a release: {_LIMIT_PERCENT} of its own requests over {VERDICT.slow:g} s"
    _limit(axes, VERDICT.slow, slow)
    axes.set_yscale("log")
    slowest = max((second.latencies[-1] for second in seconds if second.latencies), default=0.0)
    axes.set_ylim(top=max(_LATENCY_TOP_SECONDS, 2 * slowest))
    axes.yaxis.set_major_locator(FixedLocator(_LATENCY_TICKS))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
    axes.set_title("Latency of the requests sent in each second", pad=6)
    _legend(axes)


def duration(value: float) -> str:
    """Seconds as an axis shows them: 3 ms, 0.3 s, 30 s."""
    return f"{value * 1000:.0f} ms" if value < 0.1 else f"{value:g} s"  # noqa: PLR2004


def _marks(panels: Sequence[Axes], moments: Sequence[Moment], zero: float) -> None:
    for moment in moments:
        colour, line = MARKS[moment.kind]
        for axes in panels:
            axes.axvline(
                moment.at - zero, color=colour, linestyle=line, linewidth=1.0, alpha=0.85, zorder=1.5
            )


def _happened(axes: Axes, moments: Sequence[Moment], zero: float) -> None:
    """A strip that says in words what each mark is."""
    axes.set_axis_off()
    axes.set_ylim(0, _LABEL_ROWS)
    left, right = axes.get_xlim()
    for label in labels(moments, zero, (right - left) / (_WIDTH - 1.0)):
        colour, line = MARKS[label.kind]
        height = _LABEL_ROWS - label.row
        axes.vlines(label.at, 0, height - 0.15, color=colour, linestyle=line, linewidth=1.0)
        axes.annotate(
            label.text,
            (label.at, height),
            xytext=(4, 0),
            textcoords="offset points",
            verticalalignment="top",
            fontsize=9,
            color=colour,
            annotation_clip=False,
        )


def _limit(axes: Axes, value: float, text: str) -> None:
    axes.axhline(value, color=NEUTRAL, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.annotate(
        text,
        (1.0, value),
        xycoords=("axes fraction", "data"),
        xytext=(-2, 2),
        textcoords="offset points",
        horizontalalignment="right",
        fontsize=8.5,
        color=NEUTRAL,
    )
