"""Installs what ships a release: Argo CD, Argo Rollouts, Traefik, Prometheus and metrics-server.

The manifests come out of the very modules that the binaries were built from; only what differs here is changed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from cluster import addresses, go_tools, image_builder, node, paths, shell
from cluster.progress import step
from cluster.templates import filled
from cluster.waiting import until

Manifest = dict[str, Any]

REAL = paths.CHECKOUT / "argocd" / "platform"
"""A real cluster's platform; what both have in common is taken from there."""
NAMESPACES = ("argocd", "argo-rollouts", "monitoring", "traefik")
GIT_OWNER = 10002
PASSWORDS = ("git", "guard", "webhook", "session", "redis")
ARGO_CD = ("kubernetes", "github.com/argoproj/argo-cd/v3")
ARGO_ROLLOUTS = ("argo-rollouts", "github.com/argoproj/argo-rollouts")
METRICS_SERVER = ("kubernetes", "sigs.k8s.io/metrics-server")
ISTIO = ("istio", "istio.io/istio")
KYVERNO = ("supply-chain", "github.com/kyverno/kyverno")
OPERATOR = ("argo-rollouts", "github.com/prometheus-operator/prometheus-operator")
TRAEFIK = ("manifests", "github.com/traefik/traefik/v3")
# Dex signs people in through others and notifications tell others; neither has anybody to talk to here.
NOT_USED = ("argocd-dex-server", "argocd-notifications")
# Upstream asks for no CPU here, so whoever ships would get none while the users take all (docs/decisions/0031).
CPU = {
    "argo-rollouts": "40m",
    "argocd-application-controller": "40m",
    "argocd-applicationset-controller": "10m",
    "argocd-redis": "10m",
    "argocd-repo-server": "40m",
    "argocd-server": "10m",
}
# And for 100m each here, which two cores do not have to give away.
LOCAL_CPU = {"metrics-server": "20m", "prometheus-operator": "20m"}
# Seconds that these took on two cores (docs/first-run.md).
DEFINE, INSTALL = 9, 2
READY = {"argocd": 5, "monitoring": 7}
SECONDS = DEFINE + INSTALL + sum(READY.values())


def up(documents: list[Manifest], *, local: bool) -> None:
    """Install or update the platform, which `manifests` has read, and wait until every part is Ready.

    `local`: on our own node, with its Git server, registry, host ports and images from Debian packages; otherwise
    on the cluster that KUBECONFIG names, with the images that upstream publishes.
    """
    with step("Install the definitions of resources", DEFINE):
        # It is Ready when it has asked the kubelet twice, 15 s apart; nothing else takes as long.
        _apply([document for document in documents if _is_metrics_servers(document)])
        _define(documents)
    with step("Install Argo CD, Argo Rollouts, Traefik, Prometheus, metrics-server", INSTALL):
        _apply([_namespace(name) for name in NAMESPACES])
        if local:
            _apply(_local_secrets())
        _apply([document for document in documents if not _is_definition(document)])
    for namespace in (*NAMESPACES, *(("forge",) if local else ()), "kube-system"):
        with step(f"Wait until {namespace} is Ready", READY.get(namespace, 0)):
            wait_ready(namespace)
    if local:
        _remember_argocd_password()


def install(documents: list[Manifest]) -> None:
    """Apply all of them, the definitions of resources first."""
    _define(documents)
    _apply([document for document in documents if not _is_definition(document)])


def add(name: str, namespace: str, made: list[image_builder.ImageSpec], documents: list[Manifest]) -> None:
    """Bring something that `up` leaves out, with its own images, to Ready."""
    short = name.lower()
    layout = image_builder.layout(made, f"{short}-images")
    with step(f"Install {name}"):
        node.import_images(layout, node.IMPORTED.with_name(f"imported-{short}"))
        install(documents)
    with step(f"Wait until {namespace} is Ready"):
        wait_ready(namespace)


def _define(documents: list[Manifest]) -> None:
    definitions = [document for document in documents if _is_definition(document)]
    if not definitions:
        return
    _apply(definitions)
    names = [f"crd/{document['metadata']['name']}" for document in definitions]
    node.kubectl("wait", "--for=condition=Established", "--timeout=60s", *names)


