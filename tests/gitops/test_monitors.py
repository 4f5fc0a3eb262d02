"""A real cluster's Prometheus scrapes what the local one does: both get argocd/platform/monitors.yaml."""

from typing import Any

import pytest
import yaml

from tests.gitops.rendering import PLATFORM, ROOT


def values_of(name: str) -> dict[str, Any]:
    (found,) = [
        application["spec"]["source"]["helm"]["valuesObject"]
        for application in yaml.safe_load_all((PLATFORM / "applications.yaml").read_text())
        if application["metadata"]["name"] == name
    ]
    values: dict[str, Any] = found
    return values


@pytest.mark.parametrize("kind", ["podMonitor", "serviceMonitor", "rule"])
def test_prometheus_takes_what_is_not_of_its_own_chart(kind: str) -> None:
    prometheus = values_of("prometheus")["prometheus"]["prometheusSpec"]
    assert prometheus[f"{kind}SelectorNilUsesHelmValues"] is False


def test_traefik_has_its_metrics_where_the_monitor_scrapes() -> None:
    monitors = {
        each["metadata"]["name"]: each
        for each in yaml.safe_load_all((PLATFORM / "monitors.yaml").read_text())
    }
    (endpoint,) = monitors["traefik"]["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == values_of("traefik")["metrics"]["prometheus"]["entryPoint"]


def test_the_guide_says_when_to_apply_them() -> None:
    assert "kubectl apply -f argocd/platform/monitors.yaml" in (ROOT / "docs/your-cluster.md").read_text()
