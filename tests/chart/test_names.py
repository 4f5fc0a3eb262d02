"""Every object may be named by something else than `crm`, and what refers to it follows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

from tests.chart.rendering import ROUTERS, STRATEGIES, Manifests, notes, render, routed_by

OTHER = "sales"
# Found in a namespace of their own by everybody who asks for them.
OWN_NAMES = {"postgresql", "redis"}
WITHOUT_ROUTER = "none"
# Argo Rollouts and other controllers make these, or they are made by hand; the Job makes sales-secrets.
MADE_ELSEWHERE = {("Secret", "crm-tls"), ("Secret", "sales-secrets"), ("ServiceAccount", "sales")}
KINDS = {
    "serviceAccountName": "ServiceAccount",
    "secretName": "Secret",
    "stableService": "Service",
    "canaryService": "Service",
    "activeService": "Service",
    "previewService": "Service",
    "serviceName": "Service",
    "stableIngress": "Ingress",
    "weightedTraefikServiceName": "TraefikService",
    "httpRoute": "HTTPRoute",
}
UNDER = {
    "configMapKeyRef": "ConfigMap",
    "secretKeyRef": "Secret",
    "middlewares": "Middleware",
    "delegate": "VirtualService",
    "virtualService": "VirtualService",
}


def rendered(router: str, strategy: str, **values: Any) -> Manifests:
    routed = routed_by(router, **({} if router == WITHOUT_ROUTER else {"tls": {"secret": "crm-tls"}}))
    return render("dev", strategy, values={**routed, "dashboards": True, **values})


def everywhere() -> Iterator[tuple[str, str]]:
    yield WITHOUT_ROUTER, "rolling-update"
    yield from product(ROUTERS, STRATEGIES)


def references(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every object that this one names, as (kind, name)."""
    if isinstance(node, list):
        for each in node:
            yield from references(each, key)
    elif isinstance(node, dict):
        kind, name = node.get("kind"), node.get("name")
        if name and (of := UNDER.get(key) or (kind if kind != "Rule" else None)):
            yield of, name
        elif name and key in ("service", "services"):
            yield "Service", name
        if key == "destination":
            yield "Service", node["host"]
        for inner, value in node.items():
            if inner in KINDS and isinstance(value, str):
                yield KINDS[inner], value
            elif inner not in ("issuerRef", "metadata"):
                yield from references(value, inner)


@pytest.mark.parametrize(("router", "strategy"), list(everywhere()))
def test_no_object_is_named_crm_any_more_and_what_is_named_is_there(router: str, strategy: str) -> None:
    manifests = rendered(router, strategy, fullnameOverride=OTHER)
    made = {(each["kind"], each["metadata"]["name"]) for each in manifests} | MADE_ELSEWHERE
    for kind, name in made - MADE_ELSEWHERE:
        assert (
            name == OTHER or name.startswith(f"{OTHER}-") or name in OWN_NAMES or kind == "AnalysisTemplate"
        )
    named = {found for each in manifests for found in references(each.get("spec", each))}
    assert named <= made
    assert {("ConfigMap", manifests.config_name(OTHER)), ("Rollout", OTHER)} <= named


def test_the_two_of_another_name_are_asked_for_their_health() -> None:
    manifests = rendered("traefik", "canary", fullnameOverride=OTHER)
    health = manifests.one("AnalysisTemplate", "health-watch")["spec"]["metrics"][0]
    assert health["provider"]["web"]["url"].endswith("/verdicts/health?namespace=crm-dev&name=sales")
    hosts = manifests.one("ConfigMap", manifests.config_name(OTHER))["data"]["allowed-hosts"].split(",")
    assert {"sales-canary.crm-dev.svc", "sales-stable.crm-dev.svc"} <= set(hosts)
    assert "rollouts promote sales" in notes({"fullnameOverride": OTHER})


def test_what_finds_pods_finds_them_under_any_name() -> None:
    """Labels that name the application are not renamed: the guard, Prometheus and network policies go by them."""
    ours, others = (rendered("traefik", "canary", fullnameOverride=name) for name in ("", OTHER))

    def selectors(manifests: Manifests) -> list[Any]:
        kinds = ("Rollout", "Deployment", "Service", "PodMonitor", "PodDisruptionBudget", "StatefulSet")
        return [each["spec"]["selector"] for kind in kinds for each in manifests.of(kind)]

    assert selectors(ours) == selectors(others)
