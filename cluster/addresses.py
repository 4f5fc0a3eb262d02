"""Where the parts of the local cluster are found. Everything a person uses is bound to loopback only."""

from __future__ import annotations

NODE_NAME = "crm-node"
NODE_BRIDGE = "crm0"
NODE_ADDRESS = "10.245.0.1"
POD_BRIDGE = "crm1"
POD_SUBNET = "10.244.0.0/16"
SERVICE_SUBNET = "10.96.0.0/16"

API_PORT = 6443
HTTP_PORT = 30080
ARGOCD_PORT = 30081
TRAEFIK_PORT = 30082
"""Ping and metrics of the router, on the node's own address."""
ISTIO_PORT = 30085
ISTIO_ADMIN_PORT = 30086
"""Envoy's own pages; the kubelet asks there whether the gateway is ready."""
PROMETHEUS_PORT = 30090
ALERTMANAGER_PORT = 30093
GIT_PORT = 30300
REGISTRY_PORT = 30500

HTTP = f"http://127.0.0.1:{HTTP_PORT}"
ISTIO = f"http://127.0.0.1:{ISTIO_PORT}"
ARGOCD = f"127.0.0.1:{ARGOCD_PORT}"
PROMETHEUS = f"http://127.0.0.1:{PROMETHEUS_PORT}"
ALERTMANAGER = f"http://127.0.0.1:{ALERTMANAGER_PORT}"
GIT = f"http://127.0.0.1:{GIT_PORT}/crm.git"
GIT_IN_CLUSTER = "http://git.forge.svc/crm.git"
GIT_USER = "crm"
GUARD_USER = "guard"
"""May push to the branch environments only; the Git server's hook `update` knows the name."""
REGISTRY = f"localhost:{REGISTRY_PORT}"
REGISTRY_IN_CLUSTER = "http://registry.forge.svc:5000"

# Ports of the control plane and of the node's own agents; `up` refuses to start when somebody else has one.
NODE_PORTS = (2379, 2380, API_PORT, 10248, 10249, 10250, 10256, 10257, 10259)
HOST_PORTS = (
    HTTP_PORT,
    ARGOCD_PORT,
    TRAEFIK_PORT,
    PROMETHEUS_PORT,
    ALERTMANAGER_PORT,
    GIT_PORT,
    REGISTRY_PORT,
)
ISTIO_PORTS = (ISTIO_PORT, ISTIO_ADMIN_PORT)
"""Taken only where Istio is asked for."""
