"""The guard in the cluster: what it may do, what it is given, and how it is kept."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from kubernetes import client

from delivery.cli.main import REMOTE_VARIABLE
from delivery.gitops.branch import ENVIRONMENTS
from delivery.guard.config import (
    KEY_VARIABLE,
    PROMETHEUS_VARIABLE,
    REGISTRIES_VARIABLE,
    SBOM_KEY_VARIABLE,
    registries_from,
)
from delivery.kubernetes.client import RECORD, REFUSED, Cluster
from delivery.kubernetes.rollout import RolloutStatus
from delivery.notifications.channels import VARIABLE as NOTIFICATIONS_VARIABLE
from tests.gitops.rendering import GUARD, IMAGE, REPOSITORY, ROOT, Manifest, manifests, named, refusal, render
from tests.gitops.test_rights import NAMESPACES, Right, rights

NAME, VERDICTS = "delivery-guard", "delivery-verdicts"


@pytest.fixture(scope="module")
def text() -> str:
    return render(GUARD)


def pod(text: str, of: str = NAME) -> Manifest:
    spec: Manifest = named(text, "Deployment")[f"argocd/{of}"]["spec"]["template"]["spec"]
    return spec


def container(text: str, of: str = NAME) -> Manifest:
    (only,) = pod(text, of)["containers"]
    return dict(only)


def variables(text: str, of: str = NAME) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container(text, of)["env"]}


both = pytest.mark.parametrize("of", [NAME, VERDICTS])


def test_the_environments_do_without_it(rendered: str) -> None:
    assert NAME not in rendered
    assert VERDICTS not in rendered


@both
def test_its_image_is_named_by_digest(of: str) -> None:
    text = render(GUARD, imagePullSecrets=[{"name": "registry"}])
    assert container(text, of)["image"] == f"{IMAGE['repository']}@{IMAGE['digest']}"
    assert pod(text, of)["imagePullSecrets"] == [{"name": "registry"}]


@both
def test_a_deployment_keeps_the_selector_that_cannot_be_changed(text: str, of: str) -> None:
    """With the release's own name in it, Kubernetes would refuse the upgrade from the chart that was both."""
    assert named(text, "Deployment")[f"argocd/{of}"]["spec"]["selector"]["matchLabels"] == {
        "app.kubernetes.io/name": of,
        "app.kubernetes.io/instance": "environments",
    }


# --- rights ---------------------------------------------------------------------------------------------------

IN_AN_ENVIRONMENT: set[Right] = {
    ("argoproj.io", "rollouts", "get"),
    ("argoproj.io", "rollouts", "list"),
    ("argoproj.io", "rollouts", "watch"),
    ("argoproj.io", "rollouts/status", "patch"),
    ("argoproj.io", "analysisruns", "get"),
    ("argoproj.io", "analysisruns", "list"),
    ("apps", "replicasets", "get"),
    ("apps", "replicasets", "list"),
    ("apps", "replicasets/scale", "patch"),
    ("apps", "deployments", "get"),
    ("apps", "deployments", "list"),
    ("batch", "jobs", "get"),
    ("batch", "jobs", "list"),
    ("", "pods", "get"),
    ("", "pods", "list"),
    ("", "configmaps", "list"),
    ("", "configmaps", "delete"),
}
IN_ARGO_CD: set[Right] = {
    ("argoproj.io", "applications", "list"),
    ("argoproj.io", "applications", "get"),
    ("argoproj.io", "applications", "patch"),
    ("argoproj.io", "applicationsets", "get"),
    ("", "configmaps", "get"),
    ("", "configmaps", "patch"),
}


def roles(text: str) -> dict[str, Manifest]:
    """The guard's Roles by namespace."""
    found = named(text, "Role")
    return {name.split("/")[0]: role for name, role in found.items() if role["metadata"]["name"] == NAME}


def test_its_rights_are_these_and_no_more(text: str) -> None:
    assert {namespace: rights(role) for namespace, role in roles(text).items()} == {
        "argocd": IN_ARGO_CD,
        **dict.fromkeys(NAMESPACES, IN_AN_ENVIRONMENT),
    }


def test_it_writes_to_what_has_a_name_or_is_its_to_tidy_up(text: str) -> None:
    for namespace, role in roles(text).items():
        for rule in role["rules"]:
            if rule["resources"] in (["rollouts/status"], ["replicasets/scale"]):
                assert namespace in NAMESPACES
            elif rule["resources"] == ["configmaps"] and "patch" in rule["verbs"]:
                assert (namespace, rule["resourceNames"]) == ("argocd", [RECORD, REFUSED])
            elif "patch" in rule["verbs"] or rule["resources"] == ["applicationsets"]:
                assert (namespace, set(rule["resourceNames"])) == ("argocd", NAMESPACES)


