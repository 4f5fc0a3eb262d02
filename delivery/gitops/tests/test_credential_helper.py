"""How the guard signs in to Git from its pod: by a real git http-backend, and files as a mounted Secret has them."""

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from delivery.cli.main import main
from delivery.tests.hosts import Remote

HELPER = Path(__file__).resolve().parents[2] / "credential-helper"


class Server(ThreadingHTTPServer):
    """Git over HTTP: everybody may read, a password is asked for a push."""

    def __init__(self, remote: Remote) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.root = remote.path.parent
        self.password = "correct horse"
        self.shown: list[str] = []
        """What came as `user:password`."""
        self.url = f"http://127.0.0.1:{self.server_port}/{remote.path.name}"


class _Request(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("content-length", 0))))

    def _answer(self, body: bytes) -> None:
        shown = base64.b64decode(self.headers.get("authorization", "").removeprefix("Basic ")).decode()
        if shown:
            self.server.shown.append(shown)
        if "git-receive-pack" in self.path and shown != f"guard:{self.server.password}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="push"')
            self.end_headers()
            return
        address = urlsplit(self.path)
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": address.path,
            "QUERY_STRING": address.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
            "REMOTE_USER": shown.partition(":")[0],
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=environment, capture_output=True, check=True
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        self.send_response(int(headers.pop("Status", "200").split()[0]))
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(remote: Remote) -> Iterator[Server]:
    remote.git("config", "http.receivepack", "true")
    with Server(remote) as made:
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield made
        made.shutdown()


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    folder = tmp_path / "secret"
    folder.mkdir()
    (folder / "username").write_text("guard")
    (folder / "password").write_text(
        "correct horse\n"
    )  # as `kubectl create secret --from-file` often keeps it
    return folder


@pytest.fixture
def trace(server: Server, secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of the guard's pod; a file of every command that Git starts."""
    file = tmp_path / "trace"
    for variable, value in {
        "DELIVERY_REMOTE": server.url,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"credential.{server.url}.helper",
        "GIT_CONFIG_VALUE_0": f"{HELPER} {secret}",
        "GIT_TRACE": str(file),
    }.items():
        monkeypatch.setenv(variable, value)
    return file


def test_a_push_signs_in_with_what_the_secret_holds(remote: Remote, server: Server, trace: Path) -> None:
    assert main(["init"]) == 0
    assert remote.tip("environments")
    assert set(server.shown) == {"guard:correct horse"}


def test_the_password_is_in_no_command(server: Server, trace: Path) -> None:
    assert main(["init"]) == 0
    started = trace.read_text()
    assert f"{HELPER.name} " in started
    assert "correct" not in started


def test_a_changed_password_counts_at_once(server: Server, secret: Path, trace: Path) -> None:
    server.password = "other"
    assert main(["init"]) == 1
    (secret / "password").write_text("other")
    assert main(["init"]) == 0


def test_a_wrong_password_is_refused_without_naming_it_and_stays_in_the_secret(
    server: Server, secret: Path, trace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (secret / "password").write_text("battery staple")
    assert main(["init"]) == 1
    output = "".join(capsys.readouterr())
    assert "Authentication failed" in output
    assert "battery" not in output
    assert (secret / "password").read_text() == "battery staple"


def test_another_address_does_not_get_the_password(
    server: Server, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "credential.http://git.example.com/crm.git.helper")
    assert main(["init"]) == 1
    assert server.shown == []
