"""What is ours goes, what is not stays. Interfaces and firewall rules are real ones, in a network of their own."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster import addresses, cleanup, paths, processes
from cluster.errors import ClusterError
from cluster.tests.namespaces import available, in_own_network
from cluster.tests.programs import Programs

own_network = pytest.mark.skipif(not available(), reason="needs a network namespace, which root can make")


@own_network
@pytest.mark.parametrize("family", ["iptables", "ip6tables"])
def test_our_chains_and_the_rules_that_lead_to_them_go_and_every_other_rule_stays(family: str) -> None:
    def story() -> None:
        given(family, "nat", "-N KUBE-SERVICES", "-N KUBE-SVC-X", "-N CNI-HOSTPORT-DNAT", "-N CNI-0a1b")
        given(
            family, "nat", "-A PREROUTING -m comment --comment", "kubernetes service portals", "KUBE-SERVICES"
        )
        given(family, "nat", "-A KUBE-SERVICES -p tcp -j KUBE-SVC-X", "-A KUBE-SVC-X -j CNI-0a1b")
        given(family, "nat", "-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT")
        given(family, "nat", "-A POSTROUTING -m comment --comment", 'name: "crm" id: "x y"', "CNI-0a1b")
        given(family, "filter", "-N KUBE-FIREWALL", "-A INPUT -j KUBE-FIREWALL", "-A KUBE-FIREWALL -j DROP")
        given(family, "mangle", "-N KUBE-KUBELET-CANARY")

        given(family, "nat", "-N DOCKER", "-A PREROUTING -p tcp --dport 81 -j DOCKER")
        given(family, "filter", "-N MY-KUBE-LIKE", "-A INPUT -p tcp --dport 22 -j MY-KUBE-LIKE")
        given(
            family, "filter", "-A INPUT -p tcp --dport 6443 -m comment --comment", "kubernetes of a neighbour"
        )

        cleanup._firewall()

        assert rules(family, "nat") == ["-N DOCKER", "-A PREROUTING -p tcp -m tcp --dport 81 -j DOCKER"]
        assert rules(family, "filter") == [
            "-N MY-KUBE-LIKE",
            "-A INPUT -p tcp -m tcp --dport 22 -j MY-KUBE-LIKE",
            '-A INPUT -p tcp -m tcp --dport 6443 -m comment --comment "kubernetes of a neighbour" -j ACCEPT',
        ]
        assert rules(family, "mangle") == []

    in_own_network(story)


@own_network
def test_a_clean_firewall_stays_as_it_is() -> None:
    def story() -> None:
        before = rules("iptables", "nat")
        cleanup._firewall()
        assert rules("iptables", "nat") == before

    in_own_network(story)


def given(family: str, table: str, *written: str) -> None:
    """Make rules; one whose comment holds blanks comes in three parts: rule, comment, target."""
    if len(written) == 3 and written[0].endswith("--comment"):
        commands = [[*written[0].split(), written[1], "-j", written[2]]]
    elif len(written) == 2 and written[0].endswith("--comment"):
        commands = [[*written[0].split(), written[1], "-j", "ACCEPT"]]
    else:
        commands = [line.split() for line in written]
    for words in commands:
        subprocess.run([family, "-t", table, *words], check=True)


def rules(family: str, table: str) -> list[str]:
    listed = subprocess.run([family, "-t", table, "-S"], check=True, capture_output=True, text=True)
    return [line for line in listed.stdout.splitlines() if not line.startswith("-P ")]


def test_a_machine_without_iptables_has_nothing_to_clean(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(programs.folder))
    cleanup._firewall()


@own_network
def test_our_bridges_and_what_hangs_on_them_go_and_other_interfaces_stay() -> None:
    def story() -> None:
        for bridge in ("crm0", "crm1", "docker0"):
            ip(f"link add {bridge} type bridge")
        ip("link add veth-pod type veth peer name pod")
        ip("link set veth-pod master crm1")
        ip("link add veth-other type veth peer name other")
        ip("link set veth-other master docker0")

        cleanup._interfaces()

        listed = json.loads(subprocess.run(["ip", "-json", "link"], check=True, capture_output=True).stdout)
        assert sorted(link["ifname"] for link in listed if not link["ifname"].startswith(KERNELS_OWN)) == [
            "docker0",
            "other",
            "veth-other",
        ]
        cleanup._interfaces()

    in_own_network(story)


# Some kernels give every new network these.
KERNELS_OWN = ("lo", "tunl", "gre", "gretap", "erspan", "ip_vti", "ip6_vti", "sit", "ip6tnl", "ip6gre")


def ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True)


def mounted(*points: str | Path) -> None:
    lines = [f"tmpfs {str(point).replace(' ', chr(92) + '040')} tmpfs rw 0 0" for point in points]
    cleanup.MOUNTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_our_mounts_are_taken_inner_ones_first() -> None:
    kubelet = cleanup.KUBERNETES_FILES[1]
    ours = [
        paths.RUN / "containerd" / "rootfs",
        paths.STATE,
        kubelet / "pods" / "a" / "volume of a name with blanks",
        paths.CACHE / "containerd" / "tmpmounts" / "x",
        Path("/run/netns/cni-made-by-a-test"),
    ]
    mounted("/", "/proc", *ours)
    found = cleanup._mounts()
    assert sorted(found) == sorted(map(str, ours))
    assert found == sorted(found, key=len, reverse=True)


def test_mounts_whose_names_only_begin_like_ours_stay() -> None:
    kubelet = cleanup.KUBERNETES_FILES[1]
    mounted(f"{paths.STATE}-of-somebody", f"{paths.RUN}2", f"{kubelet}-backup", paths.CACHE, "/run/netns/vpn")
    assert cleanup._mounts() == []


# Takes the uppermost mount at a point away, as umount does; what a later mount over its folder covers is out of reach.
UMOUNT = """
line() { grep -n " $1 " "$mounts" | tail -1 | cut -d: -f1; }
found=$(line "$2"); cover=$(line "${2%/*}")
[ -n "$found" ] && [ "$found" -ge "${cover:-0}" ] && sed -i "${found}d" "$mounts"
"""


@pytest.fixture
def umount(programs: Programs) -> Programs:
    programs.add("umount", f"mounts={cleanup.MOUNTS}{UMOUNT}")
    return programs


def test_each_of_our_mounts_is_unmounted_and_no_other(umount: Programs) -> None:
    mounted("/home", paths.STATE / "a", paths.STATE / "a" / "b", "/run/netns")
    cleanup._unmount()
    assert umount.calls("umount") == [f"--lazy {paths.STATE / 'a' / 'b'}", f"--lazy {paths.STATE / 'a'}"]
    assert cleanup.mount_points() == ["/home", "/run/netns"]


def test_the_mount_over_the_network_namespaces_goes_when_it_is_ours(state: Path, umount: Programs) -> None:
    cleanup.pinned_namespaces().touch()
    mounted("/home", cleanup.NETWORK_NAMESPACES)
    cleanup._unmount()
    assert cleanup.mount_points() == ["/home"]


def test_namespaces_of_pods_go_when_somebody_has_laid_a_mount_over_them(
    umount: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespaces = cleanup.NETWORK_NAMESPACES
    monkeypatch.setattr(cleanup, "_is_pod_network", lambda point: point.startswith(f"{namespaces}/cni-"))
    namespaces.mkdir()
    for name in ("cni-1", "cni-2", "vpn"):
        (namespaces / name).touch()
    # `ip netns` repeats, in the mount that it lays over the folder, what it finds there.
    mounted(namespaces / "cni-1", namespaces / "cni-2", namespaces, namespaces / "cni-1")
    cleanup._unmount()
    assert cleanup.mount_points() == []
    assert [file.name for file in namespaces.iterdir()] == ["vpn"]


def test_nothing_is_deleted_below_a_mount_that_stays(state: Path, programs: Programs) -> None:
    programs.add("umount", "exit 32")
    volume = cleanup.KUBERNETES_FILES[1] / "pods" / "volume"
    volume.mkdir(parents=True)
    (volume / "data").touch()
    mounted(volume)
    with pytest.raises(ClusterError, match="still mounted and nothing was deleted"):
        cleanup.everything()
    assert (volume / "data").exists()
    assert state.exists()


def test_control_groups_of_pods_are_removed_and_others_stay() -> None:
    # A folder stands for a group: rmdir is what removes both.
    pods = cleanup.CONTROL_GROUPS / "memory" / "kubepods.slice" / "burstable" / "pod1"
    unified = cleanup.CONTROL_GROUPS / "kubepods" / "pod2"
    other = cleanup.CONTROL_GROUPS / "memory" / "system"
    for group in (pods, unified, other):
        group.mkdir(parents=True)
    cleanup._control_groups()
    assert sorted(path.name for path in cleanup.CONTROL_GROUPS.rglob("*")) == ["memory", "system"]


def test_a_control_group_that_is_still_in_use_is_written_down() -> None:
    for name in ("a", "b"):
        (cleanup.CONTROL_GROUPS / "kubepods" / name / "busy").mkdir(parents=True)
        (cleanup.CONTROL_GROUPS / "kubepods" / name / "busy" / "x").touch()
    cleanup._control_groups()
    written = (paths.LOGS / "cleanup.log").read_text()
    assert all(f"kubepods/{name}/busy: " in written for name in ("a", "b"))


def test_processes_of_pods_are_found_in_every_control_group() -> None:
    for controller, pid in (("cpu", "1234567"), ("memory", "1234568")):
        group = cleanup.CONTROL_GROUPS / controller / "kubepods" / "pod"
        group.mkdir(parents=True)
        (group / "cgroup.procs").write_text(f"{pid}\n")
    members = [pid for group in cleanup._groups() for pid in cleanup._members(group)]
    assert sorted(members) == [1234567, 1234568]


def test_a_control_group_that_cannot_be_read_any_more_is_passed_over() -> None:
    pods = cleanup.CONTROL_GROUPS / "kubepods"
    (pods / "gone" / "cgroup.procs").mkdir(parents=True)
    (pods / "pod").mkdir()
    (pods / "pod" / "cgroup.procs").write_text("11\n")
    assert cleanup._members(pods) == [11]


def test_leftovers_are_containers_shims_and_daemons_that_no_record_names(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = cleanup.CONTROL_GROUPS / "kubepods"
    group.mkdir(parents=True)
    (group / "cgroup.procs").write_text("11\n12\n")
    lines = {
        21: f"/usr/bin/containerd-shim-runc-v2 -address {paths.CONTAINERD_SOCKET}",
        22: "/usr/bin/containerd-shim-runc-v2 -address /run/containerd/containerd.sock",
        31: f"/cache/go/kubelet --node-ip={addresses.NODE_ADDRESS}",
        32: "/usr/bin/kubelet --node-ip=192.168.0.7",
        41: f"containerd --config={state}/containerd.toml",
        42: "containerd --config=/etc/containerd/config.toml",
        51: f"vi notes-on-kubelet-{addresses.NODE_ADDRESS}",
    }
    ended: list[int] = []
    monkeypatch.setattr(processes, "command_lines", lambda: iter(lines.items()))
    monkeypatch.setattr(processes, "end", lambda pids, **_grace: ended.extend(pids))
    cleanup._end_leftovers()
    assert sorted(ended) == [11, 12, 21, 31, 41]


def setting(name: str, value: str) -> Path:
    file = cleanup.KERNEL / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{value}\n", encoding="utf-8")
    return file


def test_kernel_settings_are_as_they_were_before(state: Path) -> None:
    forward, panic = setting("net/ipv4/ip_forward", "0"), setting("kernel/panic", "0")
    other = setting("net/ipv4/tcp_timestamps", "1")
    cleanup.remember_settings()
    for file in (forward, panic, other):
        file.write_text("7\n", encoding="utf-8")
    cleanup._settings()
    assert (forward.read_text(), panic.read_text()) == ("0", "0")
    assert other.read_text() == "7\n"


def test_a_setting_that_is_as_before_is_not_written(state: Path) -> None:
    forward = setting("net/ipv4/ip_forward", "1")
    cleanup.remember_settings()
    cleanup._settings()
    assert forward.read_text() == "1\n"


def test_a_setting_that_came_or_went_with_a_kernel_module_is_left_alone(state: Path) -> None:
    bridge = setting("net/bridge/bridge-nf-call-iptables", "0")
    cleanup.remember_settings()
    bridge.unlink()
    new = setting("vm/overcommit_memory", "1")
    cleanup._settings()
    assert not bridge.exists()
    assert new.read_text() == "1\n"


@pytest.mark.parametrize("text", ["", '{"net/ipv4/ip_'])
def test_settings_whose_writing_was_killed_need_no_restoring(state: Path, text: str) -> None:
    (state / "settings.json").write_text(text)
    forward = setting("net/ipv4/ip_forward", "1")
    cleanup._settings()
    assert forward.read_text() == "1\n"


def test_where_nothing_was_remembered_nothing_is_restored() -> None:
    cleanup._settings()


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps of `everything`, written down instead of taken."""
    steps: list[str] = []

    def instead(name: str) -> Callable[[], None]:
        return lambda: steps.append(name)

    for name in ("_end_leftovers", "_unmount", "_control_groups", "_interfaces", "_firewall", "_settings"):
        monkeypatch.setattr(cleanup, name, instead(name))
    monkeypatch.setattr(processes, "stop", lambda name: steps.append(f"stop {name}"))
    return steps


