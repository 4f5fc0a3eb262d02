"""The dashboards are what Grafana reads, and every panel leads somewhere."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard as GrafanaDashboard

from monitoring import dashboard_charts
from monitoring.dashboards import DASHBOARDS, Dashboard
from monitoring.grafana import text
from tests.chart.rendering import ROOT, Manifests, render
from tests.monitoring.test_alertmanager import found

every_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each.uid)


@every_dashboard
def test_it_is_what_grafanas_schema_knows(dashboard: Dashboard) -> None:
    """The SDK's classes are made from that schema: what they do not know, they lose."""
    written = json.loads(text(dashboard))
    read = GrafanaDashboard.from_json(written)
    assert json.loads(JSONEncoder(sort_keys=True).encode(read)) == written


@every_dashboard
def test_panels_lie_side_by_side_and_over_the_whole_width(dashboard: Dashboard) -> None:
    places = [panel["gridPos"] for panel in json.loads(text(dashboard))["panels"] if panel["type"] != "row"]
    squares = [
        (x, y) for each in places for x in range(each["x"], each["x"] + each["w"]) for y in (each["y"],)
    ]
    assert len(squares) == len(set(squares)), "two panels overlap"
    for y in {each["y"] for each in places}:
        assert sum(each["w"] for each in places if each["y"] == y) >= 24 - 4


@every_dashboard
def test_a_panel_says_what_it_shows_and_what_to_do(dashboard: Dashboard) -> None:
    titles = [panel.title for panel in dashboard.panels]
    assert len(titles) == len(set(titles))
    for panel in dashboard.panels:
        assert panel.about.endswith(".")
        if panel.runbook:
            assert (ROOT / f"docs/runbooks/{panel.runbook}.md").exists()
        else:
            assert panel.limit is None or "scrape" in str(panel.queries), "a limit without a page to go to"


@every_dashboard
def test_prometheus_understands_every_query(dashboard: Dashboard, tmp_path: Path) -> None:
    """As rules, which promtool checks."""
    rules = [
        {"record": "a:b", "expr": query.expr.replace("$__rate_interval", "1m")}
        for panel in dashboard.panels
        for query in panel.queries
    ]
    for number, rule in enumerate(rules):
        rule["record"] = f"panel:{number}"
    file = tmp_path / "rules.yaml"
    file.write_text(json.dumps({"groups": [{"name": dashboard.uid, "rules": rules}]}))
    run = subprocess.run(
        [found("promtool"), "check", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def config_maps(manifests: Manifests) -> list[Any]:
    return [each for each in manifests.of("ConfigMap") if "grafana_dashboard" in each["metadata"]["labels"]]


def test_one_environment_ships_them_and_the_pages_are_linked() -> None:
    shipped = config_maps(render("production", "canary"))
    assert {each["metadata"]["name"] for each in shipped} == {each.uid for each in DASHBOARDS}
    for each in shipped:
        (written,) = each["data"].values()
        assert "RUNBOOKS/" not in written
        urls = [link["url"] for panel in json.loads(written)["panels"] for link in panel.get("links", [])]
        assert urls
        assert all(
            url.startswith("https://git.example.com/crm/src/branch/main/docs/runbooks/") for url in urls
        )
    for environment in ("dev", "staging"):
        assert not config_maps(render(environment, "canary"))


@pytest.mark.parametrize(
    ("names", "columns"), [(["1.0"], 3), (["stable 1.0 (5c5b)"], 2), (["x" * 80, "1.0"], 1)]
)
def test_a_legend_is_no_wider_than_its_panel(names: list[str], columns: int) -> None:
    """In a picture it would squeeze the panel."""
    assert dashboard_charts._columns([dashboard_charts.Line(name, (), ()) for name in names], 5.0) == columns
