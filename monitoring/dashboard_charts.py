"""Draws a dashboard as Grafana would show it, from a Prometheus: for reviews, documentation and where no Grafana is."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import MINUTELY, AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from monitoring.dashboards import Dashboard, Panel, Query, Unit

# Okabe and Ito's palette: distinct for all common kinds of colour vision.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#F0E442", "#999999", "#000000")
_LIMIT = "#D55E00"
_WIDTH, _ROW_HEIGHT, _DPI = 20.0, 3.6, 80
_POINTS = 240
_MOST_LINES = 8
_LEGEND_LETTER_INCHES, _LEGEND_MARK_INCHES = 0.07, 0.55
STYLE: Any = {  # matplotlib types its settings as literals
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "axes.edgecolor": "#808080",
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "legend.frameon": False,
    "legend.fontsize": 8,
}
"""Of every chart of the project, those of the drills as well."""


@dataclass(frozen=True)
class Line:
    name: str
    times: tuple[datetime, ...]
    values: tuple[float, ...]


@dataclass
class Colours:
    """The same thing has the same colour in every panel: `1.1 (5c5b)` and `deals 1.1 (5c5b)` are one version."""

    _given: dict[str, str] = field(default_factory=dict)

    def of(self, name: str) -> str:
        thing = name.rpartition("(")[2]
        return self._given.setdefault(thing, _COLOURS[len(self._given) % len(_COLOURS)])


@dataclass(frozen=True)
class Prometheus:
    """A Prometheus, and what the dashboard's variables are set to."""

    prometheus: str
    environment: str = "production"
    component: str = "web|worker|beat"
    rate_interval: str = "30s"

    def lines(self, query: Query, start: datetime, end: datetime) -> list[Line]:
        """What Grafana would draw. Raises httpx.HTTPError if Prometheus refuses or does not answer."""
        answer = httpx.get(
            f"{self.prometheus}/api/v1/query_range",
            params={
                "query": self.filled(query.expr),
                "start": start.timestamp(),
                "end": end.timestamp(),
                "step": max(1.0, (end - start).total_seconds() / _POINTS),
            },
            timeout=30,
        )
        answer.raise_for_status()
        return [_line(query, each) for each in answer.json()["data"]["result"]]

    def filled(self, expression: str) -> str:
        for name, value in (
            ("$environment", self.environment),
            ("$component", self.component),
            ("$__rate_interval", self.rate_interval),
        ):
            expression = expression.replace(name, value)
        return expression


def _line(query: Query, series: dict[str, Any]) -> Line:
    name = re.sub(r"\{\{(\w+)\}\}", lambda match: series["metric"].get(match[1], ""), query.legend)
    points = [(datetime.fromtimestamp(float(at), UTC), float(value)) for at, value in series["values"]]
    known = [(at, value) for at, value in points if not math.isnan(value)]
    return Line(name.strip() or "value", tuple(at for at, _ in known), tuple(value for _, value in known))


def draw(dashboard: Dashboard, source: Prometheus, start: datetime, end: datetime, file: Path) -> list[str]:
    """Write the chart and return the titles of the panels that have nothing to show."""
    empty: list[str] = []
    colours = Colours()
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(_WIDTH, _ROW_HEIGHT * len(dashboard.rows) + 1.2), layout="constrained")
        period = f"{start:%Y-%m-%d %H:%M} to {end:%H:%M} UTC"
        figure.suptitle(
            f"{dashboard.title}   ·   {source.environment}   ·   {period}", fontsize=15, x=0.01, ha="left"
        )
        for row, part in zip(dashboard.rows, _parts(figure, len(dashboard.rows)), strict=True):
            part.suptitle(row.title, fontsize=11, color="#666666", x=0.005, ha="left")
            for panel, axes in zip(
                row.panels, part.subplots(1, len(row.panels), squeeze=False)[0], strict=True
            ):
                lines = [
                    line for query in panel.queries for line in source.lines(query, start, end) if line.values
                ]
                if not lines:
                    empty.append(panel.title)
                _panel(axes, panel, lines, colours, (start, end), inches=_WIDTH / len(row.panels))
        figure.savefig(file, dpi=_DPI)
    return empty


