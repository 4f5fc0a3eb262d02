"""Whoever reads a metric hears when nobody scrapes it: each has a source, and each source somebody who tells."""

from __future__ import annotations

import re

import yaml

from monitoring.sources import SOURCES
from tests.chart.rendering import ROOT, Manifests
from tests.gitops.rendering import GUARD, PLATFORM, named, render
from tests.monitoring.promtool import Alerts, Story
from tests.monitoring.test_alerts import SWITCH, WITHOUT_DATA, healthy

ALERT = "MetricsSourceAbsent"


def read_by(manifests: Manifests) -> set[str]:
    """Every metric that an expression of the rules or a question names, without those that rules record."""
    rules = [
        rule
        for manifest in manifests.of("PrometheusRule")
        for group in manifest["spec"]["groups"]
        for rule in group["rules"]
        if rule.get("alert") != ALERT
    ]
    queries = [
        metric["provider"]["prometheus"]["query"]
        for template in manifests.of("AnalysisTemplate")
        for metric in template["spec"]["metrics"]
        if "prometheus" in metric["provider"]
    ]
    expressions = [rule["expr"] for rule in rules] + queries
    asked = {name for each in expressions for name in re.findall(r"([a-zA-Z_:][\w:]*)\{", each)}
    return asked - {rule["record"] for rule in rules if "record" in rule}


def test_every_metric_that_is_read_has_one_source(manifests: Manifests) -> None:
    listed = [metric for source in SOURCES for metric in source.metrics]
    assert len(listed) == len(set(listed))
    assert set(listed) == read_by(manifests)


def test_every_source_has_somebody_who_tells_when_it_is_absent(manifests: Manifests) -> None:
    parts = manifests.one("PrometheusRule", "crm-parts")["spec"]["groups"][0]["rules"]
    (expression,) = [rule["expr"] for rule in parts if rule.get("alert") == ALERT]
    named = set(re.findall(r'"source", "([^"]*)"', expression))
    assert named == {source.name for source in SOURCES if source.always}
    for source in SOURCES:
        # Those fire without data: test_without_data_only_those_fire_that_ask_for_somebody_to_look.
        assert source.always or source.covered_by in WITHOUT_DATA
        for always in source.always:
            assert set(re.findall(r"(\w+)\{", always)) <= set(source.metrics)


def test_every_source_beside_the_crm_has_a_monitor_in_the_one_place_for_all_clusters() -> None:
    monitors = {
        each["metadata"]["name"] for each in yaml.safe_load_all((PLATFORM / "monitors.yaml").read_text())
    }
    guards = named(render(GUARD, apis=["monitoring.coreos.com/v1"]), "PodMonitor")
    monitors |= {name.split("/")[1] for name in guards}
    assert {source.monitor for source in SOURCES} == monitors | {"crm"}
    elsewhere = [
        document["metadata"]["name"]
        for path in (ROOT / "cluster/manifests").glob("*.yaml")
        for document in yaml.safe_load_all(path.read_text())
        if document and document["kind"] in {"PodMonitor", "ServiceMonitor"}
    ]
    assert elsewhere == ["prometheus"], (
        "only what no rule reads may have a monitor of the local cluster alone"
    )


def test_it_names_each_source(alerts: Alerts) -> None:
    story = Story("nothing at all").fires(*WITHOUT_DATA, after=120)
    story.shows(
        f'group by (source) (ALERTS{{alertname="{ALERT}", alertstate="firing"}})',
        [f'{{source="{source.name}"}}' for source in SOURCES if source.always],
        after=120,
    )
    alerts.check(story)


def test_nobody_has_to_have_what_an_environment_does_not_use(helm_alone: Alerts) -> None:
    """Installed by Helm, plain http, no guard: only Argo Rollouts, the router and the kubelet have to be there."""
    story = healthy("Helm alone")
    for name in ("argocd_app_info", "certmanager_", "traefik_tls_certs_not_after", "delivery_guard_"):
        story.series = {key: values for key, values in story.series.items() if not key.startswith(name)}
    helm_alone.check(story.fires(SWITCH, after=120))
