"""Adds Kyverno to the local cluster: only what is signed starts in an environment (argocd/platform/signed-images.yaml).

A drill asks for it. It is built and installed by no `up`. `admit_only` makes the rule, `admit_all` takes it away.
"""

from __future__ import annotations

import yaml

from cluster import addresses, go_tools, node, paths, platform
from cluster.image_builder import ImageSpec
from cluster.platform import Manifest

NAMESPACE = "kyverno"
POLICY = paths.CHECKOUT / "argocd" / "platform" / "signed-images.yaml"
_KIND = "imagevalidatingpolicies.policies.kyverno.io"
# Upstream's file brings these as well. They report, clean up, and change what exists: nobody asks for that here.
_NOT_USED = ("background-controller", "cleanup-controller", "reports-controller")
_CACHE = "registry"


def up() -> None:
    """Build what is missing, install it, and return when it is Ready. Nothing is refused yet.

    Raises ClusterError where there is no local cluster.
    """
    node.must_be_local("kyverno", "Kyverno")
    go_tools.build(["kyverno", "cosign", "trivy"])
    platform.add("Kyverno", NAMESPACE, all_images(), manifests())


def all_images() -> list[ImageSpec]:
    """The image that only Kyverno needs."""
    return [ImageSpec(_reference(), entrypoint="/usr/local/bin/kyverno", user="65534", tools=("kyverno",))]


def manifests() -> list[Manifest]:
    """Upstream's definitions and its admission controller, which asks the registry under the name that images have."""
    upstream = go_tools.module_dir(*platform.KYVERNO) / "config" / "install-latest-testing.yaml"
    documents = [
        document
        for document in yaml.load_all(upstream.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
        if document and _component(document) not in _NOT_USED
    ]
    for document in documents:
        if document["kind"] == "Deployment":
            _fit(document["spec"]["template"]["spec"])
    return [*documents, _cache_settings()]


def policy(public_key: str) -> Manifest:
    """The rule of production, but by a key (PEM) of the local cluster's own instead of the pipeline's identity."""
    rule: Manifest = yaml.safe_load(POLICY.read_text(encoding="utf-8"))
    (attestor,) = rule["spec"]["attestors"]
    # No public log knows what is signed here.
    attestor["cosign"] = {"key": {"data": public_key}, "ctlog": {"insecureIgnoreTlog": True}}
    return rule


def admit_only(public_key: str) -> None:
    """From now on only images that this key has signed start in an environment; returns when that is so."""
    rule = policy(public_key)
    platform.install([rule])
    name = rule["metadata"]["name"]
    node.kubectl(
        "wait", f"{_KIND}/{name}", "--for=jsonpath={.status.conditionStatus.ready}=true", "--timeout=60s"
    )


def admit_all() -> None:
    """Take the rule away again."""
    name = policy("")["metadata"]["name"]
    node.kubectl("delete", f"{_KIND}/{name}", "--ignore-not-found", "--timeout=60s")


def _component(document: Manifest) -> str:
    labels = document["metadata"].get("labels") or {}
    return str(labels.get("app.kubernetes.io/component", ""))


def _fit(pod: Manifest) -> None:
    """One controller, with our image, and the registry where images say that it is: on the pod's own loopback."""
    # It only removes what a Kyverno of another version has left behind.
    pod.pop("initContainers")
    (container,) = pod["containers"]
    container["image"] = _reference()
    # Upstream looks every 6 to 10 s; somebody waits here.
    for probe in ("startupProbe", "readinessProbe"):
        container[probe].update(initialDelaySeconds=1, periodSeconds=2, failureThreshold=60)
    pod["containers"].append(
        {
            "name": _CACHE,
            "image": "localhost/registry:v3",
            "args": ["serve", "/etc/registry/config.yml"],
            "env": [{"name": "OTEL_TRACES_EXPORTER", "value": "none"}],
            "securityContext": container["securityContext"],
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
            "volumeMounts": [{"name": _CACHE, "mountPath": "/etc/registry"}],
        }
    )
    pod["volumes"].append({"name": _CACHE, "configMap": {"name": _CACHE}})


def _cache_settings() -> Manifest:
    """A registry that passes questions on to the local cluster's, for whom `localhost` means this pod."""
    settings = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"inmemory": {}},
        "http": {"addr": f"127.0.0.1:{addresses.REGISTRY_PORT}"},
        "proxy": {"remoteurl": addresses.REGISTRY_IN_CLUSTER},
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": _CACHE, "namespace": NAMESPACE},
        "data": {"config.yml": yaml.safe_dump(settings)},
    }


def _reference() -> str:
    return f"reg.kyverno.io/kyverno/kyverno:{go_tools.module_version(*platform.KYVERNO)}"
