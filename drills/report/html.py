"""Writes what drills found: a picture and a page for each, and one page and one picture of all of them.

Everything lies in build/report/: `index.html` and `summary.png`, and a folder per drill with `index.html`,
`picture.png` and `facts.json`. The pages hold their pictures, so any of them can be sent to somebody as one file.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from drills.fixtures import local
from drills.load.results import quantile
from drills.report import charts
from drills.report.result import Account

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "pages"), autoescape=True, undefined=StrictUndefined
)


def write_drill(account: Account, folder: Path) -> Path:
    """Write one drill's picture, facts and page; the page."""
    picture = charts.draw(account, folder / "picture.png")
    (folder / "facts.json").write_text(json.dumps(facts(account), indent=2) + "\n", encoding="utf-8")
    zero = charts.span(account)[0]
    moments = [(f"{moment.at - zero:+.1f} s", moment.kind, moment.text) for moment in account.moments]
    return _render(
        "drill.html",
        folder / "index.html",
        account=account,
        picture=_inline(picture),
        moments=moments,
        facts=facts(account),
    )


def write_summary(accounts: Sequence[Account], folder: Path) -> Path:
    """Write the page and the picture of all drills, in the order given; the page."""
    summary = charts.draw_summary(accounts, folder / "summary.png")
    drills = [
        (account, facts(account), _inline(folder / account.name / "picture.png")) for account in accounts
    ]
    return _render("summary.html", folder / "index.html", summary=_inline(summary), drills=drills)


def write_page(page: Path, text: str) -> None:
    """Write a page of docs/, and beside it its picture: that of the summary which was written last."""
    shutil.copyfile(local.REPORT / "summary.png", page.with_suffix(".png"))
    page.write_text(text, encoding="utf-8")


def facts(account: Account) -> dict[str, Any]:
    """The drill's numbers; times in seconds, shares in percent."""
    latencies = sorted(request.latency for request in account.record.requests)
    return {
        "drill": account.name,
        "title": account.title,
        "environment": account.environment,
        "stable": account.stable,
        "released": account.released,
        "verdict": account.verdict,
        "seconds_to_verdict": _rounded(account.seconds_to_verdict, 1),
        "requests": len(account.record),
        "failed": len(account.record.failed),
        "failed_percent": _rounded(100 * account.record.failed_share, 3),
        "seconds_from_first_failure_to_zero": _rounded(account.seconds_from_first_failure_to_zero, 1),
        "weights": account.weights,
        "latency_p50": _rounded(quantile(latencies, 0.5), 4),
        "latency_p95": _rounded(quantile(latencies, 0.95), 4),
        "latency_max": _rounded(quantile(latencies, 1.0), 4),
        "answers": {version or "none": count for version, count in account.record.versions().items()},
        "failures": dict(account.record.failures_by_kind()),
        "problem": account.problem,
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _render(template: str, file: Path, **content: Any) -> Path:
    now = datetime.now(tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    file.write_text(_TEMPLATES.get_template(template).render(made_at=now, **content), encoding="utf-8")
    return file


def _inline(picture: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
