"""Nothing here touches a cluster that runs on this machine: every path of it leads into the test's own folder."""

import os
from pathlib import Path

import pytest

from cluster import addresses, cleanup, node, paths
from cluster.tests.programs import Programs


@pytest.fixture(autouse=True)
def _own_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, run, cache = (tmp_path / name for name in ("state", "run", "cache"))
    cache.mkdir()
    monkeypatch.setattr(paths, "STATE", state)
    monkeypatch.setattr(paths, "RUN", run)
    monkeypatch.setattr(paths, "CACHE", cache)
    monkeypatch.setattr(paths, "LOGS", cache / "logs")
    monkeypatch.setattr(paths, "BIN", cache / "bin")
    monkeypatch.setattr(paths, "KUBECONFIG", state / "kubeconfig")
    monkeypatch.setattr(paths, "GIT_CREDENTIALS", state / "git-credentials")
    monkeypatch.setattr(paths, "ARGOCD_PASSWORD", state / "argocd-password")
    monkeypatch.setattr(paths, "CONTAINERD_SOCKET", run / "containerd.sock")
    monkeypatch.setattr(cleanup, "KUBERNETES_FILES", (tmp_path / "etc-kubernetes", tmp_path / "kubelet"))
    monkeypatch.setattr(cleanup, "CONTROL_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(cleanup, "KERNEL", tmp_path / "sys")
    monkeypatch.setattr(cleanup, "NETWORK_NAMESPACES", tmp_path / "netns")
    monkeypatch.setattr(cleanup, "MOUNTS", tmp_path / "mounts")
    # By this a kubelet is found that no record names; a real one must not be.
    monkeypatch.setattr(addresses, "NODE_ADDRESS", "192.0.2.1")
    monkeypatch.setattr(node, "INITIALISED", state / "initialised")
    monkeypatch.setattr(node, "ADMIN_KUBECONFIG", tmp_path / "etc-kubernetes" / "admin.conf")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("CRM_CLUSTER_CACHE", raising=False)


@pytest.fixture
def state() -> Path:
    """The state folder of a cluster that exists."""
    paths.STATE.mkdir()
    return paths.STATE


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
    """Small scripts under the names of real programs; they come first on PATH."""
    made = Programs(tmp_path / "programs")
    monkeypatch.setenv("PATH", f"{made.folder}:{os.environ['PATH']}")
    return made
