"""One Kubernetes node on this machine: containerd and the kubelet as processes, everything else as pods."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cluster import addresses, cleanup, go_tools, image_builder, paths, processes, shell
from cluster.errors import ClusterError
from cluster.progress import step
from cluster.templates import filled
from cluster.waiting import until

KUBELET_CONFIG = Path("/var/lib/kubelet/config.yaml")
KUBELET_KUBECONFIG = Path("/etc/kubernetes/kubelet.conf")
ADMIN_KUBECONFIG = Path("/etc/kubernetes/admin.conf")
INITIALISED = paths.STATE / "initialised"
CONTAINERD_ROOT = paths.CACHE / "containerd"
IMPORTED = CONTAINERD_ROOT / "imported"
CNI_CONFIG = paths.STATE / "cni"
# Seconds that these took on two cores (docs/first-run.md).
IMPORT, START, READY = 22, 6, 9
DISK_KEPT = 1
"""Per cent of a disk: with less free, the kubelet reports DiskPressure and lets no pod start."""


def runs() -> bool:
    """Whether the node runs as this checkout makes it, as far as one sees without asking it."""
    return _initialised_as(go_tools.key(go_tools.group_of("kubelet"))) and processes.running("kubelet")


def expected(*, new_images: bool) -> float:
    """About how many seconds the node takes."""
    return (0 if runs() else START + READY) + (IMPORT if new_images or not IMPORTED.exists() else 0)


def up(layout: Path) -> None:
    """A Ready node with the images of `layout`; what a killed run left is used when whole and removed when not."""
    key = go_tools.key(go_tools.group_of("kubelet"))
    if _initialised_as(key):
        with step("Start what does not run of the node"):
            _start_containerd()
            import_images(layout)
            _start_kubelet()
            whole = _answers(within=90)
        if whole:
            return
    with step("Clean what an earlier run left"):
        cleanup.everything()
    paths.STATE.mkdir(parents=True, mode=0o755)
    with step("Start containerd with the images", 0 if IMPORTED.exists() else IMPORT):
        cleanup.remember_settings()
        _pin_network_namespaces()
        _network()
        _start_containerd()
        import_images(layout)
    with step("Start Kubernetes", START):
        _initialise()
        until(_api_ready, what="an answer of the API server", seconds=120)
        shutil.copy2(ADMIN_KUBECONFIG, paths.KUBECONFIG)
        INITIALISED.write_text(key, encoding="utf-8")
    with step("Wait for the node and its network", READY), full_disk_named():
        kubectl("wait", "--for=condition=Ready", f"node/{addresses.NODE_NAME}", "--timeout=120s")
        kube_proxy = ("--namespace=kube-system", "daemonset/kube-proxy")
        # kubeadm asks for none: new pods would be reached late while others take all.
        kubectl("set", "resources", *kube_proxy, "--requests=cpu=10m")
        kubectl("rollout", "status", *kube_proxy, "--timeout=120s")


def must_be_local(command: str, project: str) -> None:
    """Raise ClusterError where `python -m cluster <command>` has no local cluster to add a project to."""
    if existing_cluster():
        raise ClusterError(
            f"`python -m cluster {command}` is for the local cluster; on your own, "
            f"install {project} as its documentation says."
        )
    if not paths.KUBECONFIG.exists():
        raise ClusterError("There is no local cluster; `python -m cluster up` makes one.")


def kubectl(*arguments: str | Path, stdin: str | None = None, log: str = "kubectl") -> None:
    """Run kubectl against the cluster that `up` works on."""
    shell.run([go_tools.built("kubectl"), f"--kubeconfig={kubeconfig()}", *arguments], log=log, stdin=stdin)


def kubectl_output(*arguments: str) -> str:
    """What a kubectl command prints."""
    return shell.output([go_tools.built("kubectl"), f"--kubeconfig={kubeconfig()}", *arguments])


def kubeconfig() -> Path:
    """Where KUBECONFIG names an existing cluster, that one; else our own."""
    return Path(os.environ["KUBECONFIG"]) if existing_cluster() else paths.KUBECONFIG


def existing_cluster() -> bool:
    """Whether the person works with a cluster that is not ours."""
    named = os.environ.get("KUBECONFIG", "")
    if os.pathsep in named:
        raise ClusterError(
            f"KUBECONFIG names several files ({named}); name the one of the cluster that is meant."
        )
    return bool(named) and Path(named).resolve() != paths.KUBECONFIG.resolve()


@contextmanager
def full_disk_named() -> Iterator[None]:
    """Where a wait for something Ready ends in vain while a node reports DiskPressure, ClusterError says that."""
    try:
        yield
    except ClusterError as error:
        full = []
        with suppress(ClusterError):  # nobody may answer any more
            full = [
                item["metadata"]["name"]
                for item in json.loads(kubectl_output("get", "nodes", "--output=json"))["items"]
                for condition in item["status"]["conditions"]
                if (condition["type"], condition["status"]) == ("DiskPressure", "True")
            ]
        if not full:
            raise
        place = "there" if existing_cluster() else f"under /var/lib or {paths.CACHE}"
        raise ClusterError(
            f"The node {full[0]} reports DiskPressure: its disk is nearly full, and no pod starts there; "
            f"free some {place}, and repeat five minutes later."
        ) from error


def _initialised_as(key: str) -> bool:
    return (
        INITIALISED.exists() and INITIALISED.read_text(encoding="utf-8") == key and ADMIN_KUBECONFIG.exists()
    )


def _pin_network_namespaces() -> None:
    """Make the folder of network namespaces a mount of its own.

    `ip netns`, the first time that anybody uses it, mounts the folder over itself; done later, that would hide the
    namespaces of running pods, which then could never end (seen 2026-11-23).
    """
    folder = cleanup.NETWORK_NAMESPACES
    folder.mkdir(exist_ok=True)
    if str(folder) not in cleanup.mount_points():
        cleanup.pinned_namespaces().touch()
        shell.run(["mount", "--bind", folder, folder], log="network")
        shell.run(["mount", "--make-shared", folder], log="network")


def _network() -> None:
    """A bridge that carries the node's own address and the route of the services.

    Without that route a packet to a service address, sent before kube-proxy has its rules, would leave the machine, and
    some gateway would answer it.
    """
    bridge = addresses.NODE_BRIDGE
    shell.run(["ip", "link", "add", bridge, "type", "bridge"], log="network")
    shell.run(["ip", "address", "add", f"{addresses.NODE_ADDRESS}/24", "dev", bridge], log="network")
    shell.run(["ip", "link", "set", bridge, "up"], log="network")
    shell.run(["ip", "route", "add", addresses.SERVICE_SUBNET, "dev", bridge], log="network")
    CNI_CONFIG.mkdir(exist_ok=True)
    network = filled(
        "10-crm.conflist",
        POD_BRIDGE=addresses.POD_BRIDGE,
        POD_SUBNET=addresses.POD_SUBNET,
        STATE=paths.STATE,
    )
    (CNI_CONFIG / "10-crm.conflist").write_text(network, encoding="utf-8")


def _start_containerd() -> None:
    config = paths.STATE / "containerd.toml"
    settings = filled(
        "containerd.toml",
        ROOT=CONTAINERD_ROOT,
        RUN=paths.RUN,
        SOCKET=paths.CONTAINERD_SOCKET,
        PAUSE=image_builder.kubeadm_image_names()["pause"],
        CNI_CONFIG=CNI_CONFIG,
    )
    config.write_text(settings, encoding="utf-8")
    processes.start("containerd", ["containerd", f"--config={config}"])
    until(lambda: shell.succeeds([*ctr(), "version"]), what="an answer of containerd", seconds=30)


def ctr() -> list[str]:
    """containerd's own client on our containerd."""
    return ["ctr", f"--address={paths.CONTAINERD_SOCKET}", "--namespace=k8s.io"]


