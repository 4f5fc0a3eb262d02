"""The manifests are those of the real modules, fetched with the pinned Go; kubectl is a script."""

import base64
import hashlib
import json
import os
import pickle
from pathlib import Path

import pytest
import yaml

from cluster import addresses, go_tools, image_builder, node, paths, platform
from cluster.errors import ClusterError
from cluster.platform import Manifest
from cluster.tests.programs import Programs

pytestmark = pytest.mark.slow

CACHE = paths.CACHE
"""Where Go and kubectl are, or will be once built: read before the tests' own paths are set."""

PLACELESS = {
    "Namespace",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleBinding",
    "APIService",
    "IngressClass",
}


_read = platform._read
_pickled: dict[Path, bytes] = {}


def read_once(file: Path) -> list[Manifest]:
    """A fresh copy of what a file holds: upstream's definitions take seconds to read."""
    if file not in _pickled:
        _pickled[file] = pickle.dumps(_read(file))
    copy: list[Manifest] = pickle.loads(_pickled[file])  # noqa: S301 - our own, from the line above
    return copy


def find(documents: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = [d for d in documents if (d["kind"], d["metadata"]["name"]) == (kind, name)]
    return found


@pytest.fixture(scope="module")
def everywhere() -> dict[bool, list[Manifest]]:
    """Every manifest, by `local`; to be read, not changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "CACHE", CACHE)
        patch.setattr(platform, "_read", read_once)
        if not go_tools.built("kubectl").exists():
            pytest.fail("kubectl of this checkout is not built; run these tests by `make test`.")
        return {local: platform.manifests(local=local) for local in (True, False)}


@pytest.fixture
def here(everywhere: dict[bool, list[Manifest]]) -> list[Manifest]:
    """What is installed on our own node."""
    return everywhere[True]


@pytest.fixture
def elsewhere(everywhere: dict[bool, list[Manifest]]) -> list[Manifest]:
    """What is installed on somebody's cluster."""
    return everywhere[False]


def containers(documents: list[Manifest]) -> list[Manifest]:
    return [container for document in documents for container in platform._containers(document)]


@pytest.mark.parametrize("local", [True, False])
def test_each_object_is_there_once_and_has_its_place(
    local: bool, everywhere: dict[bool, list[Manifest]]
) -> None:
    documents = everywhere[local]
    names = [(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]) for d in documents]
    assert len(set(names)) == len(names)
    for kind, namespace, _name in names:
        assert (namespace is None) == (kind in PLACELESS), (kind, namespace)
    known = {*platform.NAMESPACES, "kube-system", None} | ({"forge"} if local else set())
    assert {namespace for _kind, namespace, _name in names} == known


@pytest.mark.parametrize("local", [True, False])
def test_rights_are_given_to_accounts_that_exist(local: bool, everywhere: dict[bool, list[Manifest]]) -> None:
    documents = everywhere[local]
    accounts = {
        (d["metadata"]["namespace"], d["metadata"]["name"])
        for d in documents
        if d["kind"] == "ServiceAccount"
    }
    for document in documents:
        for subject in document.get("subjects", []):
            if subject["kind"] == "ServiceAccount":
                assert (subject["namespace"], subject["name"]) in accounts, document["metadata"]["name"]


def test_what_nobody_uses_is_left_out_and_the_rest_of_argo_cd_is_there(elsewhere: list[Manifest]) -> None:
    names = {d["metadata"]["name"] for d in elsewhere if d["metadata"].get("namespace") == "argocd"}
    assert not [name for name in names if "dex" in name or "notifications" in name]
    assert {"argocd-server", "argocd-repo-server", "argocd-application-controller"} <= names
    assert {"argocd-applicationset-controller", "argocd-redis", "argocd-secret"} <= names


def test_upstreams_empty_secret_does_not_come_over_ours(here: list[Manifest]) -> None:
    assert not [d for d in here if d["metadata"]["name"] == "argocd-secret"]


def test_argo_cd_acts_as_each_environments_deployer(here: list[Manifest]) -> None:
    settings = find(here, "ConfigMap", "argocd-cm")["data"]
    assert settings["application.sync.impersonation.enabled"] == "true"
    assert find(here, "ConfigMap", "argocd-cmd-params-cm")["data"]["server.insecure"] == "true"