def ready(namespace: str) -> dict[str, str]:
    """Each workload of a namespace with `ready/wanted` pods."""
    listed = json.loads(
        node.kubectl_output(
            "get", "deployments,statefulsets,daemonsets", f"--namespace={namespace}", "--output=json"
        )
    )
    return {
        f"{item['kind'].lower()}/{item['metadata']['name']}": _ready_pods(item) for item in listed["items"]
    }


def _ready_pods(item: Manifest) -> str:
    status = item.get("status", {})
    if item["kind"] == "DaemonSet":
        return f"{status.get('numberReady', 0)}/{status.get('desiredNumberScheduled', 0)}"
    return f"{status.get('readyReplicas', 0)}/{item['spec'].get('replicas', 1)}"


@node.full_disk_named()
def wait_ready(namespace: str) -> None:
    """Return when every workload of a namespace has all its pods; ClusterError when that takes too long."""
    # The operator makes the StatefulSets of Prometheus and Alertmanager only after it has started itself.
    expected = 3 if namespace == "monitoring" else 1
    until(lambda: len(ready(namespace)) >= expected, what=f"the workloads of {namespace}", seconds=120)
    for workload in ready(namespace):
        node.kubectl("rollout", "status", f"--namespace={namespace}", workload, "--timeout=180s")


def crd_files() -> list[Path]:
    """The files with the real definitions of every custom resource that charts/ and argocd/ render."""
    rollouts = go_tools.module_dir(*ARGO_ROLLOUTS) / "manifests" / "crds"
    argo_cd = go_tools.module_dir(*ARGO_CD) / "manifests" / "crds"
    operator = go_tools.module_dir(*OPERATOR) / "example" / "prometheus-operator-crd"
    return [
        *sorted(rollouts.glob("*-crd.yaml")),
        *sorted(argo_cd.glob("*-crd.yaml")),
        *sorted(operator.glob("*.yaml")),
        _traefik_definitions(),
        istio_definitions(),
    ]


def istio_definitions() -> Path:
    """What Gateways, VirtualServices and DestinationRules are; installed only where Istio is asked for."""
    return go_tools.module_dir(*ISTIO) / "manifests" / "charts" / "base" / "files" / "crd-all.gen.yaml"


def _traefik_definitions() -> Path:
    folder = go_tools.module_dir(*TRAEFIK) / "docs" / "content" / "reference" / "dynamic-configuration"
    return folder / "kubernetes-crd-definition-v1.yml"


def manifests(*, local: bool) -> list[Manifest]:
    """All that `up` installs: the definitions of resources and what uses them. Reading it takes some seconds."""
    documents = [
        *_argo_cd(local=local),
        *_argo_rollouts(),
        *_operator(),
        *_read(_traefik_definitions()),
        *_metrics_server(local=local),
        *_own("monitoring"),
        *_read(REAL / "monitors.yaml"),
        *_traefik(local=local),
        *(_own("forge") if local else []),
        *(_own("host-ports") if local else []),
    ]
    found = [document for document in documents if document]
    for document in found:
        _ask_for_cpu(document, CPU | (LOCAL_CPU if local else {}))
    return found


def _ask_for_cpu(document: Manifest, wanted: dict[str, str]) -> None:
    for container in _containers(document):
        cpu = wanted.get(document["metadata"]["name"])
        if cpu:
            container.setdefault("resources", {}).setdefault("requests", {})["cpu"] = cpu


def _is_metrics_servers(document: Manifest) -> bool:
    """Its API is registered with the rest: while it does not answer, kubectl would complain of it."""
    labels = document["metadata"].get("labels") or {}
    return document["kind"] != "APIService" and labels.get("k8s-app") == "metrics-server"


def _is_definition(document: Manifest) -> bool:
    return bool(document["kind"] == "CustomResourceDefinition")


