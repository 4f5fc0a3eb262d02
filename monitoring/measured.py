"""What drills have measured of each alert on a real cluster: monitoring/measured.yaml, by the alert's name.

The drills write it; `python -m monitoring` brings it into docs/monitoring.md and onto the alert's page.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

FILE = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True)
class Measured:
    """Times in seconds."""

    fault: str
    """What was done, as a sentence without its full stop."""
    day: str
    """The day, as 2026-11-26."""
    hurry: float
    """What the drill divided waiting times by."""
    promised: float
    """From the fault until somebody is told, at the latest, with that hurry."""
    fired: float
    """From the fault until Prometheus called it firing."""
    told: float | None
    """From the fault until the message; None where another alert of the same fault holds this one back."""
    ended_by: str
    """What was done then: a command of the page, or what else ended the fault."""
    over: float
    """From that until it fired no more."""


def read() -> dict[str, Measured]:
    """By the name of the alert."""
    found = yaml.safe_load(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    return {name: Measured(**each) for name, each in found.items()}


def add(news: dict[str, Measured]) -> None:
    """Write what is new over what was known of the same alerts."""
    known = {name: asdict(each) for name, each in sorted((read() | news).items())}
    FILE.write_text(yaml.safe_dump(known, sort_keys=False, allow_unicode=True, width=120), encoding="utf-8")