@pytest.mark.parametrize("local", [True, False])
def test_argo_cd_has_the_parameters_of_a_real_clusters(
    local: bool, everywhere: dict[bool, list[Manifest]]
) -> None:
    values = yaml.safe_load((paths.CHECKOUT / "argocd/platform/argo-cd-values.yaml").read_text())
    wanted = values["configs"]["params"]
    assert wanted["controller.sync.timeout.seconds"] == "600"
    found = find(everywhere[local], "ConfigMap", "argocd-cmd-params-cm")["data"]
    assert wanted.items() <= found.items()


@pytest.mark.parametrize("local", [True, False])
def test_argo_cd_does_not_compare_everything_anew_for_each_status(
    local: bool, everywhere: dict[bool, list[Manifest]]
) -> None:
    """Our settings stand beside upstream's own, which say what is no reason to look."""
    settings = find(everywhere[local], "ConfigMap", "argocd-cm")["data"]
    assert "/status" in settings["resource.customizations.ignoreResourceUpdates.all"]
    assert "Lease" in settings["resource.exclusions"]


def test_what_runs_here_is_what_was_built(here: list[Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        image_builder,
        "kubeadm_image_names",
        lambda: dict.fromkeys(("etcd", "coredns", "pause", "kube-proxy"), "x"),
    )
    built = {image.reference for image in image_builder.all_images()}
    used = {container["image"] for container in containers(here)}
    used |= {d["spec"]["image"] for d in here if d["kind"] in {"Prometheus", "Alertmanager"}}
    reloader = "--prometheus-config-reloader="
    used |= {
        word.removeprefix(reloader)
        for container in containers(here)
        for word in container.get("args", [])
        if word.startswith(reloader)
    }
    assert used <= built
    assert {image.split(":")[0].rsplit("/", 1)[1] for image in used} >= {
        "argocd",
        "argo-rollouts",
        "traefik",
        "prometheus",
        "alertmanager",
        "prometheus-operator",
        "prometheus-config-reloader",
        "metrics-server",
        "redis",
        "registry",
        "git-server",
    }


def test_what_runs_elsewhere_is_what_upstream_publishes(elsewhere: list[Manifest]) -> None:
    used = {container["image"] for container in containers(elsewhere)}
    assert not [image for image in used if image.startswith("localhost/")]
    (redis,) = [image for image in used if "/redis:" in image]
    assert redis != "docker.io/library/redis:7-bookworm"
    assert not [d for d in elsewhere if d.get("spec", {}).get("type") == "NodePort"]


@pytest.mark.parametrize("local", [True, False])
def test_nobody_is_left_without_cpu_while_users_take_all(
    local: bool, everywhere: dict[bool, list[Manifest]]
) -> None:
    workloads = [d for d in everywhere[local] if d["kind"] in {"Deployment", "StatefulSet", "DaemonSet"}]
    lacking = [
        (document["metadata"]["name"], container["name"])
        for document in workloads
        for container in document["spec"]["template"]["spec"]["containers"]
        if "cpu" not in container.get("resources", {}).get("requests", {})
    ]
    assert "argo-rollouts" in {d["metadata"]["name"] for d in workloads}
    assert lacking == []


def test_images_that_are_here_are_not_asked_of_a_registry(here: list[Manifest]) -> None:
    policies = {container.get("imagePullPolicy", "IfNotPresent") for container in containers(here)}
    assert policies == {"IfNotPresent"}


def test_the_certificate_of_the_kubelet_is_trusted_on_our_own_node_only(
    here: list[Manifest], elsewhere: list[Manifest]
) -> None:
    for documents, insecure in ((here, True), (elsewhere, False)):
        (server,) = platform._containers(find(documents, "Deployment", "metrics-server"))
        assert ("--kubelet-insecure-tls" in server["args"]) == insecure


@pytest.mark.parametrize("local", [True, False])
def test_prometheus_asks_everybody_whom_a_real_cluster_asks(
    local: bool, everywhere: dict[bool, list[Manifest]]
) -> None:
    """Each monitor finds a workload's pods and the port that it names; cert-manager runs on a real cluster only."""
    documents = everywhere[local]
    workloads = [d for d in documents if d["kind"] in {"Deployment", "StatefulSet"}]
    monitors = [d for d in documents if d["kind"] == "PodMonitor" and d["metadata"]["name"] != "prometheus"]
    assert {d["metadata"]["name"] for d in monitors} == {"argo-rollouts", "argocd", "traefik", "cert-manager"}
    for monitor in monitors:
        spec = monitor["spec"]
        (namespace,), (endpoint,) = spec["namespaceSelector"]["matchNames"], spec["podMetricsEndpoints"]
        found = [
            port
            for workload in workloads
            if workload["metadata"]["namespace"] == namespace
            and spec["selector"]["matchLabels"].items()
            <= workload["spec"]["template"]["metadata"]["labels"].items()
            for container in containers([workload])
            for port in container["ports"]
            if endpoint.get("port") == port.get("name") or endpoint.get("portNumber") == port["containerPort"]
        ]
        assert len(found) == (namespace != "cert-manager"), monitor["metadata"]["name"]


@pytest.mark.parametrize("local", [True, False])
def test_prometheus_finds_the_kubelets_by_the_service_that_its_operator_keeps(
    local: bool, everywhere: dict[bool, list[Manifest]]
) -> None:
    (operator,) = containers([find(everywhere[local], "Deployment", "prometheus-operator")])
    assert "--kubelet-service=kube-system/kubelet" in operator["args"]
    spec = find(everywhere[local], "ServiceMonitor", "kubelet")["spec"]
    assert spec["namespaceSelector"] == {"matchNames": ["kube-system"]}
    assert spec["endpoints"][0]["port"] == "https-metrics"
    assert not [d for d in everywhere[local] if d["kind"] == "EndpointSlice"]


def test_what_a_person_opens_has_the_ports_that_addresses_tell(here: list[Manifest]) -> None:
    ports = {
        port.get("nodePort") for d in here if d["kind"] == "Service" for port in d["spec"].get("ports", [])
    }
    router = find(here, "Deployment", "traefik")
    ports |= {port["containerPort"] for container in containers([router]) for port in container["ports"]}
    assert ports - {None} == set(addresses.HOST_PORTS)


def test_nothing_in_our_manifests_is_left_to_fill_in(here: list[Manifest]) -> None:
    text = yaml.safe_dump_all(
        [d for name in ("monitoring", "traefik", "host-ports") for d in platform._own(name)]
    )
    assert "$" not in text
    prometheus = find(here, "Prometheus", "prometheus")["spec"]
    assert prometheus["image"] == f"quay.io/prometheus/prometheus:{prometheus['version']}"
    (container,) = prometheus["containers"]
    assert container["startupProbe"]["periodSeconds"] == 1
    forge = yaml.safe_dump_all(platform._own("forge"))
    assert f"{paths.STATE}/forge/git" in forge
    assert f"{paths.STATE}/forge/registry" in forge


def test_definitions_are_told_from_the_rest(here: list[Manifest]) -> None:
    definitions = {d["metadata"]["name"] for d in here if platform._is_definition(d)}
    assert {
        "applications.argoproj.io",
        "rollouts.argoproj.io",
        "prometheuses.monitoring.coreos.com",
        "ingressroutes.traefik.io",
    } <= definitions


def test_files_with_definitions_cover_what_charts_and_argocd_render(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(paths, "CACHE", CACHE)
    kinds = {
        document["spec"]["names"]["kind"]
        for file in platform.crd_files()
        for document in platform._read(file)
        if platform._is_definition(document)
    }
    assert {
        "Rollout",
        "AnalysisTemplate",
        "Application",
        "ApplicationSet",
        "AppProject",
        "PodMonitor",
        "PrometheusRule",
        "IngressRoute",
        "TraefikService",
        "Gateway",
        "VirtualService",
        "DestinationRule",
    } <= kinds


def test_a_lone_equals_sign_is_read_as_itself(tmp_path: Path) -> None:
    file = tmp_path / "definition.yaml"
    file.write_text("---\nenum: ['!=', =, =~]\n---\n")
    assert platform._read(file) == [{"enum": ["!=", "=", "=~"]}]


# --- secrets ----------------------------------------------------------------------------------------------------

KUBECTL = """
case "$*" in
    *" apply "*) cat >> "$calls.stdin"; echo --- >> "$calls.stdin" ;;
    *" get deployments"*) cat "$calls.workloads" ;;
    *" get secret "*) printf 'aGVsbG8tYXJnbw==' ;;
    *" get nodes "*) cat "$calls.nodes" ;;
    *" rollout status "*) test ! -e "$calls.stuck" ;;
esac
"""


@pytest.fixture
def kubectl(programs: Programs, state: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    script = programs.add("kubectl", KUBECTL)
    monkeypatch.setattr(go_tools, "built", lambda _tool: script)
    monkeypatch.setattr(os, "chown", lambda _path, *_owner: None)
    workloads(programs, workload("Deployment", "a", {"readyReplicas": 1}, replicas=1))
    return programs


def workloads(programs: Programs, *items: Manifest) -> None:
    (programs.folder / "kubectl.calls.workloads").write_text(json.dumps({"items": items}))


def workload(kind: str, name: str, status: dict[str, int], **spec: int) -> Manifest:
    return {"kind": kind, "metadata": {"name": name}, "spec": spec, "status": status}


def applied(programs: Programs) -> list[Manifest]:
    text = (programs.folder / "kubectl.calls.stdin").read_text()
    return [document for document in yaml.safe_load_all(text) if document]


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def test_passwords_are_made_once_and_for_root_only(state: Path) -> None:
    first = platform._passwords()
    assert platform._passwords() == first
    assert mode(state / "passwords.json") == 0o600
    assert len(set(first.values())) == len(first) == len(platform.PASSWORDS)
    assert all(len(password) >= 32 for password in first.values())
    (state / "passwords.json").unlink()
    assert platform._passwords() != first


def test_a_private_file_is_private_from_its_first_moment_and_replaced_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    (tmp_path / "password.new").write_text("what a killed run left")
    file.write_text("old")
    file.chmod(0o644)
    before = os.umask(0)
    platform.write_private(file, "new")
    os.umask(before)
    assert file.read_text() == "new"
    assert mode(file) == 0o600
    assert [path.name for path in tmp_path.glob("password*")] == ["password"]


@pytest.mark.usefixtures("kubectl")
def test_git_takes_the_password_that_the_credentials_hold(state: Path) -> None:
    documents = platform._local_secrets()
    password = platform._passwords()["git"]
    assert paths.GIT_CREDENTIALS.read_text() == f"http://crm:{password}@127.0.0.1:{addresses.GIT_PORT}\n"
    assert mode(paths.GIT_CREDENTIALS) == 0o600
    assert accepts(documents, addresses.GIT_USER, password)
    assert password not in json.dumps(documents)
    assert (state / "forge" / "git").is_dir()
    assert (state / "forge" / "registry").is_dir()


def accepts(documents: list[Manifest], user: str, password: str) -> bool:
    """Whether the Git server's file of users has that one with that password."""
    lines = find(documents, "Secret", "git-auth")["stringData"]["htpasswd"].splitlines()
    (hashed,) = [line.partition(":")[2] for line in lines if line.startswith(f"{user}:")]
    raw = base64.b64decode(hashed.removeprefix("{SSHA}"))
    return raw[:20] == hashlib.sha1(password.encode() + raw[20:], usedforsecurity=False).digest()


@pytest.mark.usefixtures("kubectl", "state")
def test_the_guard_has_an_account_of_its_own_in_git() -> None:
    documents = platform._local_secrets()
    secret = find(documents, "Secret", "delivery-guard-git")
    assert secret["metadata"]["namespace"] == "argocd"
    known = secret["stringData"]
    assert known == {"username": "guard", "password": platform._passwords()["guard"]}
    assert accepts(documents, "guard", known["password"])
    assert not accepts(documents, "guard", platform._passwords()["git"])


def test_a_cluster_from_before_the_guard_keeps_its_passwords_and_gets_the_one_it_lacks(state: Path) -> None:
    old = {"git": "a", "webhook": "b", "session": "c"}
    (state / "passwords.json").write_text(json.dumps(old))
    known = platform._passwords()
    assert known == {**old, "guard": known["guard"], "redis": known["redis"]}
    assert len(known["guard"]) >= 32
    assert platform._passwords() == known
    assert mode(state / "passwords.json") == 0o600


@pytest.mark.usefixtures("kubectl")
def test_git_and_argo_cd_share_the_secret_of_the_webhook() -> None:
    documents = platform._local_secrets()
    assert platform._local_secrets() == documents
    assert find(documents, "Secret", "argocd-redis")["stringData"] == {"auth": platform._passwords()["redis"]}
    shared = find(documents, "Secret", "git-webhook")["stringData"]["secret"]
    argo = find(documents, "Secret", "argocd-secret")
    assert argo["stringData"]["webhook.github.secret"] == shared
    assert argo["metadata"]["labels"] == {"app.kubernetes.io/part-of": "argocd"}


def test_secrets_reach_kubectl_through_its_input_only(kubectl: Programs) -> None:
    documents = platform._local_secrets()
    platform._apply(documents)
    assert applied(kubectl) == documents
    seen = "\n".join(kubectl.calls("kubectl")) + "".join(log.read_text() for log in paths.LOGS.iterdir())
    for secret in (*platform._passwords().values(), "SSHA"):
        assert secret not in seen


# --- up ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def few() -> list[Manifest]:
    """One definition and one Service in the place of all manifests."""
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "argocd"}}
    definition = {"kind": "CustomResourceDefinition", "metadata": {"name": "things.example.com"}}
    return [service, definition]


def three(programs: Programs) -> None:
    """As many workloads as monitoring has."""
    workloads(
        programs,
        *(workload("Deployment", name, {"readyReplicas": 1}, replicas=1) for name in ("a", "b", "c")),
    )


def test_definitions_are_established_before_anything_uses_them(
    kubectl: Programs, few: list[Manifest]
) -> None:
    three(kubectl)
    platform.up(few, local=True)
    order = [(d["kind"], d["metadata"]["name"]) for d in applied(kubectl)]
    assert order[0] == ("CustomResourceDefinition", "things.example.com")
    assert order.index(("Namespace", "argocd")) < order.index(("Secret", "argocd-secret"))
    assert order[-1] == ("Service", "s")
    words = [call.split(" ", 1)[1] for call in kubectl.calls("kubectl")]
    established = words.index("wait --for=condition=Established --timeout=60s crd/things.example.com")
    applies = [number for number, call in enumerate(words) if call.startswith("apply ")]
    assert applies[0] < established < applies[1]
    assert "rollout status --namespace=forge deployment/a --timeout=180s" in words


def test_what_is_ready_last_starts_first(
    kubectl: Programs, few: list[Manifest], here: list[Manifest]
) -> None:
    three(kubectl)
    platform.up([*few, *(d for d in here if d["metadata"]["name"].endswith("metrics-server"))], local=True)
    order = [(d["kind"], d["metadata"]["name"]) for d in applied(kubectl)]
    assert order.index(("Deployment", "metrics-server")) < order.index(
        ("CustomResourceDefinition", "things.example.com")
    )
    assert platform._is_metrics_servers(find(here, "Deployment", "metrics-server"))
    assert not platform._is_metrics_servers(find(here, "APIService", "v1beta1.metrics.k8s.io"))


def test_on_our_own_node_the_password_of_argo_cd_is_kept_for_root(
    kubectl: Programs, few: list[Manifest]
) -> None:
    three(kubectl)
    platform.up(few, local=True)
    assert paths.ARGOCD_PASSWORD.read_text() == "hello-argo"
    assert mode(paths.ARGOCD_PASSWORD) == 0o600


def test_the_password_that_is_known_is_not_asked_for_again(kubectl: Programs, few: list[Manifest]) -> None:
    """A careful person deletes the Secret that Argo CD made at its first start."""
    three(kubectl)
    paths.ARGOCD_PASSWORD.write_text("known", encoding="utf-8")
    platform.up(few, local=True)
    assert not [call for call in kubectl.calls("kubectl") if "argocd-initial-admin-secret" in call]


def test_elsewhere_no_secret_is_made_and_none_is_kept(
    kubectl: Programs, few: list[Manifest], state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three(kubectl)
    monkeypatch.setenv("KUBECONFIG", "/somewhere/config")
    platform.up(few, local=False)
    assert list(state.iterdir()) == []
    assert not [d for d in applied(kubectl) if d["kind"] == "Secret" or d["metadata"]["name"] == "forge"]
    assert all(call.startswith("--kubeconfig=/somewhere/config ") for call in kubectl.calls("kubectl"))


def test_workloads_are_told_with_their_ready_pods(kubectl: Programs) -> None:
    workloads(
        kubectl,
        workload("Deployment", "full", {"readyReplicas": 2}, replicas=2),
        workload("StatefulSet", "fresh", {}),
        workload("DaemonSet", "proxy", {"numberReady": 0, "desiredNumberScheduled": 1}),
        {"kind": "Deployment", "metadata": {"name": "off"}, "spec": {"replicas": 0}},
    )
    assert platform.ready("argocd") == {
        "deployment/full": "2/2",
        "statefulset/fresh": "0/1",
        "daemonset/proxy": "0/1",
        "deployment/off": "0/0",
    }


def test_monitoring_is_not_ready_before_the_operator_has_made_the_rest(
    kubectl: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at_once(condition: object, *, what: str, seconds: float) -> None:
        assert callable(condition)
        if not condition():
            raise ClusterError(what)

    monkeypatch.setattr(platform, "until", at_once)
    platform.wait_ready("argocd")
    with pytest.raises(ClusterError, match="the workloads of monitoring"):
        platform.wait_ready("monitoring")


@pytest.mark.parametrize(
    ("is_full", "told"),
    [
        (
            "True",
            r"^The node crm-node reports DiskPressure: .* free some under /var/lib or \S+/cache, and repeat five ",
        ),
        ("False", r"kubectl ended with status 1; see \S+/kubectl.log"),
        (None, r"kubectl ended with status 1; see \S+/kubectl.log"),  # nobody answers any more
    ],
)
def test_what_does_not_get_ready_as_the_disk_is_full_is_told_as_such(
    kubectl: Programs, is_full: str | None, told: str
) -> None:
    (kubectl.folder / "kubectl.calls.stuck").touch()
    conditions = [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": is_full}]
    nodes = {"items": [{"metadata": {"name": "crm-node"}, "status": {"conditions": conditions}}]}
    if is_full:
        (kubectl.folder / "kubectl.calls.nodes").write_text(json.dumps(nodes))
    with pytest.raises(ClusterError, match=told):
        platform.wait_ready("argocd")


# --- which cluster ----------------------------------------------------------------------------------------------


def test_without_kubeconfig_the_cluster_is_ours() -> None:
    assert not node.existing_cluster()
    assert node.kubeconfig() == paths.KUBECONFIG


def test_kubeconfig_may_name_our_own_cluster_by_any_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for named in (f"{paths.STATE}/../state/kubeconfig", str(paths.KUBECONFIG)):
        monkeypatch.setenv("KUBECONFIG", named)
        assert not node.existing_cluster()
    # /var may be a link to another disk.
    (tmp_path / "disk").mkdir()
    (tmp_path / "var").symlink_to(tmp_path / "disk")
    monkeypatch.setattr(paths, "KUBECONFIG", tmp_path / "var" / "kubeconfig")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "var" / "kubeconfig"))
    assert not node.existing_cluster()


def test_kubeconfig_may_name_another_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/somewhere/config")
    assert node.existing_cluster()
    assert node.kubeconfig() == Path("/somewhere/config")


def test_the_router_listens_on_the_host_only_here() -> None:
    (here,) = [d for d in platform._traefik(local=True) if d["kind"] == "Deployment"]
    pod = here["spec"]["template"]["spec"]
    assert pod["hostNetwork"]
    assert "--entryPoints.web.address=127.0.0.1:30080" in pod["containers"][0]["args"]
    assert here["spec"]["strategy"] == {"type": "Recreate"}

    (there,) = [d for d in platform._traefik(local=False) if d["kind"] == "Deployment"]
    pod = there["spec"]["template"]["spec"]
    assert "hostNetwork" not in pod
    assert "--entryPoints.web.address=:8000" in pod["containers"][0]["args"]


@pytest.mark.parametrize("local", [True, False])
def test_the_router_reads_ingresses_of_class_nginx_too(local: bool) -> None:
    documents = platform._traefik(local=local)
    assert find(documents, "IngressClass", "nginx")["spec"] == {"controller": "k8s.io/ingress-nginx"}
    (container,) = platform._containers(find(documents, "Deployment", "traefik"))
    assert "--providers.kubernetesingressnginx" in container["args"]
    assert "--providers.kubernetesingressnginx.httpEntryPoint=web" in container["args"]
    # A weight counts at once for this provider as for the other.
    assert "--providers.providersThrottleDuration=100ms" in container["args"]
    # Argo CD takes an Ingress for Healthy once its status names an address: that of this Service.
    assert "--providers.kubernetesingressnginx.publishService=traefik/traefik" in container["args"]
    assert find(documents, "Service", "traefik")["metadata"]["namespace"] == "traefik"
    rules = find(documents, "ClusterRole", "traefik")["rules"]
    allowed = {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    assert {("ingresses", "watch"), ("ingressclasses", "watch"), ("ingresses/status", "update")} <= allowed


def test_argo_rollouts_may_set_the_weights_of_every_router(here: list[Manifest]) -> None:
    rules = find(here, "ClusterRole", "argo-rollouts")["rules"]
    allowed = {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}
    for resource in ("ingresses", "virtualservices", "destinationrules", "traefikservices"):
        assert {(resource, "get"), (resource, "update")} <= allowed, resource