def _argo_cd(*, local: bool) -> list[Manifest]:
    documents = _read(go_tools.module_dir(*ARGO_CD) / "manifests" / "install.yaml")
    # The local secret is filled by _local_secrets; applying upstream's empty one would take its values away again.
    left_out = (*NOT_USED, "argocd-secret") if local else NOT_USED
    kept = [document for document in documents if not document["metadata"]["name"].startswith(left_out)]
    for document in kept:
        _place(document, "argocd")
        name = document["metadata"]["name"]
        if name == "argocd-cm":
            # Beside those of upstream, which say what is no reason to compare everything anew: a status, a Lease.
            document["data"] |= {
                # A sync acts as the environment's own crm-deployer, not as Argo CD.
                "application.sync.impersonation.enabled": "true",
                # A push arrives by webhook; this is how long a lost one takes.
                "timeout.reconciliation": "60s",
                "timeout.reconciliation.jitter": "10s",
            }
        if name == "argocd-cmd-params-cm":
            # TLS ends at the ingress; the rest is what a real cluster has.
            document["data"] = {"server.insecure": "true"} | _argo_cd_values()["configs"]["params"]
        for container in _containers(document):
            container["imagePullPolicy"] = "IfNotPresent"
            if local and "readinessProbe" in container:
                # Upstream looks every 10 to 30 s; somebody waits here.
                container["readinessProbe"].update(initialDelaySeconds=1, periodSeconds=2)
            if local and "/redis:" in container["image"]:
                container["image"] = "docker.io/library/redis:7-bookworm"
    # A sync that impersonates needs the controller's right to do so; it is part of upstream's ClusterRole (`*`).
    return kept


def _argo_cd_values() -> Manifest:
    """What upstream's chart is given on a real cluster."""
    (values,) = _read(REAL / "argo-cd-values.yaml")
    return values


def _argo_rollouts() -> list[Manifest]:
    documents = _read(go_tools.module_dir(*ARGO_ROLLOUTS) / "manifests" / "install.yaml")
    version = go_tools.module_version(*ARGO_ROLLOUTS)
    for document in documents:
        _place(document, "argo-rollouts")
        for container in _containers(document):
            container["image"] = f"quay.io/argoproj/argo-rollouts:{version}"
            container["imagePullPolicy"] = "IfNotPresent"
    return documents


def _operator() -> list[Manifest]:
    documents = _read(go_tools.module_dir(*OPERATOR) / "bundle.yaml")
    for document in documents:
        _place(document, "monitoring")
    return documents


def _metrics_server(*, local: bool) -> list[Manifest]:
    base = go_tools.module_dir(*METRICS_SERVER) / "manifests" / "base"
    documents = list(yaml.safe_load_all(shell.output([go_tools.built("kubectl"), "kustomize", base])))
    for document in documents:
        for container in _containers(document):
            container["image"] = (
                f"registry.k8s.io/metrics-server/metrics-server:{go_tools.module_version(*METRICS_SERVER)}"
            )
            if local:
                # This kubelet's certificate is signed by nobody but itself.
                container["args"].append("--kubelet-insecure-tls")
                container["readinessProbe"].update(initialDelaySeconds=1, periodSeconds=2)
    return documents


def _traefik(*, local: bool) -> list[Manifest]:
    documents = _own("traefik")
    if local:
        for document in documents:
            if document["kind"] == "Deployment":
                _listen_on_the_host(document["spec"])
    return documents


