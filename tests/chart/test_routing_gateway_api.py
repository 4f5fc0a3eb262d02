"""How requests reach the pods through a router that speaks the Gateway API."""

from tests.chart.rendering import Manifest, Manifests, render, routed_by

HOSTS = ["crm.example.com", "api.example.com", "app.example.com"]


def rendered(strategy: str) -> Manifests:
    return render("production", strategy, values=routed_by("gatewayAPI"))


def route(strategy: str, name: str) -> Manifest:
    spec: Manifest = rendered(strategy).one("HTTPRoute", name)["spec"]
    return spec


def backends(spec: Manifest) -> dict[str, int]:
    (rule,) = spec["rules"]
    return {to["name"]: to["weight"] for to in rule["backendRefs"]}


def test_argo_rollouts_plugin_is_told_the_route_with_the_shares() -> None:
    strategy = rendered("canary").rollout["strategy"]["canary"]
    told = {"httpRoute": "crm", "namespace": "crm-production"}
    assert strategy["trafficRouting"] == {"plugins": {"argoproj-labs/gatewayAPI": told}}


def test_the_shares_have_rules_of_their_own_that_are_the_same_for_every_strategy() -> None:
    """Argo CD leaves the whole list alone that has a weight in it."""
    rules = [
        route(strategy, "crm")["rules"] for strategy in ("canary", "ab-test", "blue-green", "rolling-update")
    ]
    assert all(rule == rules[0] for rule in rules)
    assert backends(route("canary", "crm")) == {"crm-stable": 100, "crm-canary": 0}
    assert route("canary", "crm")["hostnames"] == HOSTS


def test_the_group_beta_has_the_canary_service_and_nobody_else_has() -> None:
    assert rendered("ab-test").names("HTTPRoute") == {"crm", "crm-beta", "crm-metrics"}
    beta = route("ab-test", "crm-beta")
    (match,) = beta["rules"][0]["matches"]
    assert match["headers"] == [{"type": "Exact", "name": "x-user-group", "value": "beta"}]
    assert (beta["hostnames"], backends(beta)) == (HOSTS, {"crm-canary": 1})


def test_blue_green_users_have_the_stable_service_and_the_preview_has_a_host_of_its_own() -> None:
    assert "parentRefs" not in route("blue-green", "crm"), (
        "a canary that was on its way would go on having its share"
    )
    active, preview = (route("blue-green", name) for name in ("crm-active", "crm-preview"))
    assert (active["hostnames"], backends(active)) == (HOSTS, {"crm-stable": 1})
    assert (preview["hostnames"], backends(preview)) == (["preview.example.com"], {"crm-canary": 1})


def test_a_route_that_leads_nobody_is_not_waited_for() -> None:
    annotations = rendered("blue-green").one("HTTPRoute")["metadata"]["annotations"]
    assert annotations == {"argocd.argoproj.io/ignore-healthcheck": "true"}


def test_metrics_are_not_shown() -> None:
    metrics = route("blue-green", "crm-metrics")
    (rule,) = metrics["rules"]
    assert metrics["hostnames"] == [*HOSTS, "preview.example.com"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/metrics"}}]
    assert "backendRefs" not in rule


def test_the_gateway_has_https_where_there_is_a_secret() -> None:
    (secure,) = rendered("canary").one("Gateway")["spec"]["listeners"]
    assert (secure["port"], secure["protocol"]) == (443, "HTTPS")
    assert secure["tls"]["certificateRefs"] == [{"group": "", "kind": "Secret", "name": "crm-tls"}]
    values = routed_by("gatewayAPI", tls={"secret": "", "issuer": ""})
    gateway = render("production", "canary", values=values).one("Gateway")["spec"]
    (plain,) = gateway["listeners"]
    assert (plain["port"], plain["protocol"], gateway["gatewayClassName"]) == (80, "HTTP", "example")
    assert "tls" not in plain
