"""What a dashboard is made of, before it is Grafana's JSON or a chart; monitoring/dashboards.yaml has the four."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import yaml

from delivery.kubernetes.limits import VERDICT
from monitoring.objectives import BURNS, LIMITS, OBJECTIVES
from monitoring.templates import filled

# As Grafana calls them.
Unit = Literal["reqps", "percentunit", "s", "short", "cores"]


@dataclass(frozen=True)
class Query:
    """PromQL; `$environment` and `$component` are the dashboard's variables."""

    expr: str
    legend: str = ""
    """As Grafana writes it: `{{pod}}` is the label."""


@dataclass(frozen=True)
class Panel:
    title: str
    queries: tuple[Query, ...]
    unit: Unit
    about: str
    """One sentence: what somebody on call reads from it."""
    limit: float | None = None
    """Where it becomes too much; a line across the panel."""
    too_little: bool = False
    """Whether below the limit is the bad side."""
    kind: Literal["lines", "stack", "number"] = "lines"
    runbook: str = ""
    """The alert whose runbook says what to do."""
    may_be_empty: bool = False
    """Whether a healthy platform may have nothing to show here."""


@dataclass(frozen=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Dashboard:
    uid: str
    title: str
    about: str
    rows: tuple[Row, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        return tuple(panel for row in self.rows for panel in row.panels)


def _panel(queries: dict[str, str], **settings: Any) -> Panel:
    return Panel(queries=tuple(Query(expr, legend) for legend, expr in queries.items()), **settings)


DASHBOARDS = tuple(
    Dashboard(
        rows=tuple(Row(row["title"], tuple(_panel(**each) for each in row["panels"])) for row in rows),
        **about,
    )
    for about in yaml.safe_load(
        filled("dashboards.yaml", verdict=VERDICT, objectives=OBJECTIVES, burns=BURNS, limits=LIMITS)
    )
    for rows in (about.pop("rows"),)
)
