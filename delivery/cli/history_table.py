"""What `delivery history` prints."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from delivery.gitops import promoted
from delivery.gitops.dora import Performance
from delivery.gitops.history import AUTOMATIC_ROLLBACK, PROMOTION, RELEASE, ROLLBACK, UNQUARANTINE, Event

_COLOURS = {
    AUTOMATIC_ROLLBACK: "red",
    ROLLBACK: "yellow",
    RELEASE: "green",
    PROMOTION: "green",
    UNQUARANTINE: "magenta",
}
_HEADINGS = ("when (UTC)", "environment", "what", "version", "by")
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def table(events: Iterable[Event]) -> Group:
    """One line an event, in the given order: when, where, what, which version and by whom.

    Below it its commit, what it replaced, what became of it and why, as wide as the terminal is.
    """
    found = list(events)
    rows = [[Text(heading, style="bold") for heading in _HEADINGS]]
    rows += [
        [
            Text(f"{each.at:%Y-%m-%d %H:%M:%S}"),
            Text(each.environment or "all"),
            Text(each.kind, style=_COLOURS.get(each.kind, "cyan")),
            Text(each.release.image.version, style="bold") if each.release else Text("-", style="dim"),
            # Text: brackets in names are no style.
            Text(each.by),
        ]
        for each in found
    ]
    widths = [max(cell.cell_len for cell in column) for column in zip(*rows, strict=True)]
    lines: list[RenderableType] = []
    for row, event in zip(rows, (None, *found), strict=True):
        line = Text(no_wrap=True, overflow="ellipsis")
        for cell, width in zip(row, widths, strict=True):
            line.append(cell).append(" " * (width - cell.cell_len + 2))
        line.rstrip()
        lines.append(line)
        if event:
            lines.append(Padding(_below(event), (0, 0, 0, 4), expand=False))
    return Group(*lines)


def _below(event: Event) -> Text:
    reason = Text(event.problem, style="red") if event.problem else Text(event.why)
    commit = Text(f"{event.commit[:8]}  {_was(event)}".rstrip(), style="dim")
    parts = [commit, Text(outcome(event)), reason]
    return Text("  ").join(part for part in parts if part)


def outcome(event: Event) -> str:
    """What became of a release: promoted, aborted at 5 %, replaced at 20 %; empty where unknown."""
    if event.outcome in (promoted.ABORTED, promoted.REPLACED) and event.weight is not None:
        return f"{event.outcome} at {event.weight} %"
    return event.outcome


def as_json(event: Event) -> dict[str, Any]:
    return {
        "at": event.at.isoformat(),
        "kind": event.kind,
        "environment": event.environment,
        "version": event.release.image.version if event.release else None,
        "was": event.was.image.version if event.was else None,
        "digest": event.release.image.digest if event.release else None,
        "revision": event.release.revision if event.release else None,
        "outcome": event.outcome or None,
        "weight": event.weight,
        "by": event.by,
        "why": event.why,
        "problem": event.problem,
        "commit": event.commit,
    }


def sentence(performance: Performance, days: int) -> str:
    """The metrics of one environment in one sentence."""
    name, count = performance.environment, len(performance.deployments)
    if not count:
        return f"{name}: no deployment in the last {days} days"
    text = (
        f"{name}: {count} {'deployment' if count == 1 else 'deployments'} in the last {days} days, "
        f"{performance.failed} failed ({100 * performance.failed / count:.0f} %)"
    )
    if performance.restored:
        text += f", rolled back after {_long(median(time.total_seconds() for time in performance.restored))} (median)"
    return text


def _was(event: Event) -> str:
    """What the release has replaced: a version, or where the image is the same a revision or a strategy."""
    was, now = event.was, event.release
    if was is None or now is None or was == now:
        return ""
    if was.image != now.image:
        return f"was {was.image.version}"
    return f"was {was.revision[:8]}" if was.revision != now.revision else f"was {was.strategy}"


def _long(seconds: float) -> str:
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"
