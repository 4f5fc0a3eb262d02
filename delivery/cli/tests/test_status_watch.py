"""The live screen goes on while Git or the cluster is away, and ends with Ctrl-C."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from delivery.cli.main import main
from delivery.cli.status_watch import View
from delivery.cli.tests.test_status import IN_GIT, _paths, serving
from delivery.gitops import git
from delivery.tests.hosts import Remote
from delivery.tests.kubernetes import Server

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).parents[3]


@pytest.fixture
def branch(remote: Remote) -> Remote:
    assert main(["init"]) == 0
    assert IN_GIT.release
    remote.commit("environments", {"dev/release.yaml": IN_GIT.release.to_yaml()})
    return remote


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


@pytest.fixture
def view(branch: Remote) -> Iterator[View]:
    with git.opened(str(branch.path), Path.cwd()) as repository:
        yield View(repository)


def seen(view: View) -> str:
    printed = io.StringIO()
    Console(width=200, file=printed).print(view.picture())
    return printed.getvalue()


def test_it_shows_what_changes(view: View, branch: Remote, kubeconfig: Path) -> None:
    assert "reading Git and the cluster" in seen(view)
    server = Server(_paths())
    with serving(server, kubeconfig):
        view.refresh()
        assert "1.1 20 %" in seen(view)
        branch.commit("environments", {"staging/release.yaml": "{"})
        (rollout,) = server.objects["/apis/argoproj.io/v1alpha1/namespaces/crm-dev/rollouts"]["items"]
        rollout["status"]["abort"] = True
        view.refresh()
    assert "staging/release.yaml on the branch environments is not YAML" in " ".join(
        seen(view).replace("│", " ").split()
    )
    assert "Aborted" in seen(view)


def test_it_goes_on_while_git_is_away(view: View, branch: Remote, kubeconfig: Path) -> None:
    elsewhere = branch.path.with_suffix(".away")
    branch.path.rename(elsewhere)
    view.refresh()
    assert "Git cannot be read: " in seen(view)
    elsewhere.rename(branch.path)
    with serving(Server(_paths()), kubeconfig):
        view.refresh()
        assert "Git cannot be read" not in seen(view)
        branch.path.rename(elsewhere)
        view.refresh()
    assert "Git cannot be read: " in seen(view)
    assert "1.1 20 %" in seen(view), "the cluster still says what runs"


def test_it_goes_on_while_the_cluster_is_away(view: View, kubeconfig: Path) -> None:
    view.refresh()
    assert "What runs is not known." in seen(view)
    assert "no release yet" in seen(view)
    with serving(Server(_paths()), kubeconfig):
        view.refresh()
    assert "not known" not in seen(view)


def test_it_says_how_old_it_is_when_nobody_answers(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    view.refresh()
    assert "s old" not in seen(view)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 35)
    assert "This is 35 s old: Git or the cluster does not answer." in seen(view)


@pytest.mark.usefixtures("branch")
def test_ctrl_c_ends_it_cleanly_on_a_terminal(kubeconfig: Path) -> None:
    terminal, screen = pty.openpty()
    with serving(Server(_paths()), kubeconfig):
        process = subprocess.Popen(
            # Whoever runs the tests in the background may have told them to ignore Ctrl-C.
            ["env", "--default-signal=INT", sys.executable, "-m", "delivery", "status", "--watch"],
            cwd=_ROOT,
            stdin=screen,
            stdout=screen,
            stderr=screen,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "150", "LINES": "50"},
        )
        os.close(screen)
        try:
            read = _read_until(terminal, b"1.1 20 %")
            process.send_signal(signal.SIGINT)
            read += _read_until(terminal, None)
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()
            process.wait()
            os.close(terminal)
    text = read.decode()
    assert "\x1b[?1049h" in text, "a screen of its own"
    after = text.rpartition("\x1b[?1049l")[2]
    assert "1.1" in after, "the last picture stays"
    assert "Traceback" not in text


def _read_until(terminal: int, wanted: bytes | None) -> bytes:
    """All that is written until then, or (None) until nobody writes any more."""
    read, deadline = b"", time.monotonic() + 30
    while time.monotonic() < deadline and (wanted is None or wanted not in read):
        try:
            read += os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
    return read
