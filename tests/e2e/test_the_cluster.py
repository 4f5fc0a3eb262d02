"""The local cluster recovers from what may happen to it, and leaves nothing behind. Runs last: it ends the cluster."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import paths, shell
from cluster.waiting import until
from tests.e2e import machine

pytestmark = pytest.mark.e2e

BEFORE = paths.CHECKOUT / "build" / "machine-before.json"


def cluster(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cluster", command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (
        f"cluster {command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    )


def test_up_works_after_a_crash_of_the_kubelet() -> None:
    kubelet = json.loads((paths.RUN / "kubelet.json").read_text(encoding="utf-8"))["pid"]
    os.kill(kubelet, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{kubelet}").exists(), what="the end of the kubelet", seconds=20)
    with pytest.raises(AssertionError, match="Not Ready: kubelet"):
        cluster("status")

    cluster("up")

    cluster("status")
    assert json.loads((paths.RUN / "kubelet.json").read_text(encoding="utf-8"))["pid"] != kubelet


def test_up_works_after_an_up_that_was_killed_and_down_leaves_the_machine_as_it_was() -> None:
    cluster("down")
    before = json.loads(BEFORE.read_text(encoding="utf-8")) if BEFORE.exists() else machine.traces()
    kubeadm = shell.log_file("kubeadm")
    kubeadm.unlink(missing_ok=True)

    killed = subprocess.Popen([sys.executable, "-m", "cluster", "up"], stdout=subprocess.DEVNULL)
    until(kubeadm.exists, what="the start of kubeadm", seconds=120)
    until(
        lambda: "kubelet-start" in kubeadm.read_text(encoding="utf-8"), what="the kubelet's start", seconds=60
    )
    killed.kill()
    assert killed.wait() == -signal.SIGKILL

    cluster("up")
    cluster("status")
    assert machine.difference(before, machine.traces()), (
        "a running cluster leaves traces, so the comparison sees them"
    )

    cluster("down")
    assert machine.difference(before, machine.traces()) == {}