def import_images(layout: Path, done: Path = IMPORTED) -> None:
    """Give containerd the images of a layout, once; `done` remembers which."""
    if done.exists() and done.read_text(encoding="utf-8") == layout.name:
        return
    archive = paths.CACHE / "import.tar"
    shell.run(["tar", "--create", f"--file={archive}", f"--directory={layout}", "."], log="import")
    shell.run([*ctr(), "images", "import", archive], log="import")
    archive.unlink()
    done.write_text(layout.name, encoding="utf-8")


def _initialise() -> None:
    config = paths.STATE / "kubeadm.yaml"
    settings = filled(
        "kubeadm.yaml",
        NODE_NAME=addresses.NODE_NAME,
        NODE_ADDRESS=addresses.NODE_ADDRESS,
        API_PORT=addresses.API_PORT,
        POD_SUBNET=addresses.POD_SUBNET,
        SERVICE_SUBNET=addresses.SERVICE_SUBNET,
        CONTAINERD_SOCKET=paths.CONTAINERD_SOCKET,
        STATE=paths.STATE,
        DISK_KEPT=DISK_KEPT,
        VERSION=go_tools.module_version("kubernetes", "k8s.io/kubernetes"),
    )
    config.write_text(settings, encoding="utf-8")
    kubeadm = go_tools.built("kubeadm")
    # The phases that `kubeadm init` runs, with the kubelet started by us where it would ask an init system.
    _phases(
        kubeadm, config, "certs all", "kubeconfig all", "etcd local", "control-plane all", "kubelet-start"
    )
    _start_kubelet()
    until(_api_ready, what="an answer of the API server", seconds=120)
    _phases(
        kubeadm,
        config,
        "upload-config all",
        "mark-control-plane",
        "bootstrap-token",
        "kubelet-finalize all",
        "addon all",
    )


def _phases(kubeadm: Path, config: Path, *phases: str) -> None:
    for phase in phases:
        shell.run([kubeadm, "init", "phase", *phase.split(), f"--config={config}"], log="kubeadm")


def _start_kubelet() -> None:
    processes.start(
        "kubelet",
        [
            go_tools.built("kubelet"),
            f"--config={KUBELET_CONFIG}",
            f"--kubeconfig={KUBELET_KUBECONFIG}",
            f"--hostname-override={addresses.NODE_NAME}",
            f"--node-ip={addresses.NODE_ADDRESS}",
        ],
    )


def _api_ready() -> bool:
    command = [str(go_tools.built("kubectl")), f"--kubeconfig={ADMIN_KUBECONFIG}", "get", "--raw=/readyz"]
    return shell.succeeds(command, timeout=5)


def _answers(*, within: float) -> bool:
    try:
        until(_api_ready, what="an answer of the API server", seconds=within)
        kubectl("wait", "--for=condition=Ready", f"node/{addresses.NODE_NAME}", f"--timeout={within:.0f}s")
    except ClusterError:
        return False
    return True
