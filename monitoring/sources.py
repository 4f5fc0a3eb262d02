"""Where every metric comes from that the rules read, and which alert fires when nobody scrapes it.

A rule over a metric that is not there answers nothing, which looks like health. MetricsSourceAbsent is made from
sources.yaml (rules/parts.yaml), and tests/monitoring/test_sources.py finds every metric that is read there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Source:
    """Words in capitals are those that the chart puts values in the places of."""

    name: str
    """As the alert's label `source` has it."""
    monitor: str
    """What has it scraped: a monitor of the chart, of the guard, or of argocd/platform/monitors.yaml."""
    metrics: Sequence[str]
    """All that is read of it."""
    always: Sequence[str] = ()
    """What it has as long as it is scraped. Empty: `covered_by`."""
    expected: str = "1"
    """1 where an environment has to have it, 0 where it has no need of it."""
    covered_by: str = ""
    """An alert of its own that fires without data too."""


SOURCES = tuple(
    Source(**each) for each in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
)
