"""The rules, as the chart renders them for production."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.chart.rendering import Manifests, render
from tests.monitoring.promtool import Alerts


@pytest.fixture(scope="session")
def manifests() -> Manifests:
    return render("production", "canary")


@pytest.fixture
def alerts(manifests: Manifests, tmp_path: Path) -> Alerts:
    program = shutil.which("promtool")
    assert program, "promtool is not on PATH; `make test` puts it there"
    return Alerts(program, [rule["spec"] for rule in manifests.of("PrometheusRule")], tmp_path)
