"""Writes what drills found: a chart and a page for each, and one page and one chart of all of them.

Everything lies in build/report/: `index.html` and `summary.png`, and a folder per drill with `index.html`,
`chart.png` and `facts.json`. The pages hold their charts, so any of them can be sent to somebody as one file.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from drills.load.results import quantile
from drills.report import charts
from drills.report.result import ScenarioResult

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "pages"), autoescape=True, undefined=StrictUndefined
)


def write_drill(result: ScenarioResult, folder: Path) -> Path:
    """Write one drill's chart, facts and page; the page."""
    chart = charts.draw(result, folder / "chart.png")
    (folder / "facts.json").write_text(json.dumps(facts(result), indent=2) + "\n", encoding="utf-8")
    zero = charts.span(result)[0]
    moments = [(f"{moment.at - zero:+.1f} s", moment.kind, moment.text) for moment in result.moments]
    return _render(
        "drill.html",
        folder / "index.html",
        result=result,
        chart=_inline(chart),
        moments=moments,
        facts=facts(result),
    )


def write_summary(results: Sequence[ScenarioResult], folder: Path) -> Path:
    """Write the page and the chart of all drills, in the order given; the page."""
    summary = charts.draw_summary(results, folder / "summary.png")
    drills = [(result, facts(result), _inline(folder / result.name / "chart.png")) for result in results]
    return _render("summary.html", folder / "index.html", summary=_inline(summary), drills=drills)


def facts(result: ScenarioResult) -> dict[str, Any]:
    """The drill's numbers; times in seconds, shares in percent."""
    latencies = sorted(request.latency for request in result.record.requests)
    return {
        "drill": result.name,
        "title": result.title,
        "environment": result.environment,
        "stable": result.stable,
        "released": result.released,
        "verdict": result.verdict,
        "seconds_to_verdict": _rounded(result.seconds_to_verdict, 1),
        "requests": len(result.record),
        "failed": len(result.record.failed),
        "failed_percent": _rounded(100 * result.record.failed_share, 3),
        "seconds_from_first_failure_to_zero": _rounded(result.seconds_from_first_failure_to_zero, 1),
        "weights": result.weights,
        "latency_p50": _rounded(quantile(latencies, 0.5), 4),
        "latency_p95": _rounded(quantile(latencies, 0.95), 4),
        "latency_max": _rounded(quantile(latencies, 1.0), 4),
        "answers": {version or "none": count for version, count in result.record.versions().items()},
        "failures": dict(result.record.failures_by_kind()),
        "alerts": {name: asdict(alert) for name, alert in result.alerts.items()},
        "problem": result.problem,
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _render(template: str, file: Path, **content: Any) -> Path:
    now = datetime.now(tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    file.write_text(_TEMPLATES.get_template(template).render(made_at=now, **content), encoding="utf-8")
    return file


def _inline(chart: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(chart.read_bytes()).decode()
