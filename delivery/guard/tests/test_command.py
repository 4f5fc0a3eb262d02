"""`delivery guard` as it is started: with its variables, until it is told to stop."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from delivery.cli.main import main
from delivery.cli.tests.test_status import serving
from delivery.tests.hosts import Remote
from delivery.tests.kubernetes import Server

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).parents[3]


def test_a_wrong_variable_is_refused_in_one_sentence(
    remote: Remote, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert remote
    monkeypatch.setenv("DELIVERY_PROMOTIONS", "staging>production=1h")
    assert main(["guard"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("delivery: DELIVERY_PROMOTIONS names 'staging>production=1h'")
    assert said.count("\n") == 1


def test_both_loops_run_until_sigterm(remote: Remote, tmp_path: Path) -> None:
    assert main(["init", "--remote", str(remote.path)]) == 0
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    settings = {"DELIVERY_PORT": port, "DELIVERY_PROMOTIONS": "dev>staging=15m"}
    kubeconfig = tmp_path / "kubeconfig"
    with serving(Server({}), kubeconfig):
        process = subprocess.Popen(
            [sys.executable, "-m", "delivery", "guard"],
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **settings, "KUBECONFIG": str(kubeconfig)},
        )
        try:
            metrics = _metrics(f"http://127.0.0.1:{port}/metrics")
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=30)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 0
    assert 'delivery_deployments_total{environment="production"} 0.0' in metrics
    assert f"watching dev, staging, production and {remote.path}" in said


def _metrics(url: str) -> str:
    """As they are once the maintenance loop has run once."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            text = httpx.get(url).text
        except httpx.TransportError:
            text = ""
        if "delivery_deployments_total{" in text:
            return text
        time.sleep(0.2)
    pytest.fail("no metrics within 30 s")