def _listen_on_the_host(deployment: Manifest) -> None:
    """Let the router listen on loopback itself: a measured request passes no address translation (decision 0014)."""
    addresses_of = {
        "web": ("127.0.0.1", addresses.HTTP_PORT),
        "traefik": (addresses.NODE_ADDRESS, addresses.TRAEFIK_PORT),
    }
    deployment["strategy"] = {"type": "Recreate"}
    pod = deployment["template"]["spec"]
    pod.update(hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet")
    (container,) = pod["containers"]
    container["args"] = [word for word in container["args"] if not word.startswith("--entryPoints.")] + [
        f"--entryPoints.{name}.address={host}:{port}" for name, (host, port) in addresses_of.items()
    ]
    container["ports"] = [{"name": name, "containerPort": port} for name, (_, port) in addresses_of.items()]


def _own(name: str) -> list[Manifest]:
    prometheus = image_builder.prometheus_reference()
    text = filled(
        f"{name}.yaml",
        STATE=paths.STATE,
        GIT_URL=addresses.GIT_IN_CLUSTER,
        GIT_PORT=addresses.GIT_PORT,
        REGISTRY_PORT=addresses.REGISTRY_PORT,
        HTTP_PORT=addresses.HTTP_PORT,
        ARGOCD_PORT=addresses.ARGOCD_PORT,
        PROMETHEUS_PORT=addresses.PROMETHEUS_PORT,
        ALERTMANAGER_PORT=addresses.ALERTMANAGER_PORT,
        TRAEFIK_IMAGE=image_builder.traefik_reference(),
        PROMETHEUS_IMAGE=prometheus,
        PROMETHEUS_VERSION=prometheus.rsplit(":", 1)[1],
    )
    return list(yaml.safe_load_all(text))


def _local_secrets() -> list[Manifest]:
    known = _passwords()
    for folder in ("git", "registry"):
        data = paths.STATE / "forge" / folder
        data.mkdir(parents=True, exist_ok=True)
        os.chown(data, GIT_OWNER, GIT_OWNER)
    write_private(
        paths.GIT_CREDENTIALS,
        f"http://{addresses.GIT_USER}:{known['git']}@127.0.0.1:{addresses.GIT_PORT}\n",
    )
    accounts = _account(addresses.GIT_USER, known["git"]) + _account(addresses.GUARD_USER, known["guard"])
    return [
        _namespace("forge"),
        _secret("forge", "git-auth", {"htpasswd": accounts}),
        _secret("forge", "git-webhook", {"secret": known["webhook"]}),
        # With these there from the start, no part of Argo CD waits for another one to make them: a kubelet which did
        # not find the password of Redis looked again after 15 s.
        _secret("argocd", "argocd-redis", {"auth": known["redis"]}),
        _secret(
            "argocd",
            "argocd-secret",
            {"webhook.github.secret": known["webhook"], "server.secretkey": known["session"]},
            labels={"app.kubernetes.io/part-of": "argocd"},
        ),
        _secret(
            "argocd", "delivery-guard-git", {"username": addresses.GUARD_USER, "password": known["guard"]}
        ),
    ]


def _account(user: str, password: str) -> str:
    """A line of the Git server's htpasswd, the same each time."""
    salt = hashlib.sha256(password.encode()).digest()[:8]
    hashed = hashlib.sha1(password.encode() + salt, usedforsecurity=False).digest()
    return f"{user}:{{SSHA}}{base64.b64encode(hashed + salt).decode()}\n"


def _passwords() -> dict[str, str]:
    """Each is made once for the life of a cluster; an older cluster's file may lack some."""
    file = paths.STATE / "passwords.json"
    known: dict[str, str] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    made = {name: secrets.token_urlsafe(24) for name in PASSWORDS if name not in known}
    if made:
        known |= made
        write_private(file, json.dumps(known))
    return known


def _remember_argocd_password() -> None:
    if paths.ARGOCD_PASSWORD.exists():
        return
    encoded = node.kubectl_output(
        "get",
        "secret",
        "argocd-initial-admin-secret",
        "--namespace=argocd",
        "--output=jsonpath={.data.password}",
    )
    write_private(paths.ARGOCD_PASSWORD, base64.b64decode(encoded).decode())


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
    fresh.replace(file)


def _namespace(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _secret(
    namespace: str, name: str, values: dict[str, str], labels: dict[str, str] | None = None
) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
        "stringData": values,
    }


class _Loader(yaml.CSafeLoader):
    """YAML 1.1 gives a lone `=` a meaning of its own; a resource definition lists it among operators."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda _loader, scalar: scalar.value)


def _read(file: Path) -> list[Manifest]:
    return [
        document for document in yaml.load_all(file.read_text(encoding="utf-8"), Loader=_Loader) if document
    ]


def _place(document: Manifest, namespace: str) -> None:
    """Put a namespaced object and the accounts that it speaks of into a namespace."""
    if document["kind"] not in ("CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "Namespace"):
        document["metadata"]["namespace"] = namespace
    for subject in document.get("subjects", []):
        if subject["kind"] == "ServiceAccount":
            subject["namespace"] = namespace


def _containers(document: Manifest) -> Iterable[Manifest]:
    if document["kind"] not in ("Deployment", "StatefulSet", "DaemonSet"):
        return []
    pod = document["spec"]["template"]["spec"]
    return [*pod.get("initContainers", []), *pod["containers"]]


def _apply(documents: Iterable[Manifest]) -> None:
    # JSON, which kubectl takes as well: it is written and read many times faster.
    text = "".join(f"---\n{json.dumps(document)}\n" for document in documents)
    if not text:
        return
    node.kubectl(
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=crm-cluster",
        "--filename=-",
        stdin=text,
    )
