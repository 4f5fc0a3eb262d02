"""What the drills before have left in Prometheus: every panel has something to show, and looking cost little."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from cluster.addresses import PROMETHEUS
from drills.observe.watcher import Kubernetes
from monitoring.dashboard_charts import Prometheus
from monitoring.dashboards import DASHBOARDS, Dashboard
from monitoring.objectives import LIMITS

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("kubernetes")]
MINUTES = 10
SCRAPES = "scrape_duration_seconds{SELECTED}[10m]"


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each.uid)
def test_every_panel_has_something_to_show(dashboard: Dashboard, kubernetes: Kubernetes) -> None:
    assert kubernetes
    end = datetime.now(UTC)
    source, start = Prometheus(PROMETHEUS), end - timedelta(minutes=MINUTES)
    empty = [
        panel.title
        for panel in dashboard.panels
        if not panel.may_be_empty
        and not any(line.values for query in panel.queries for line in source.lines(query, start, end))
    ]
    assert not empty


@pytest.mark.parametrize(
    ("series", "limit"),
    [
        # Half of them: where pods start meanwhile, the others wait for their turn, which is no cost of theirs. And only
        # of a pod that was looked at for a minute: one that soon went again (its release was aborted) only started.
        (f"quantile_over_time(0.5, {SCRAPES}) and count_over_time({SCRAPES}) >= 30", LIMITS.scrape_seconds),
        ("max_over_time(scrape_samples_scraped{SELECTED}[10m])", LIMITS.scrape_series),
    ],
    ids=["seconds", "series"],
)
def test_looking_at_a_pod_is_cheap(series: str, limit: float) -> None:
    selected = series.replace("SELECTED", 'namespace="crm-production"')
    query = f"max by (container) ({selected})"
    answer = httpx.get(f"{PROMETHEUS}/api/v1/query", params={"query": query}).raise_for_status().json()
    found = {each["metric"]["container"]: float(each["value"][1]) for each in answer["data"]["result"]}
    assert set(found) == {"web", "worker", "beat"}
    assert max(found.values()) <= limit, found
