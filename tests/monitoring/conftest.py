"""The rules, as the chart renders them for production by Argo CD."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.chart.rendering import Manifests, render
from tests.monitoring.promtool import Alerts


@pytest.fixture(scope="session")
def manifests() -> Manifests:
    return render("production", "canary", values={"release": {"revision": "1" * 40}})


def _alerts(manifests: Manifests, folder: Path) -> Alerts:
    program = shutil.which("promtool")
    assert program, "promtool is not on PATH; `make test` puts it there"
    return Alerts(program, [rule["spec"] for rule in manifests.of("PrometheusRule")], folder)


@pytest.fixture
def alerts(manifests: Manifests, tmp_path: Path) -> Alerts:
    return _alerts(manifests, tmp_path)


@pytest.fixture
def helm_alone(tmp_path: Path) -> Alerts:
    """Of a release that Argo CD has no part in, without guard and https."""
    values = {"analysis": {"security": False}, "routing": {"tls": {"secret": "", "issuer": ""}}}
    return _alerts(render("production", "canary", values=values), tmp_path)
