"""Where the local cluster keeps its things. Nothing of it lies in the checkout."""

from __future__ import annotations

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
SOURCE = Path(__file__).resolve().parent

STATE = Path("/var/lib/crm-cluster")
"""What one running cluster owns; `down` removes it."""

RUN = Path("/run/crm-cluster")
"""Sockets and process records of the running cluster; `down` removes it."""

CACHE = Path(os.environ.get("CRM_CLUSTER_CACHE", "/var/cache/crm-cluster"))
"""Binaries and images, each under a key of what it was made from; survives `down`."""

LOGS = CACHE / "logs"
BIN = CACHE / "bin"
"""Links to every tool of the current checkout: put this folder on PATH."""

KUBECONFIG = STATE / "kubeconfig"
GIT_CREDENTIALS = STATE / "git-credentials"
ARGOCD_PASSWORD = STATE / "argocd-password"
CONTAINERD_SOCKET = RUN / "containerd.sock"
