"""How requests reach the pods: Traefik, and what is the same for every router."""

import subprocess
from itertools import product
from pathlib import Path

import pytest
from django.conf.global_settings import DATA_UPLOAD_MAX_MEMORY_SIZE

from delivery.kubernetes.rollout import RolloutStatus
from drills.observe.snapshot import WEIGHTED_OBJECTS, Objects, router, snapshot
from tests.chart.rendering import ROUTERS, STRATEGIES, render, routed_by

KINDS = {"traefik": "TraefikService", "istio": "VirtualService"}


@pytest.mark.parametrize(("provider", "strategy"), list(product(ROUTERS, STRATEGIES)))
def test_argo_rollouts_accepts_every_router_with_every_strategy(
    provider: str, strategy: str, tmp_path: Path
) -> None:
    """Its own judge also looks at what the Rollout refers to: Services, the Ingress, the VirtualService's routes."""
    (tmp_path / "crm.yaml").write_text(render("dev", strategy, values=routed_by(provider)).text)
    command = ["kubectl-argo-rollouts", "lint", "--filename", str(tmp_path / "crm.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("provider", KINDS)
def test_drills_find_the_weights_where_argo_rollouts_writes_them(provider: str) -> None:
    manifests = render("dev", "canary", values=routed_by(provider))
    rollout = RolloutStatus.parse(manifests.one("Rollout"))
    assert router(rollout) == provider
    weighted = manifests.one(KINDS[provider], WEIGHTED_OBJECTS[provider].name)
    assert (
        weighted["apiVersion"] == f"{WEIGHTED_OBJECTS[provider].group}/{WEIGHTED_OBJECTS[provider].version}"
    )
    assert snapshot(0, Objects(rollout=rollout, weighted=weighted)).weights == {"stable": 100, "canary": 0}


@pytest.mark.parametrize("strategy", ["canary", "ab-test", "rolling-update"])
def test_every_router_has_the_two_services_and_no_router_has_anothers_objects(strategy: str) -> None:
    own = {
        "traefik": {"IngressRoute", "Middleware", "TraefikService"},
        "nginx": {"Ingress"},
        "istio": {"DestinationRule", "Gateway", "VirtualService"},
        "gatewayAPI": {"Gateway", "HTTPRoute"},
    }
    for provider, kinds in own.items():
        manifests = render("dev", strategy, values=routed_by(provider))
        assert {"crm-stable", "crm-canary"} <= manifests.names("Service")
        others = set().union(*own.values()) - kinds
        assert kinds <= {manifest["kind"] for manifest in manifests}
        assert not others & {manifest["kind"] for manifest in manifests}


def test_the_preview_is_a_host_that_the_application_accepts() -> None:
    assert "preview.example.com" in render("production", "canary").config["data"]["allowed-hosts"].split(",")


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


def test_a_request_reaches_a_pod_when_all_of_it_is_there() -> None:
    manifests = render("production", "canary")
    (route,) = manifests.one("IngressRoute")["spec"]["routes"]
    assert [each["name"] for each in route["middlewares"]] == ["crm-buffer", "crm-retry"]
    buffering = manifests.one("Middleware", "crm-buffer")["spec"]["buffering"]
    assert buffering["maxRequestBodyBytes"] > DATA_UPLOAD_MAX_MEMORY_SIZE, "the application says more of it"
    assert buffering["memRequestBodyBytes"] == buffering["maxRequestBodyBytes"], "there may be no disk"


def test_only_what_is_safe_is_sent_twice() -> None:
    retry = render("production", "canary").one("Middleware", "crm-retry")["spec"]["retry"]
    assert retry["status"] == ["502", "503"], "the application's own failures are for the verdicts to see"
    assert "retryNonIdempotentMethod" not in retry
    assert retry["attempts"] > 1
    # Traefik sets as much aside for every request that it may have to send again, 2 MiB if told nothing.
    assert retry["maxRequestBodyBytes"] <= 16_384


def test_traefik_has_https_where_there_is_a_secret() -> None:
    plain, secure = (
        render(values={"routing": {"tls": {"secret": secret}}}).one("IngressRoute")["spec"]
        for secret in ("", "crm-tls")
    )
    assert (plain["entryPoints"], plain.get("tls")) == (["web"], None)
    assert (secure["entryPoints"], secure.get("tls")) == (["websecure"], {"secretName": "crm-tls"})


def test_without_a_router_one_service_has_all_pods() -> None:
    manifests = render(values={"routing": {"provider": "none"}})
    assert not manifests.of("IngressRoute")
    assert not manifests.of("TraefikService")
    assert manifests.names("Service") == {"crm", "postgresql", "redis"}
