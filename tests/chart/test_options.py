"""What another cluster may want of the chart, and gets without a change of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chart.rendering import Manifest, Manifests, refusal, render, routed_by

APPLICATION = ("Rollout crm", "Deployment crm-worker", "Deployment crm-beat", "Job crm-migrate")
DATA = ("StatefulSet postgresql", "StatefulSet redis")
SPREAD = {"maxSkew": 2, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
SCHEDULING: dict[str, Any] = {
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "crm", "operator": "Exists"}],
    "affinity": {"podAntiAffinity": {}},
    "topologySpreadConstraints": [SPREAD],
    "priorityClassName": "important",
}


def templates(manifests: Manifests) -> dict[str, Manifest]:
    """The pods' templates, by `Kind name`."""
    return {
        f"{each['kind']} {each['metadata']['name']}": each["spec"]["template"]
        for each in manifests
        if "template" in each.get("spec", {})
    }


def application(values: dict[str, Any]) -> list[Manifest]:
    found = templates(render(values=values))
    return [found[name] for name in APPLICATION]


@pytest.mark.parametrize("key", SCHEDULING)
def test_every_pod_goes_where_it_is_told(key: str) -> None:
    found = templates(render(values={key: SCHEDULING[key]}))
    assert {*APPLICATION, *DATA} < set(found)
    for template in found.values():
        assert template["spec"][key] == SCHEDULING[key]


def test_a_component_has_the_last_word_on_where_it_goes() -> None:
    values = {"nodeSelector": {"disk": "ssd"}, "worker": {"nodeSelector": {"disk": "slow"}}}
    found = {name: each["spec"]["nodeSelector"] for name, each in templates(render(values=values)).items()}
    assert found.pop("Deployment crm-worker") == {"disk": "slow"}
    assert all(each == {"disk": "ssd"} for each in found.values())


def test_openshift_gives_pods_their_users() -> None:
    fixed = ("runAsUser", "runAsGroup", "fsGroup")
    for name, template in templates(render(values={"openshift": True})).items():
        context = template["spec"]["securityContext"]
        assert not {*fixed} & context.keys(), name
        assert context["runAsNonRoot"] is True, name
        containers = template["spec"]["containers"]
        assert not any({*fixed} & each["securityContext"].keys() for each in containers), name
    for name, template in templates(render()).items():
        assert {*fixed} <= template["spec"]["securityContext"].keys(), name


def test_pods_of_the_application_are_labelled_and_annotated() -> None:
    values = {"podLabels": {"team": "sales"}, "podAnnotations": {"linkerd.io/inject": "enabled"}}
    for template in application(values):
        assert template["metadata"]["annotations"] == {"linkerd.io/inject": "enabled"}
        if template["metadata"]["labels"]["app.kubernetes.io/component"] != "migration":
            assert template["metadata"]["labels"]["team"] == "sales"


def test_every_object_is_labelled() -> None:
    for each in render("production", "canary", values={"commonLabels": {"cost-centre": "42"}}):
        assert each["metadata"]["labels"]["cost-centre"] == "42", each["metadata"]["name"]


def test_containers_of_the_application_get_more_variables_and_files() -> None:
    volume = {"name": "ca", "configMap": {"name": "company-ca"}}
    mount = {"name": "ca", "mountPath": "/etc/ca", "readOnly": True}
    variable, source = {"name": "SSL_CERT_FILE", "value": "/etc/ca/ca.crt"}, {"secretRef": {"name": "more"}}
    values = {
        "extraEnv": [variable],
        "extraEnvFrom": [source],
        "extraVolumes": [volume],
        "extraVolumeMounts": [mount],
    }
    for template in application(values):
        (container,) = template["spec"]["containers"]
        assert variable in container["env"]
        assert container["envFrom"] == [source]
        assert mount in container["volumeMounts"]
        assert volume in template["spec"]["volumes"]


def test_another_variable_is_another_release() -> None:
    """A verdict on tasks tells releases apart by it."""
    plain, other = (
        render(values={"extraEnv": env}).rollout["template"]["metadata"]["labels"]["delivery.crm/release"]
        for env in ([], [{"name": "A", "value": "b"}])
    )
    assert plain != other


def test_whole_manifests_come_along() -> None:
    extra = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "of-{{ .Values.environment }}"}}
    assert "of-dev" in render(values={"extraObjects": [extra]}).names("ConfigMap")


def test_the_account_may_be_a_clouds() -> None:
    values = {"serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/crm"}}}
    account = render(values=values).one("ServiceAccount")
    assert account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"].startswith("arn:")


@pytest.mark.parametrize(
    ("provider", "kind"),
    [
        ("traefik", "IngressRoute"),
        ("nginx", "Ingress"),
        ("istio", "VirtualService"),
        ("gatewayAPI", "HTTPRoute"),
    ],
)
def test_the_users_route_has_their_hosts_and_is_annotated(provider: str, kind: str) -> None:
    more = {"hosts": ["sales.{{ .Values.domain }}"], "annotations": {"external-dns/target": "lb.example.com"}}
    manifests = render(values=routed_by(provider, **more))
    route = manifests.one(kind)
    assert route["metadata"]["annotations"]["external-dns/target"] == "lb.example.com"
    assert "sales.example.com" in str(route["spec"])
    assert "api.example.com" not in manifests.text
    assert "sales.example.com" in manifests.config["data"]["allowed-hosts"].split(",")


@pytest.mark.parametrize(
    ("key", "kind"), [("podMonitor", "PodMonitor"), ("prometheusRules", "PrometheusRule")]
)
def test_what_prometheus_reads_is_found_by_its_labels_or_left_out(key: str, kind: str) -> None:
    found = render(values={key: {"labels": {"release": "kube-prometheus-stack"}}}).of(kind)
    assert found
    assert all(each["metadata"]["labels"]["release"] == "kube-prometheus-stack" for each in found)
    assert not render(values={key: {"enabled": False}}).of(kind)


def test_the_disruption_budget_may_be_the_clusters() -> None:
    assert not render(values={"disruptionBudget": {"enabled": False}}).of("PodDisruptionBudget")


@pytest.mark.parametrize(
    ("cpu", "memory"),
    [("500m", "512Mi"), ("0.5", "1.5Gi"), (2, "500M"), (0.25, 536870912), (".5", "1e9"), ("1k", "5.")],
)
def test_quantities_are_kubernetes_own(cpu: Any, memory: Any) -> None:
    resources = {"requests": {"cpu": cpu, "memory": memory, "ephemeral-storage": "1Gi"}}
    (container,) = render(values={"web": {"resources": resources}}).rollout["template"]["spec"]["containers"]
    assert container["resources"]["requests"] == resources["requests"]


@pytest.mark.parametrize("cpu", ["half", "1.5m", "-1", ""])
def test_what_is_no_quantity_is_refused(cpu: str) -> None:
    said = refusal({"web": {"resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}})
    assert "/web/resources/requests/cpu" in said
