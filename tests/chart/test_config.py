"""Settings travel with the release: another setting is another ConfigMap, hence another pod template."""

from pathlib import Path
from typing import Any

import pytest

from delivery.guard.health import Health
from tests.chart.rendering import ENVIRONMENTS, Values, render

LIMITS = {
    "rate-sign-up-address": "20/hour",
    "rate-sign-in-address": "60/minute",
    "rate-sign-in-account": "10/minute",
    "rate-refresh-address": "300/minute",
    "rate-refresh-account": "30/minute",
    "rate-invitations-address": "60/hour",
    "rate-invitations-account": "20/hour",
    "rate-email-proof-address": "20/hour",
    "rate-email-proof-account": "5/day",
}
EMAIL: Values = {"email": {"host": "smtp.other.example.com"}}


def template(values: Values | None = None) -> dict[str, Any]:
    found: dict[str, Any] = render("production", "canary", values=values).rollout["template"]
    return found


def test_the_name_follows_from_the_content() -> None:
    before, after = (render("production", "canary", values=values).config for values in (None, EMAIL))
    assert before["data"] != after["data"]
    assert before["metadata"]["name"] != after["metadata"]["name"]
    assert before["metadata"]["name"].startswith("crm-config-")


def test_a_changed_setting_is_canaried() -> None:
    assert template() != template(EMAIL)


def test_what_pods_do_not_read_restarts_none() -> None:
    assert template() == template({"autoscaling": {"maxReplicas": 24}, "strategy": {"stepDuration": "1m"}})
    assert template() == template({"image": {"version": "1.1-again"}}), "the digest decides, not its name"


def test_another_version_keeps_the_same_settings() -> None:
    other = render("production", "canary", values={"image": {"digest": "sha256:" + "b2" * 32}})
    assert other.config["metadata"]["name"] == render("production", "canary").config["metadata"]["name"]


def test_no_one_who_deploys_deletes_the_settings_of_the_stable_pods() -> None:
    config = render("production", "canary").config
    assert config["immutable"] is True
    annotations = config["metadata"]["annotations"]
    assert annotations["argocd.argoproj.io/sync-options"] == "Prune=false"
    assert annotations["argocd.argoproj.io/compare-options"] == "IgnoreExtraneous"
    assert annotations["helm.sh/resource-policy"] == "keep"


def test_the_settings_of_production() -> None:
    data = render("production", "canary").config["data"]
    hosts = ["crm.example.com", "api.example.com", "app.example.com"]
    assert data == {
        "db-host": "postgresql.example.com",
        "db-port": "5432",
        "redis-host": "redis.example.com",
        "db-sslmode": "prefer",
        "redis-port": "6379",
        "redis-tls": "false",
        "allowed-hosts": data["allowed-hosts"],
        "probe-hosts": data["probe-hosts"],
        "cors-origins": ",".join(f"https://{host}" for host in hosts),
        "email-host": "smtp.example.com",
        "email-port": "587",
        "email-proof": "required",
        "router-hops": "1",
        **LIMITS,
    }
    routed = [*hosts, "preview.example.com"]
    assert data["allowed-hosts"].split(",") == [*routed, *data["probe-hosts"].split(",")]


def test_the_health_question_is_an_allowed_host() -> None:
    manifests = render("staging", "canary", local=True)
    for version in ("canary", "stable"):
        host = Health().address.format(name="crm", version=version, namespace="crm-staging").split("/")[2]
        assert host in manifests.config["data"]["allowed-hosts"].split(",")


def test_probes_are_answered_by_the_services_names_alone() -> None:
    manifests = render("dev", "canary")
    services = {service["metadata"]["name"] for service in manifests.of("Service")} & {
        "crm-stable",
        "crm-canary",
    }
    names = {f"{name}.crm-dev.svc{end}" for name in services for end in ("", ".cluster.local")}
    assert set(manifests.config["data"]["probe-hosts"].split(",")) == names | {*services}
    (container,) = manifests.rollout["template"]["spec"]["containers"]
    assert "PROBE_HOSTS" in {variable["name"] for variable in container["env"]}


def test_the_local_cluster_has_hosts_of_its_own() -> None:
    data = render("staging", "canary", local=True).config["data"]
    assert data["allowed-hosts"].startswith(
        "crm.staging.localhost,api.staging.localhost,app.staging.localhost,"
    )
    assert data["db-host"] == "postgresql"
    assert data["redis-host"] == "redis"
    assert "http://crm.staging.localhost" in data["cors-origins"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_only_where_drills_register_users_addresses_need_no_proof_and_limits_are_high(
    environment: str,
) -> None:
    released, local = (render(environment, "canary", local=local).config["data"] for local in (False, True))
    assert (released["email-proof"], local["email-proof"]) == ("required", "optional")
    for limit in LIMITS:
        assert int(local[limit].partition("/")[0]) >= 1_000_000
        assert local[limit].endswith("/minute")


@pytest.mark.parametrize(
    ("routing", "hops"),
    [({}, "1"), ({"provider": "none"}, "0"), ({"hops": 2}, "2"), ({"hops": 0}, "0"), ({"hops": None}, "1")],
)
def test_a_clients_address_comes_from_the_router_alone(routing: Values, hops: str) -> None:
    assert render(values={"routing": routing}).config["data"]["router-hops"] == hops


def test_the_application_knows_each_setting_and_its_default_is_the_charts() -> None:
    settings = Path("app/config/settings/production.py").read_text()
    for limit, rate in LIMITS.items():
        assert f'env.rate("{limit.upper().replace("-", "_")}", "{rate}")' in settings


def test_named_origins_replace_the_hosts() -> None:
    data = render(values={"corsOrigins": ["https://a.example.org", "https://b.example.org"]}).config["data"]
    assert data["cors-origins"] == "https://a.example.org,https://b.example.org"
