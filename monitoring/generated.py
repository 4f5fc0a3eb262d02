"""The files that are made from the objectives: what each must hold, and writing them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jinja2 import Environment

from delivery.kubernetes.limits import REGRESSION, VERDICT
from monitoring import alertmanager, dashboards, grafana, objectives
from monitoring.alerts import Alert, alerts
from monitoring.sources import SOURCES
from monitoring.templates import environment

REPOSITORY = Path(__file__).resolve().parents[1]
RULES = REPOSITORY / "charts/crm/files/rules"
DASHBOARDS = REPOSITORY / "charts/crm/files/dashboards"
RUNBOOKS = REPOSITORY / "docs/runbooks"
PAGE = REPOSITORY / "docs/monitoring.md"
COMMAND = "python -m monitoring"
LONG = 5400
"""Seconds from which on half hours are exact enough."""


def percent(share: float) -> str:
    """0.05 as `5 %`."""
    return f"{100 * share:.6g} %"


def files() -> dict[Path, str]:
    """Every generated file with the text that it must have."""
    names = sorted(_templates("rules").list_templates(), key=lambda name: (name != "users.yaml", name))
    rules = {name: _rules(name) for name in names}
    page = _templates("pages").get_template("monitoring.md").render(alerts=_rows(alerts(rules.values())))
    boards = {DASHBOARDS / f"{each.uid}.json": grafana.text(each) for each in dashboards.DASHBOARDS}
    return {RULES / name: text for name, text in rules.items()} | boards | {PAGE: page}


def stale() -> list[Path]:
    """The generated files that are not what they must be."""
    return list(_outdated())


def _outdated() -> dict[Path, str]:
    return {path: text for path, text in files().items() if not path.exists() or path.read_text() != text}


def write() -> list[Path]:
    """Write what is stale, and say what that was."""
    outdated = _outdated()
    for path, text in outdated.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return list(outdated)


def _templates(folder: str) -> Environment:
    """With what the rules and the page are made from."""
    templates = environment(folder)
    templates.filters |= {"percent": percent, "number": "{:g}".format, "minutes": _minutes}
    windows = {window for burn in objectives.BURNS for window in (burn.long, burn.short)}
    templates.globals |= {
        "ln": math.log,
        "six": "{:.6f}".format,
        "number": float,
        "seconds": objectives.seconds,
        "notified_after": objectives.seconds(objectives.NOTIFIED_AFTER),
        "verdict": VERDICT,
        "exp": math.exp,
        "regression": REGRESSION,
        "stream_names": _stream_names,
        "floors": _floors,
        "prices": _prices,
        "service_price": REGRESSION.price(REGRESSION.find("lost"), pooled=True),
        "objectives": objectives.OBJECTIVES,
        "period": objectives.PERIOD,
        "burns": objectives.BURNS,
        "windows": sorted(windows, key=objectives.seconds),
        "fewest_bad": objectives.FEWEST_BAD,
        "limits": objectives.LIMITS,
        "absent": [(source, always) for source in SOURCES for always in source.always],
        "levels": tuple(zip(objectives.LEVELS, alertmanager.SITE.recipients, strict=True)),
    }
    return templates


def _stream_names(side: str) -> str:
    """As a regular expression."""
    return "|".join(each.name for each in REGRESSION.streams if each.side == side)


def _floors(*sides: str) -> list[tuple[float, str]]:
    """Each floor with the streams that it is of."""
    streams = [each for each in REGRESSION.streams if each.side in sides]
    return [
        (floor, "|".join(names)) for floor, names in _grouped((each.floor, each.name) for each in streams)
    ]


def _prices() -> list[tuple[float, float, str, bool]]:
    """Each weight, what it costs, the streams that have it, and whether of all endpoints together."""
    paid = [
        ((weight, REGRESSION.price(each, pooled=is_pooled), is_pooled), each.name)
        for each in REGRESSION.streams
        for weight, is_pooled in ((each.pooled, True), (each.each, False))
        if weight and each.exposed != "routed"
    ]
    return [(weight, price, "|".join(names), pooled) for (weight, price, pooled), names in _grouped(paid)]


def _grouped(pairs: Iterable[tuple[Any, str]]) -> list[tuple[Any, list[str]]]:
    found: dict[Any, list[str]] = {}
    for key, name in pairs:
        found.setdefault(key, []).append(name)
    return list(found.items())


def _rules(name: str) -> str:
    head = f"# Made by `{COMMAND}` from monitoring/rules/{name}; change it there.\n#\n"
    return head + _templates("rules").get_template(name).render()


def _rows(known: list[Alert]) -> list[dict[str, str]]:
    """Each name once: those of several burn rates have a table of their own."""
    return list(
        {
            each.rule: {
                "name": each.rule,
                "severity": "by rate" if each.long else each.severity,
                "waits": "by rate" if each.long else "not" if each.waits == "0s" else each.waits,
                "promised": "by rate" if each.long else _minutes(each.promised()),
                "meaning": _meaning(each.rule),
            }
            for each in known
        }.values()
    )


def _minutes(seconds: float) -> str:
    """Rounded up to half a minute, as `2.5 min`, or to half an hour."""
    if seconds > LONG:
        return f"{math.ceil(seconds / 1800) / 2:g} h"
    return f"{math.ceil(seconds / 30) / 2:g} min"


def _meaning(alert: str) -> str:
    """The first sentence of its page."""
    text = " ".join((RUNBOOKS / f"{alert}.md").read_text().split())
    return text.partition("## Meaning ")[2].partition(". ")[0] + "."
