"""Who may talk to whom: nobody, but for the edges listed here."""

from collections.abc import Iterator

import pytest

from tests.chart.rendering import Manifest, Manifests, merged, render, routed_by


def edges(manifests: Manifests, direction: str) -> set[tuple[str, str, str]]:
    """(who has the rule, the other side, port) for each edge that a policy allows."""
    peer = {"ingress": "from", "egress": "to"}[direction]
    return {
        (owner, other, str(port["port"]))
        for policy in manifests.of("NetworkPolicy")
        for owner in _components(policy["spec"]["podSelector"])
        for rule in policy["spec"].get(direction, [])
        for side in rule.get(peer, [{}])
        for other in _side(side)
        for port in rule["ports"]
    }


def _side(side: Manifest) -> Iterator[str]:
    if "namespaceSelector" in side:
        pods = side.get("podSelector", {}).get("matchLabels", {})
        of = f"{name} of " if (name := pods.get("app.kubernetes.io/name")) else ""
        yield f"{of}namespace " + side["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    elif "podSelector" in side:
        yield from _components(side["podSelector"])
    else:
        yield "anywhere"


def _components(selector: Manifest) -> list[str]:
    component = selector.get("matchLabels", {}).get("app.kubernetes.io/component")
    if component:
        return [component]
    return [value for e in selector.get("matchExpressions", []) for value in e["values"]] or ["all"]


APPLICATION = ("web", "worker", "beat", "migration")


def test_everything_is_denied_first() -> None:
    spec = render("production", "canary").one("NetworkPolicy", "crm-deny-all")["spec"]
    assert spec == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_who_may_come_in_where_everything_is_embedded() -> None:
    assert edges(render("dev", "canary"), "ingress") == {
        ("web", "namespace traefik", "http"),
        ("web", "namespace monitoring", "metrics"),
        ("worker", "namespace monitoring", "metrics"),
        ("web", "delivery-guard of namespace argocd", "http"),
        ("web", "delivery-verdicts of namespace argocd", "http"),
        ("beat", "namespace monitoring", "metrics"),
        *(("postgresql", component, "5432") for component in APPLICATION),
        *(("redis", component, "6379") for component in APPLICATION),
    }


def test_who_may_go_out_where_everything_is_embedded() -> None:
    assert edges(render("dev", "canary"), "egress") == {
        ("all", "namespace kube-system", "53"),
        *((component, "postgresql", "5432") for component in APPLICATION),
        *((component, "redis", "6379") for component in APPLICATION),
        ("secrets", "anywhere", "443"),
        ("secrets", "anywhere", "6443"),
    }


def test_who_may_go_out_in_production() -> None:
    assert edges(render("production", "canary"), "egress") == {
        ("all", "namespace kube-system", "53"),
        *((component, "anywhere", port) for component in APPLICATION for port in ("5432", "6379", "587")),
    }


def test_every_pod_that_starts_is_known_here() -> None:
    manifests = render("dev", "canary")
    started = {
        m["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]
        for m in manifests
        if "template" in m.get("spec", {})
    }
    assert started == {*APPLICATION, "postgresql", "redis", "secrets"}


@pytest.mark.parametrize(
    ("provider", "usual"),
    [("traefik", "traefik"), ("nginx", "ingress-nginx"), ("istio", "istio-system")],
)
def test_the_router_in_use_may_come_in(provider: str, usual: str) -> None:
    def others(**policy: str) -> set[str]:
        values = merged(routed_by(provider), {"networkPolicy": policy})
        found = edges(render("dev", "canary", values=values), "ingress")
        return {other for owner, other, port in found if (owner, port) == ("web", "http")}

    assert others() - others(ingressNamespace="elsewhere") == {f"namespace {usual}"}
    assert others(ingressNamespace="elsewhere") - others() == {"namespace elsewhere"}


def test_without_a_router_nobody_comes_in_its_place() -> None:
    manifests = render("dev", values={"routing": {"provider": "none"}})
    assert ("web", "delivery-guard of namespace argocd", "http") in edges(manifests, "ingress")
    assert not {other for _, other, _ in edges(manifests, "ingress") if other == "namespace "}


def test_the_authority_reaches_cert_managers_answer() -> None:
    spec = render("production", "canary").one("NetworkPolicy", "crm-certificate")["spec"]
    assert spec["podSelector"]["matchLabels"] == {"acme.cert-manager.io/http01-solver": "true"}
    (rule,) = spec["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 8089}]
    assert list(_side(rule["from"][0])) == ["namespace traefik"]


def test_policies_can_be_left_to_somebody_else() -> None:
    assert not render(values={"networkPolicy": {"enabled": False}}).of("NetworkPolicy")