def _parts(figure: Figure, count: int) -> list[Any]:
    return [row[0] for row in np.atleast_2d(figure.subfigures(count, 1, squeeze=False))]


def _panel(
    axes: Axes,
    panel: Panel,
    lines: list[Line],
    colours: Colours,
    period: tuple[datetime, datetime],
    *,
    inches: float,
) -> None:
    axes.set_title(panel.title)
    if not lines:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "nothing to show", transform=axes.transAxes, ha="center", color="#808080")
        return
    if panel.kind == "number":
        axes.set_axis_off()
        text = in_words(lines[0].values[-1], panel.unit)
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=30)
        axes.text(0.5, 0.12, panel.about, transform=axes.transAxes, ha="center", fontsize=9, color="#666666")
        return
    shown = sorted(lines, key=lambda line: -max(line.values))[:_MOST_LINES]
    if panel.kind == "stack":
        _stack(axes, shown, colours)
    else:
        for line in shown:
            axes.plot(
                np.array(line.times),
                np.array(line.values),
                color=colours.of(line.name),
                label=line.name,
                linewidth=1.8,
            )
    if panel.limit is not None:
        axes.axhline(panel.limit, color=_LIMIT, linestyle="--", linewidth=1.2)
        axes.annotate(
            f" {in_words(panel.limit, panel.unit)}",
            (1, panel.limit),
            xycoords=("axes fraction", "data"),
            color=_LIMIT,
            va="center",
        )
    axes.set_xlim(*period)  # type: ignore[arg-type]
    if panel.kind == "stack":
        axes.margins(y=0.02)
    elif min(min(line.values) for line in shown) >= 0:
        axes.set_ylim(bottom=0)
    locator = AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]
    locator.intervald[MINUTELY] = [1, 2, 5, 10, 15, 30]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))  # type: ignore[no-untyped-call]
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: in_words(value, panel.unit)))
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.1), ncols=_columns(shown, inches))


def _columns(lines: list[Line], inches: float) -> int:
    """How many names fit side by side under a panel of that width: a wider legend would make the panel narrower."""
    longest = max(len(line.name) for line in lines)
    return max(1, min(3, int(0.85 * inches / (_LEGEND_MARK_INCHES + longest * _LEGEND_LETTER_INCHES))))


def _stack(axes: Axes, lines: list[Line], colours: Colours) -> None:
    """Of lines that begin and end at different times: what is not there is 0."""
    times = sorted({at for line in lines for at in line.times})
    known = [dict(zip(line.times, line.values, strict=True)) for line in lines]
    axes.stackplot(
        times,  # type: ignore[arg-type]
        *([values.get(at, 0.0) for at in times] for values in known),
        labels=[line.name for line in lines],
        colors=[colours.of(line.name) for line in lines],
        alpha=0.75,
    )


def in_words(value: float, unit: Unit) -> str:
    """A value as an axis shows it: 0.05 of a percentunit is 5 %."""
    match unit:
        case "percentunit":
            return f"{100 * value:.3g} %"
        case "s":
            return _seconds(value)
        case "reqps":
            return f"{value:.3g}/s"
        case _:
            return f"{value:.4g}"


def _seconds(value: float) -> str:
    if 0 < abs(value) < 1:
        return f"{1000 * value:.3g} ms"
    if abs(value) >= 2 * 60 * 60:
        return f"{value / 3600:.3g} h"
    if abs(value) >= 2 * 60:
        return f"{value / 60:.3g} min"
    return f"{value:.3g} s"


def draw_all(
    dashboards: tuple[Dashboard, ...],
    source: Prometheus,
    minutes: float,
    folder: Path,
    end: datetime | None = None,
) -> list[str]:
    """Draw the last minutes of each, before now or another end; what has nothing to show, as `dashboard: panel`."""
    folder.mkdir(parents=True, exist_ok=True)
    end = end or datetime.now(UTC)
    start = end - timedelta(minutes=minutes)
    return [
        f"{dashboard.title}: {title}"
        for dashboard in dashboards
        for title in draw(dashboard, source, start, end, folder / f"{dashboard.uid}.png")
    ]
