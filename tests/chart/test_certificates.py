"""Certificates: a Secret that somebody makes, or one that cert-manager keeps filled."""

import pytest

from tests.chart.rendering import Manifest, render, routed_by

HOSTS = ["crm.example.com", "api.example.com", "app.example.com"]


def certificate(strategy: str = "canary", provider: str = "traefik") -> Manifest:
    spec: Manifest = render("production", strategy, values=routed_by(provider)).one("Certificate")["spec"]
    return spec


@pytest.mark.parametrize("provider", ["traefik", "nginx", "gatewayAPI"])
def test_the_authority_signs_every_host_that_is_routed(provider: str) -> None:
    assert certificate("canary", provider)["dnsNames"] == HOSTS
    assert certificate("blue-green", provider)["dnsNames"] == [*HOSTS, "preview.example.com"]


def test_the_secret_is_the_one_that_the_router_uses() -> None:
    manifests = render("production", "canary")
    secret = manifests.one("IngressRoute")["spec"]["tls"]["secretName"]
    assert manifests.one("Certificate")["spec"]["secretName"] == secret


def test_the_issuer_is_the_clusters() -> None:
    issuer = {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": "letsencrypt-prod"}
    assert certificate()["issuerRef"] == issuer


def test_when_to_renew_is_cert_managers_to_know() -> None:
    assert set(certificate()) == {"secretName", "dnsNames", "issuerRef"}


def test_no_release_waits_for_a_certificate() -> None:
    assert "annotations" not in render("production", "canary").one("Certificate")["metadata"]


def test_somebody_elses_secret_needs_no_certificate() -> None:
    manifests = render("production", "canary", values={"routing": {"tls": {"issuer": ""}}})
    assert not manifests.of("Certificate")
    assert manifests.one("IngressRoute")["spec"]["tls"] == {"secretName": "crm-tls"}
    assert "crm-certificate" not in manifests.names("NetworkPolicy")


def test_the_local_cluster_has_no_authority() -> None:
    manifests = render("production", "canary", local=True)
    assert not manifests.of("Certificate")
    assert manifests.one("IngressRoute")["spec"]["entryPoints"] == ["web"]