def test_nothing_gives_it_more_than_those_roles(text: str) -> None:
    kinds = {manifest["kind"] for manifest in manifests(text)}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding"}
    bound = {
        name: binding["roleRef"]
        for name, binding in named(text, "RoleBinding").items()
        if any(subject["name"] == NAME for subject in binding["subjects"])
    }
    assert set(bound) == {f"{namespace}/{NAME}" for namespace in {"argocd", *NAMESPACES}}
    assert {(ref["kind"], ref["name"]) for ref in bound.values()} == {("Role", NAME)}
    for name in bound:
        (subject,) = named(text, "RoleBinding")[name]["subjects"]
        assert subject == {"kind": "ServiceAccount", "name": NAME, "namespace": "argocd"}


class Recorder(client.CustomObjectsApi):
    """Stands in for the API server and notes which right each call takes."""

    def __init__(self) -> None:
        super().__init__()
        self.rights: set[tuple[str, Right]] = set()

    def get_namespaced_custom_object(self, *path: Any, **_: Any) -> Any:
        return self._note(path, "get")

    def list_namespaced_custom_object(self, *path: Any, **_: Any) -> Any:
        return self._note(path, "list") | {"items": []}

    def patch_namespaced_custom_object_status(self, *path: Any, **_: Any) -> Any:
        return self._note((*path[:3], f"{path[3]}/status"), "patch")

    def _note(self, path: tuple[Any, ...], verb: str) -> dict[str, Any]:
        group, _, namespace, resource, *_ = path
        self.rights.add((namespace, (group, resource, verb)))
        return {}


def test_its_rights_are_enough_for_what_it_calls(text: str) -> None:
    recorder = Recorder()
    cluster = Cluster(recorder)
    for environment in ENVIRONMENTS:
        cluster.observe(environment)
        cluster.rollout(environment)
        cluster.migration(environment)
        cluster.promote_in_full(environment, RolloutStatus(name="crm"))
    assert recorder.rights
    had = {namespace: rights(role) for namespace, role in roles(text).items()}
    assert not [(namespace, right) for namespace, right in recorder.rights if right not in had[namespace]]


# --- the pod ---------------------------------------------------------------------------------------------------


