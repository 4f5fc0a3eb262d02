"""Leaves the machine as it was: no process, mount, control group, interface, firewall rule or setting of ours."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from cluster import addresses, paths, processes, shell
from cluster.errors import ClusterError

KUBERNETES_FILES = (Path("/etc/kubernetes"), Path("/var/lib/kubelet"))
CONTROL_GROUPS = Path("/sys/fs/cgroup")
# The kernel settings that the kubelet, kube-proxy and the network plugins change.
SETTINGS = (
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
    "net/bridge/bridge-nf-call-iptables",
    "net/netfilter/nf_conntrack_max",
    "net/netfilter/nf_conntrack_tcp_be_liberal",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
NETWORK_NAMESPACES = Path("/run/netns")
KERNEL = Path("/proc/sys")
MOUNTS = Path("/proc/self/mounts")


def everything() -> None:
    """Remove what any run of ours, whole or killed, has left. Repeating it changes nothing.

    Pods, chains and control groups have the same names in every Kubernetes: without files of ours nothing is touched.
    """
    if not ours():
        return
    processes.stop("kubelet")
    _end_leftovers()
    processes.stop("containerd")
    _unmount()
    _control_groups()
    _interfaces()
    _firewall()
    _settings()
    for folder in (*KUBERNETES_FILES, paths.RUN, paths.STATE):
        shutil.rmtree(folder, ignore_errors=True)


def ours() -> bool:
    """Whether the Kubernetes files on this machine come from us: then our own lie beside them."""
    return paths.STATE.exists() or paths.RUN.exists()


def remember_settings() -> None:
    """Write down the kernel settings as they are before anything of ours starts."""
    values = {name: text for name in SETTINGS if (text := _setting(name)) is not None}
    _remembered().write_text(json.dumps(values), encoding="utf-8")


def _end_leftovers() -> None:
    """Containers first, then their shims, then a kubelet or containerd that no record names any more."""
    containers = {pid for group in _groups() for pid in _members(group)}
    shims = processes.with_words("containerd-shim", str(paths.CONTAINERD_SOCKET))
    strays = processes.with_words("/kubelet ", f"--node-ip={addresses.NODE_ADDRESS}")
    processes.end(sorted(strays), grace=3)
    processes.end(sorted(containers), grace=1)
    processes.end(sorted(shims), grace=1)
    daemons = processes.with_words("containerd", f"--config={paths.STATE}")
    processes.end(sorted(daemons), grace=3)


def _unmount() -> None:
    """Ours only; once more when somebody's `ip netns` has laid a mount over the namespaces of our pods."""
    for _ in range(2):
        for point in _mounts():
            subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)
        if pinned_namespaces().exists() or any(map(_is_pod_network, _mounts())):
            subprocess.run(["umount", "--lazy", NETWORK_NAMESPACES], check=False, capture_output=True)
    if _mounts():
        # What is mounted below a folder would be deleted with it.
        raise ClusterError(
            f"{_mounts()[0]} is still mounted and nothing was deleted; end what uses it and repeat."
        )
    for left in NETWORK_NAMESPACES.glob("cni-*"):
        left.unlink()


def pinned_namespaces() -> Path:
    """Is there while the mount over the folder of network namespaces is ours."""
    return paths.STATE / "pinned-namespaces"


def _mounts() -> list[str]:
    """Our mount points, inner ones first."""
    folders = (paths.RUN, paths.STATE, paths.CACHE / "containerd", *KUBERNETES_FILES)
    mine = [
        point
        for point in mount_points()
        if any(Path(point).is_relative_to(folder) for folder in folders) or _is_pod_network(point)
    ]
    return sorted(mine, key=len, reverse=True)


def mount_points() -> list[str]:
    """Where anything is mounted on this machine."""
    lines = MOUNTS.read_text(encoding="utf-8").splitlines()
    return [line.split()[1].encode().decode("unicode_escape") for line in lines]


def _is_pod_network(point: str) -> bool:
    return point.startswith(("/run/netns/cni-", "/var/run/netns/cni-"))


def _groups() -> list[Path]:
    return [*CONTROL_GROUPS.glob("*/kubepods*"), *CONTROL_GROUPS.glob("kubepods*")]


def _members(group: Path) -> list[int]:
    members = []
    for file in group.rglob("cgroup.procs"):
        with contextlib.suppress(OSError):  # the group went meanwhile
            members += [int(pid) for pid in file.read_text(encoding="utf-8").split()]
    return members


def _control_groups() -> None:
    for group in _groups():
        inner = [path for path in group.rglob("*") if path.is_dir()]
        for folder in sorted([group, *inner], key=lambda path: -len(path.parts)):
            _remove_group(folder)


def _remove_group(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError as error:
        with shell.log_file("cleanup").open("a", encoding="utf-8") as log:
            log.write(f"{folder}: {error}\n")


def _interfaces() -> None:
    listed = json.loads(shell.output(["ip", "-json", "link"]))
    bridges = {addresses.NODE_BRIDGE, addresses.POD_BRIDGE}
    for link in listed:
        if link["ifname"] in bridges or link.get("master") in bridges:
            subprocess.run(["ip", "link", "delete", link["ifname"]], check=False, capture_output=True)


def _firewall() -> None:
    """Take our chains, and the rules that jump to them, out of every table; leave all other rules alone."""
    for family in ("iptables", "ip6tables"):
        if shutil.which(family) is None:
            continue
        for table in ("nat", "filter", "mangle"):
            _clean_table(family, table)


def _clean_table(family: str, table: str) -> None:
    saved = subprocess.run([family, "-t", table, "-S"], check=False, capture_output=True, text=True).stdout
    chains = re.findall(r"^-N ((?:KUBE-|CNI-)\S*)", saved, re.MULTILINE)
    for line in re.findall(r"^-A (?!KUBE-|CNI-).* -j (?:KUBE-|CNI-)\S+$", saved, re.MULTILINE):
        subprocess.run(
            [family, "-t", table, *shlex.split(line.replace("-A ", "-D ", 1))],
            check=False,
            capture_output=True,
        )
    for verb in ("-F", "-X"):
        for chain in chains:
            subprocess.run([family, "-t", table, verb, chain], check=False, capture_output=True)


def _settings() -> None:
    try:
        values = json.loads(_remembered().read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return  # nothing of ours starts before they are written down as a whole
    for name, value in values.items():
        if _setting(name) not in (None, value):
            (KERNEL / name).write_text(value, encoding="utf-8")


def _setting(name: str) -> str | None:
    """None where this kernel has no such setting."""
    file = KERNEL / name
    return file.read_text(encoding="utf-8").strip() if file.exists() else None


def _remembered() -> Path:
    return paths.STATE / "settings.json"
