"""How requests reach the pods through an Ingress with nginx' annotations."""

from typing import Any

import pytest

from tests.chart.rendering import Manifest, render, routed_by

HOSTS = ["crm.example.com", "api.example.com", "app.example.com"]
PREFIX = "nginx.ingress.kubernetes.io"


def ingress(strategy: str, name: str = "crm", **routing: Any) -> Manifest:
    return render("production", strategy, values=routed_by("nginx", **routing)).one("Ingress", name)


def backends(manifest: Manifest) -> dict[str, str]:
    """The Service behind each host, all of whose paths are one."""
    found = {}
    for rule in manifest["spec"]["rules"]:
        (path,) = rule["http"]["paths"]
        assert path["backend"]["service"]["port"] == {"name": "http"}
        found[rule["host"]] = path["backend"]["service"]["name"]
    return found


def additional(strategy: str) -> dict[str, str]:
    """What Argo Rollouts writes on the canary Ingress that it makes."""
    rollout = render("production", strategy, values=routed_by("nginx")).rollout["strategy"]["canary"]
    assert rollout["trafficRouting"]["nginx"]["stableIngress"] == "crm"
    annotations: dict[str, str] = rollout["trafficRouting"]["nginx"]["additionalIngressAnnotations"]
    return annotations


@pytest.mark.parametrize("strategy", ["canary", "ab-test", "rolling-update"])
def test_three_hosts_lead_to_the_stable_service_of_which_argo_rollouts_takes_a_share(strategy: str) -> None:
    manifests = render("production", strategy, values=routed_by("nginx"))
    assert backends(manifests.one("Ingress")) == dict.fromkeys(HOSTS, "crm-stable")
    assert manifests.names("Ingress") == {"crm", "crm-metrics"}, "the canary's is Argo Rollouts' own"


def test_the_group_beta_has_the_canary_service_and_nobody_else_has() -> None:
    assert additional("ab-test") == {"canary-by-header": "X-User-Group", "canary-by-header-value": "beta"}
    steps = render("production", "ab-test", values=routed_by("nginx")).rollout["strategy"]["canary"]["steps"]
    assert [step["setWeight"] for step in steps if "setWeight" in step] == [100]


@pytest.mark.parametrize("strategy", ["canary", "rolling-update"])
def test_the_header_of_an_ab_test_is_taken_back_by_the_next_strategy(strategy: str) -> None:
    """Argo Rollouts keeps annotations that it no longer writes."""
    assert additional(strategy) == {"canary-by-header": "", "canary-by-header-value": ""}


def test_blue_green_users_have_the_stable_service_and_the_preview_has_a_host_of_its_own() -> None:
    assert backends(ingress("blue-green")) == {
        **dict.fromkeys(HOSTS, "crm-stable"),
        "preview.example.com": "crm-canary",
    }


def test_what_a_canary_has_left_behind_takes_nobody_to_the_preview() -> None:
    """A canary Ingress counts for paths of its own type only."""
    types = {
        strategy: {rule["http"]["paths"][0]["pathType"] for rule in ingress(strategy)["spec"]["rules"]}
        for strategy in ("canary", "ab-test", "blue-green")
    }
    assert types["canary"] == types["ab-test"] == {"Prefix"}
    assert types["blue-green"] == {"ImplementationSpecific"}


def test_metrics_are_not_shown() -> None:
    metrics = ingress("blue-green", "crm-metrics")
    assert set(backends(metrics)) == {*HOSTS, "preview.example.com"}
    assert {rule["http"]["paths"][0]["path"] for rule in metrics["spec"]["rules"]} == {"/metrics"}
    assert metrics["metadata"]["annotations"][f"{PREFIX}/temporal-redirect"] == "/"


def test_only_what_is_safe_is_sent_twice() -> None:
    annotations = ingress("canary")["metadata"]["annotations"]
    conditions = annotations[f"{PREFIX}/proxy-next-upstream"].split()
    assert conditions == ["error", "timeout", "http_502", "http_503"]
    assert (annotations[f"{PREFIX}/proxy-next-upstream-tries"], "non_idempotent" in conditions) == (
        "4",
        False,
    )


def test_no_sync_waits_for_an_address() -> None:
    for name in ("crm", "crm-metrics"):
        annotations = ingress("canary", name)["metadata"]["annotations"]
        assert "argocd.argoproj.io/sync-wave" not in annotations
        assert annotations["argocd.argoproj.io/ignore-healthcheck"] == "true"


def test_the_class_and_the_secret_are_values() -> None:
    for name in ("crm", "crm-metrics"):
        spec = ingress("canary", name, nginx={"class": "inner"}, tls={"secret": "crm-tls"})["spec"]
        assert spec["ingressClassName"] == "inner"
        assert spec["tls"] == [{"secretName": "crm-tls", "hosts": HOSTS}]
    values = routed_by("nginx", tls={"secret": "", "issuer": ""})
    assert "tls" not in render("production", "canary", values=values).one("Ingress")["spec"]
