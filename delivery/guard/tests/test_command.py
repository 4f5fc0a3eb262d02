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
from delivery.notifications import channels
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


@pytest.mark.parametrize("variable", [channels.VARIABLE, channels.FORMER_VARIABLE])
def test_a_folder_for_notifications_without_a_channel_is_refused(
    remote: Remote,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variable: str,
) -> None:
    assert remote
    monkeypatch.setenv(variable, str(tmp_path))
    assert main(["guard"]) == 1
    assert "has neither slack-url nor smtp" in capsys.readouterr().err


def test_it_looks_and_goes_its_rounds_until_sigterm(remote: Remote, tmp_path: Path) -> None:
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
            figures = _figures(f"http://127.0.0.1:{port}/metrics")
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=30)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 0
    assert 'delivery_deployments_total{environment="production"} 0.0' in figures
    assert f"watching dev, staging, production and {remote.path}" in said


def _figures(url: str) -> str:
    """What it tells once its first round is done."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            text = httpx.get(url).text
        except httpx.TransportError:
            text = ""
        if "delivery_deployments_total{" in text:
            return text
        time.sleep(0.2)
    pytest.fail("no figures within 30 s")
