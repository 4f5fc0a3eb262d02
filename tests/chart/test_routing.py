"""How requests reach the pods."""

import pytest

from tests.chart.rendering import render


def test_three_hosts_lead_to_the_weighted_service() -> None:
    (route,) = render("production", "canary").one("IngressRoute")["spec"]["routes"]
    for host in ("crm", "api", "app"):
        assert f"Host(`{host}.example.com`)" in route["match"]
    assert route["services"] == [{"kind": "TraefikService", "name": "crm"}]


def test_metrics_are_not_routed_and_health_is() -> None:
    (route,) = render("production", "canary").one("IngressRoute")["spec"]["routes"]
    hosts, _, rest = route["match"].rpartition(" && ")
    assert rest == "!PathPrefix(`/metrics`)"
    assert hosts.startswith("(")
    assert hosts.endswith(")"), "without brackets the exception would hold for the last host only"
    assert "/health" not in route["match"]


def test_all_traffic_is_stables_until_a_rollout_says_otherwise() -> None:
    services = render("production", "canary").one("TraefikService")["spec"]["weighted"]["services"]
    assert {service["name"]: service["weight"] for service in services} == {
        "crm-stable": 100,
        "crm-canary": 0,
    }


def test_both_services_select_the_web_pods_and_the_version_is_argos_to_set() -> None:
    manifests = render("production", "canary")
    labels = manifests.rollout["selector"]["matchLabels"]
    for name in ("crm-stable", "crm-canary"):
        spec = manifests.one("Service", name)["spec"]
        assert spec["selector"] == labels
        assert spec["ports"] == [{"name": "http", "port": 80, "targetPort": "http"}]


def test_blue_green_users_have_the_stable_service_and_the_preview_has_a_host_of_its_own() -> None:
    users, preview = render("production", "blue-green").one("IngressRoute")["spec"]["routes"]
    assert users["services"] == [{"kind": "Service", "name": "crm-stable", "port": "http"}]
    assert preview["services"] == [{"kind": "Service", "name": "crm-canary", "port": "http"}]
    assert preview["match"] == "Host(`preview.example.com`) && !PathPrefix(`/metrics`)"


def test_the_group_beta_has_the_canary_service_and_nobody_else_has() -> None:
    everybody, beta = render("production", "ab-test").one("IngressRoute")["spec"]["routes"]
    assert everybody["services"] == [{"kind": "TraefikService", "name": "crm"}]
    assert beta["services"] == [{"kind": "Service", "name": "crm-canary", "port": "http"}]
    assert "Header(`X-User-Group`, `beta`)" in beta["match"]
    assert len(beta["match"]) > len(everybody["match"]), "Traefik asks the longer rule first"
    assert all("!PathPrefix(`/metrics`)" in route["match"] for route in (everybody, beta))


def test_weights_outlive_a_change_to_a_strategy_that_has_none() -> None:
    for strategy in ("blue-green", "ab-test", "rolling-update", "canary"):
        assert render("production", strategy).names("TraefikService") == {"crm"}


def test_only_what_is_safe_is_sent_twice() -> None:
    retry = render("production", "canary").one("Middleware", "crm-retry")["spec"]["retry"]
    assert retry["status"] == ["502", "503"], "the application's own failures are for the verdicts to see"
    assert "retryNonIdempotentMethod" not in retry
    assert retry["attempts"] > 1


@pytest.mark.parametrize(
    ("entry_points", "secret", "tls"),
    [(["web"], "", None), (["websecure"], "", {}), (["websecure"], "crm-tls", {"secretName": "crm-tls"})],
)
def test_tls_belongs_to_the_secure_entry_point(
    entry_points: list[str], secret: str, tls: dict[str, str] | None
) -> None:
    routing = {"entryPoints": entry_points, "tlsSecret": secret}
    spec = render(values={"routing": routing}).one("IngressRoute")["spec"]
    assert spec["entryPoints"] == entry_points
    assert spec.get("tls") == tls


def test_without_a_router_one_service_has_all_pods() -> None:
    manifests = render(values={"routing": {"provider": "none"}})
    assert not manifests.of("IngressRoute")
    assert not manifests.of("TraefikService")
    assert manifests.names("Service") == {"crm", "postgresql", "redis"}