def test_a_cluster_of_ours_goes_with_its_files(state: Path, done: list[str]) -> None:
    for folder in (*cleanup.KUBERNETES_FILES, paths.RUN):
        folder.mkdir()
        (folder / "file").touch()
    (paths.CACHE / "binary").touch()
    cleanup.everything()
    assert done[0] == "stop kubelet"  # or it would start again what is ended next
    assert done.index("_end_leftovers") < done.index("stop containerd") < done.index("_unmount")
    assert set(done) > {"_control_groups", "_interfaces", "_firewall", "_settings"}
    assert not any(folder.exists() for folder in (*cleanup.KUBERNETES_FILES, paths.RUN, paths.STATE))
    assert (paths.CACHE / "binary").exists()


def test_another_kubernetes_on_the_machine_is_left_alone(done: list[str]) -> None:
    for folder in cleanup.KUBERNETES_FILES:
        folder.mkdir()
        (folder / "file").touch()
    cleanup.everything()
    assert done == []
    assert all((folder / "file").exists() for folder in cleanup.KUBERNETES_FILES)


def test_processes_whose_state_somebody_removed_are_still_ours(done: list[str]) -> None:
    paths.RUN.mkdir()
    cleanup.everything()
    assert "stop kubelet" in done
    assert not paths.RUN.exists()


def test_the_tests_cannot_reach_the_real_cluster(tmp_path: Path) -> None:
    for path in (paths.STATE, paths.RUN, paths.CACHE, *cleanup.KUBERNETES_FILES, cleanup.CONTROL_GROUPS):
        assert path.is_relative_to(tmp_path)
    assert addresses.NODE_ADDRESS == "192.0.2.1"
    assert "KUBECONFIG" not in os.environ
