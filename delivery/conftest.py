"""Real Git remotes (bare repositories on disk) and a real registry (the distribution project's binary)."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from delivery.tests.hosts import Registry, Remote


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's user (Git identity, docker login, kubeconfig) takes part."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ada@example.com")
    for variable in ("KUBECONFIG", "DOCKER_CONFIG", "DELIVERY_REMOTE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(home)


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with _running(tmp_path_factory.mktemp("registry")) as host:
        made = Registry(host)
        yield made
        made.close()


@pytest.fixture(scope="session")
def closed_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that only ada may use, with the password `secret`."""
    folder = tmp_path_factory.mktemp("closed-registry")
    (folder / "users").write_text("ada:$2b$04$n.NibhRS5aMBA8cLa2ZmDOMN6VoAvB5rU7l1SB3pZC/cOGYPzeWmC\n")
    auth = f"auth: {{htpasswd: {{realm: test, path: {folder / 'users'}}}}}\n"
    with _running(folder, auth) as host:
        made = Registry(host, login=("ada", "secret"))
        yield made
        made.close()


@contextmanager
def _running(folder: Path, more_settings: str = "") -> Iterator[str]:
    program = shutil.which("registry")
    if program is None:
        pytest.fail("The program registry is not on PATH; run these tests by `make test`.")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = folder / "config.yml"
    settings.write_text(
        f"version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n{more_settings}"
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([program, "serve", str(settings)], stdout=log, stderr=log)
        try:
            _wait_for(f"http://localhost:{port}/v2/", process)
            yield f"localhost:{port}"
        finally:
            process.terminate()
            process.wait(timeout=10)


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        assert process.poll() is None, "the registry stopped at once"
        try:
            if not httpx.get(address).is_server_error:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail("the registry did not answer within 10 s")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 10 s"
        time.sleep(0.01)


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    """A remote with one deployable commit on main; `delivery` finds it by DELIVERY_REMOTE."""
    made = Remote(tmp_path / "crm.git")
    made.commit_code()
    monkeypatch.setenv("DELIVERY_REMOTE", str(made.path))
    return made