def test_there_is_one_at_a_time(text: str) -> None:
    spec = named(text, "Deployment")[f"argocd/{NAME}"]["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_verdicts_are_answered_while_the_guard_is_away_and_without_an_account(text: str) -> None:
    spec = named(text, "Deployment")[f"argocd/{VERDICTS}"]["spec"]
    assert (spec["replicas"], spec["strategy"]["rollingUpdate"]["maxUnavailable"]) == (2, 0)
    assert "serviceAccountName" not in pod(text, VERDICTS)
    assert pod(text, VERDICTS)["automountServiceAccountToken"] is False
    assert container(text, VERDICTS)["args"] == ["verdicts"]


@both
def test_the_pod_could_run_under_pod_security_restricted(text: str, of: str) -> None:
    assert pod(text, of)["securityContext"]["runAsNonRoot"] is True
    assert pod(text, of)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(text, of)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@both
def test_it_runs_as_the_user_that_the_image_has(text: str, of: str) -> None:
    (user,) = re.findall(r"^USER (\d+):(\d+)$", (ROOT / "delivery/Containerfile").read_text(), re.MULTILINE)
    context = pod(text, of)["securityContext"]
    assert (str(context["runAsUser"]), str(context["runAsGroup"])) == user


@both
def test_git_works_in_a_folder_that_may_be_written(text: str, of: str) -> None:
    assert {"name": "tmp", "mountPath": "/tmp"} in container(text, of)["volumeMounts"]  # noqa: S108
    (folder,) = [each for each in pod(text, of)["volumes"] if each["name"] == "tmp"]
    assert folder["emptyDir"]["sizeLimit"]


@both
def test_its_probes_are_where_it_answers(text: str, of: str) -> None:
    (port,) = container(text, of)["ports"]
    assert port["containerPort"] == 8080
    for probe, path in (("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
        assert container(text, of)[probe]["httpGet"] == {"path": path, "port": port["name"]}
    service = named(text, "Service")[f"argocd/{NAME}"]["spec"]
    assert service["ports"] == [{"name": "http", "port": 8080, "targetPort": port["name"]}]


def test_service_policy_and_monitor_select_its_pod() -> None:
    text = render(GUARD, apis=["monitoring.coreos.com/v1"])
    labels = named(text, "Deployment")[f"argocd/{NAME}"]["spec"]["template"]["metadata"]["labels"]
    answers = named(text, "Deployment")[f"argocd/{VERDICTS}"]["spec"]
    of_verdicts = answers["template"]["metadata"]["labels"]
    for selector in (
        named(text, "Service")[f"argocd/{NAME}"]["spec"]["selector"],
        named(text, "NetworkPolicy")[f"argocd/{VERDICTS}"]["spec"]["podSelector"]["matchLabels"],
        answers["selector"]["matchLabels"],
    ):
        assert selector.items() <= of_verdicts.items()
    selectors: list[Mapping[str, str]] = [
        named(text, "NetworkPolicy")[f"argocd/{NAME}"]["spec"]["podSelector"]["matchLabels"],
        named(text, "PodMonitor")[f"argocd/{NAME}"]["spec"]["selector"]["matchLabels"],
        named(text, "Deployment")[f"argocd/{NAME}"]["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector
        assert selector.items() <= labels.items()


def test_it_is_monitored_only_where_an_operator_knows_what_that_means(text: str) -> None:
    assert not named(text, "PodMonitor")


@pytest.mark.parametrize(("of", "who"), [(NAME, "monitoring"), (VERDICTS, "argo-rollouts")])
def test_only_its_clients_reach_it(text: str, of: str, who: str) -> None:
    (rule,) = named(text, "NetworkPolicy")[f"argocd/{of}"]["spec"]["ingress"]
    assert [each["namespaceSelector"]["matchLabels"] for each in rule["from"]] == [
        {"kubernetes.io/metadata.name": who}
    ]


def test_it_reaches_the_web_pods_of_every_environment(text: str) -> None:
    egress = named(text, "NetworkPolicy")[f"argocd/{NAME}"]["spec"]["egress"]
    (probes,) = [rule for rule in egress if rule["ports"] == [{"protocol": "TCP", "port": "http"}]]
    reached = {
        each["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]: each["podSelector"][
            "matchLabels"
        ]
        for each in probes["to"]
    }
    web = {"app.kubernetes.io/name": "crm", "app.kubernetes.io/component": "web"}
    assert reached == dict.fromkeys(NAMESPACES, web)


def test_git_and_prometheus_may_have_ports_of_their_own() -> None:
    addresses = {
        "repoURL": "https://git.example.com:8443/crm.git",
        "prometheus": "http://prometheus.example.com:9999",
    }
    text = render(GUARD, **addresses)
    egress = named(text, "NetworkPolicy")[f"argocd/{NAME}"]["spec"]["egress"]
    assert {8443, 9999, 443, 6443} <= {port["port"] for port in egress[-1]["ports"]}


# --- what it is given ------------------------------------------------------------------------------------------


def test_it_is_given_every_address() -> None:
    given = variables(render(GUARD, promotions=["dev>staging=15m", "dev>demo=2h"]))
    assert given[REMOTE_VARIABLE] == REPOSITORY
    assert given["DELIVERY_ENVIRONMENTS"] == "dev,staging,production"
    assert given[PROMETHEUS_VARIABLE] == "http://prometheus-operated.monitoring.svc:9090"
    assert given["DELIVERY_PROMOTIONS"] == "dev>staging=15m,dev>demo=2h"


def test_what_is_not_set_is_not_given(text: str) -> None:
    assert not {"DELIVERY_PROMOTIONS"} & set(variables(text))
    assert not {KEY_VARIABLE, REGISTRIES_VARIABLE} & set(variables(text, VERDICTS))
    assert "DELIVERY_PROMETHEUS" not in variables(render(GUARD, prometheus=""))


def mounted(text: str, name: str, of: str = NAME) -> tuple[str, Manifest]:
    """Where a Secret is mounted, and what of it."""
    (volume,) = [each for each in pod(text, of)["volumes"] if each["name"] == name]
    (mount,) = [each for each in container(text, of)["volumeMounts"] if each["name"] == name]
    assert mount["readOnly"] is True
    return mount["mountPath"], volume["secret"]


@both
def test_gits_password_is_a_file_that_the_helper_reads_for_this_address_alone(of: str) -> None:
    text = render(GUARD, git={"existingSecret": "somebody"})
    folder, secret = mounted(text, "git", of)
    assert secret["secretName"] == "somebody"
    assert [item["path"] for item in secret["items"]] == ["username", "password"]
    given = variables(text, of)
    assert (given["GIT_CONFIG_COUNT"], given["GIT_CONFIG_KEY_0"]) == ("1", f"credential.{REPOSITORY}.helper")
    helper, argument = given["GIT_CONFIG_VALUE_0"].split()
    assert argument == folder
    file = ROOT / helper.removeprefix("/app/")
    assert file.stat().st_mode & 0o111
    assert "COPY delivery/ /app/delivery/" in (ROOT / "delivery/Containerfile").read_text()


@both
def test_no_variable_comes_from_a_secret(text: str, of: str) -> None:
    assert not [
        each
        for each in container(render(GUARD, attestations={"scan": {"existingSecret": "s"}}), of)["env"]
        if "valueFrom" in each
    ]
    assert "envFrom" not in container(text, of)


@pytest.mark.parametrize(("of", "variable"), [("scan", KEY_VARIABLE), ("sbom", SBOM_KEY_VARIABLE)])
def test_of_a_signers_secret_only_the_public_key_is_mounted(of: str, variable: str) -> None:
    assert variable not in variables(render(GUARD), VERDICTS)
    text = render(GUARD, attestations={of: {"existingSecret": "the-key"}})
    folder, secret = mounted(text, of, VERDICTS)
    assert secret["secretName"] == "the-key"
    assert secret["items"] == [{"key": "public.pem", "path": "public.pem"}]
    assert variables(text, VERDICTS)[variable] == f"{folder}/public.pem"


def test_where_notifications_go_comes_from_a_secret_and_mail_may_leave() -> None:
    assert NOTIFICATIONS_VARIABLE not in variables(render(GUARD))
    text = render(GUARD, notifications={"existingSecret": "channels"})
    folder, secret = mounted(text, "notifications")
    assert secret["secretName"] == "channels"
    assert variables(text)[NOTIFICATIONS_VARIABLE] == folder
    egress = named(text, "NetworkPolicy")[f"argocd/{NAME}"]["spec"]["egress"]
    assert {25, 443, 587} <= {port["port"] for port in egress[-1]["ports"]}


def test_registries_with_another_address_are_given_and_can_be_reached() -> None:
    registries = {"localhost:30500": "http://registry.forge.svc:5001", "b.example.com": "https://10.0.0.1"}
    text = render(GUARD, registries=registries)
    given = variables(text, VERDICTS)[REGISTRIES_VARIABLE]
    assert registries_from(given) == registries
    egress = named(text, "NetworkPolicy")[f"argocd/{VERDICTS}"]["spec"]["egress"]
    assert {443, 5000, 5001} <= {port["port"] for port in egress[-1]["ports"]}


def test_analyses_call_it_where_it_answers(text: str) -> None:
    """The chart of the CRM names the Service, its namespace and its port."""
    values = yaml.safe_load((ROOT / "charts/crm/values.yaml").read_text())
    (port,) = named(text, "Service")[f"argocd/{NAME}"]["spec"]["ports"]
    assert values["analysis"]["guard"] == f"http://{NAME}.argocd.svc:{port['port']}"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"registries": {"localhost:5000": "registry:5000"}}, "/registries"),
        ({"registries": {"a=b": "http://registry"}}, "'a=b' does not match pattern"),
        ({"image": {"repository": "registry.example.com/delivery-guard:1"}}, "/image"),
        ({"image": IMAGE | {"digest": "1"}}, "/image/digest"),
        ({"promotions": ["dev>staging"]}, "/promotions/0"),
        ({"promotions": ["dev > staging = 15m"]}, "/promotions/0"),
        ({"promotions": ["staging>production=2h"]}, "/promotions/0"),
        ({"prometheus": "prometheus:9090"}, "/prometheus"),
        ({"git": {"existingSecret": ""}}, "/git/existingSecret"),
        ({"password": "x"}, "password"),
    ],
)
def test_values_that_make_no_sense_are_refused_by_name(values: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(GUARD, **values)


def test_a_repository_that_takes_no_password_is_refused() -> None:
    sentence = refusal(GUARD, repoURL="git@git.example.com:crm.git")
    assert "repoURL has to be an http(s) address" in sentence
    assert render(repoURL="git@git.example.com:crm.git")  # without the guard it is fine
