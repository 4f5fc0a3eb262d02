"""How requests reach the pods through Istio's gateway."""

import re
from typing import Any

import pytest

from tests.chart.rendering import ROOT, Manifest, render, routed_by

HOSTS = ["crm.example.com", "api.example.com", "app.example.com"]
PLAIN = {"secret": "", "issuer": ""}
BETA = {"x-user-group": {"exact": "beta"}}


def http(strategy: str, name: str = "crm") -> list[Manifest]:
    found = render("production", strategy, values=routed_by("istio", tls=PLAIN)).one("VirtualService", name)
    routes: list[Manifest] = found["spec"]["http"]
    return routes


def target(route: Manifest) -> str:
    """The Service of a route, or the object with the shares."""
    if "delegate" in route:
        name: str = route["delegate"]["name"]
        return name
    (only,) = route["route"]
    assert only["destination"]["port"] == {"number": 80}
    host: str = only["destination"]["host"]
    return host


def headers(route: Manifest) -> dict[str, Any]:
    (match,) = route.get("match", [{}])
    found: dict[str, Any] = match.get("headers", {})
    return found


def test_the_shares_have_an_object_of_their_own_that_is_the_same_for_every_strategy() -> None:
    """Argo CD leaves the whole list alone that has a weight in it."""
    values = routed_by("istio", tls=PLAIN)
    for strategy in ("canary", "ab-test", "blue-green", "rolling-update"):
        manifests = render("production", strategy, values=values)
        assert manifests.one("VirtualService", "crm-weights")["spec"] == {
            "http": [
                {
                    "name": "primary",
                    "route": [
                        {"destination": {"host": "crm-stable", "port": {"number": 80}}, "weight": 100},
                        {"destination": {"host": "crm-canary", "port": {"number": 80}}, "weight": 0},
                    ],
                }
            ]
        }
        routes = manifests.one("VirtualService")["spec"]["http"]
        assert not [route for route in routes for to in route.get("route", []) if "weight" in to]


def test_argo_rollouts_writes_those_shares() -> None:
    strategy = render("production", "canary", values=routed_by("istio", tls=PLAIN)).rollout["strategy"]
    virtual_service = {"name": "crm-weights", "routes": ["primary"]}
    assert strategy["canary"]["trafficRouting"] == {"istio": {"virtualService": virtual_service}}


@pytest.mark.parametrize("strategy", ["canary", "rolling-update"])
def test_three_hosts_lead_to_the_shares(strategy: str) -> None:
    manifests = render("production", strategy, values=routed_by("istio", tls=PLAIN))
    spec = manifests.one("VirtualService")["spec"]
    assert (spec["hosts"], spec["gateways"]) == (HOSTS, ["crm"])
    metrics, *users = spec["http"]
    assert metrics["name"] == "metrics"
    assert {target(route) for route in users} == {"crm-weights"}
    assert "match" not in users[-1], "a request that nothing matches would get 404"


def test_the_group_beta_has_the_canary_service_and_nobody_else_has() -> None:
    _, *routes = http("ab-test")
    beta = [route for route in routes if headers(route) == BETA]
    others = [route for route in routes if not headers(route)]
    assert routes == [*beta, *others], "Istio takes the first route that matches"
    assert {target(route) for route in beta} == {"crm-canary"}
    assert {target(route) for route in others} == {"crm-weights"}
    assert [set(route["match"][0]) for route in beta] == [{"headers", "method"}, {"headers"}]


def test_blue_green_users_have_the_stable_service_and_the_preview_has_a_host_of_its_own() -> None:
    values = routed_by("istio", tls=PLAIN)
    manifests = render("production", "blue-green", values=values)
    assert {target(route) for route in http("blue-green")[1:]} == {"crm-stable"}
    assert manifests.one("VirtualService", "crm-preview")["spec"]["hosts"] == ["preview.example.com"]
    assert {target(route) for route in http("blue-green", "crm-preview")[1:]} == {"crm-canary"}
    (server,) = manifests.one("Gateway")["spec"]["servers"]
    assert server["hosts"] == [*HOSTS, "preview.example.com"]
    assert render("production", "canary", values=values).names("VirtualService") == {"crm", "crm-weights"}


@pytest.mark.parametrize("name", ["crm", "crm-preview"])
def test_metrics_are_refused_before_anything_is_routed(name: str) -> None:
    assert http("blue-green", name)[0] == {
        "name": "metrics",
        "match": [{"uri": {"prefix": "/metrics"}}],
        "directResponse": {"status": 404},
    }


def test_only_what_is_safe_is_sent_twice() -> None:
    for route in http("ab-test")[1:]:
        conditions = set(route["retries"]["retryOn"].split(","))
        idempotent = "method" in route.get("match", [{}])[0]
        assert {"connect-failure", "refused-stream"} <= conditions
        assert ({"reset", "502", "503"} <= conditions) is idempotent
        assert not {"5xx", "500", "gateway-error"} & conditions
        if idempotent:
            methods = route["match"][0]["method"]["regex"].split("|")
            assert not {"POST", "PATCH"} & set(methods)


def test_pods_without_a_sidecar_are_talked_to_in_plain_http_and_judged_by_nobody_but_the_verdicts() -> None:
    manifests = render("production", "canary", values=routed_by("istio", tls=PLAIN))
    for name in ("crm-stable", "crm-canary"):
        spec = manifests.one("DestinationRule", name)["spec"]
        assert spec["host"] == name
        assert spec["trafficPolicy"]["tls"] == {"mode": "DISABLE"}
        outliers = spec["trafficPolicy"]["outlierDetection"]
        assert (outliers["consecutive5xxErrors"], outliers["consecutiveGatewayErrors"]) == (0, 0)


def test_an_idle_connection_is_closed_by_the_gateway_before_the_pod_does() -> None:
    text = (ROOT / "app/config/gunicorn.py").read_text()
    (keepalive,) = re.findall(r"^keepalive = (\d+)$", text, re.MULTILINE)
    rule = render("production", "canary", values=routed_by("istio", tls=PLAIN)).one(
        "DestinationRule", "crm-stable"
    )
    idle = rule["spec"]["trafficPolicy"]["connectionPool"]["http"]["idleTimeout"]
    assert int(idle.removesuffix("s")) < int(keepalive)


def test_the_gateway_has_https_where_there_is_a_secret() -> None:
    def servers(**tls: str) -> list[Manifest]:
        values = routed_by("istio", tls={**PLAIN, **tls}, istio={"gateway": "outer"})
        spec = render("production", "canary", values=values).one("Gateway")["spec"]
        assert spec["selector"] == {"istio": "outer"}
        found: list[Manifest] = spec["servers"]
        return found

    (plain,) = servers()
    assert plain == {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": HOSTS}
    away, secure = servers(secret="crm-tls")
    assert away["tls"] == {"httpsRedirect": True}
    assert secure["tls"] == {"mode": "SIMPLE", "credentialName": "crm-tls"}
    assert secure["hosts"] == HOSTS


def test_the_rollout_finds_everything_that_it_refers_to() -> None:
    manifests = render("production", "blue-green", values=routed_by("istio", tls=PLAIN))
    for kind in ("Gateway", "VirtualService", "DestinationRule"):
        for manifest in manifests.of(kind):
            assert manifest["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"] == "-2"
