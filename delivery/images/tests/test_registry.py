"""Requests to registries: a login at a real one, and odd answers of a made-up one."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from delivery.errors import Refused, RegistryUnreachable
from delivery.images import registry
from delivery.images.registry import BUNDLE, PREDICATE_ANNOTATION, Reference, bundles, look_up
from delivery.tests import slow
from delivery.tests.hosts import Registry

REVISION = "1" * 40
Answer = tuple[int, dict[str, str], bytes]
Asked = Callable[[str, str | None], Answer]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("localhost:5000/crm:1.0", ("localhost:5000/crm", "1.0", None)),
        ("example.com/team/crm@sha256:" + "a" * 64, ("example.com/team/crm", None, "sha256:" + "a" * 64)),
        ("example.com/crm:1.0@sha256:" + "a" * 64, ("example.com/crm", "1.0", "sha256:" + "a" * 64)),
    ],
)
def test_a_reference_is_read_into_its_parts(text: str, parts: tuple[str, str | None, str | None]) -> None:
    assert Reference.parse(text) == Reference(*parts)


class TestSignIn:
    def docker_config(self, host: str, login: dict[str, str]) -> None:
        folder = Path.home() / ".docker"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"auths": {host: login}}))

    @pytest.mark.parametrize(
        "login",
        [
            {"auth": base64.b64encode(b"ada:secret").decode()},
            {"username": "ada", "password": "secret"},
        ],
    )
    def test_uses_what_docker_login_stored(self, closed_registry: Registry, login: dict[str, str]) -> None:
        self.docker_config(closed_registry.host, login)
        image = closed_registry.push(REVISION, "1.0")
        found = look_up(Reference.parse(str(image)))
        assert found.labels[registry.REVISION_LABEL] == REVISION

    @pytest.mark.parametrize("login", [{}, {"username": "ada", "password": "wrong"}])
    def test_that_fails_says_what_to_do(self, closed_registry: Registry, login: dict[str, str]) -> None:
        self.docker_config(closed_registry.host, login)
        image = closed_registry.push(REVISION, "1.0")
        with pytest.raises(Refused, match=f"requires a login: docker login {closed_registry.host}"):
            look_up(Reference.parse(str(image)))

    def test_by_token_asks_the_realm_for_one(self) -> None:
        asked: list[str] = []

        def answer(path: str, authorization: str | None) -> Answer:
            if path.startswith("/token"):
                asked.append(path)
                return 200, {}, b'{"token": "t"}'
            if authorization != "Bearer t":
                challenge = f'Bearer realm="http://{host}/token",service="s",scope="repository:crm:pull"'
                return 401, {"WWW-Authenticate": challenge}, b"{}"
            return _image(path)

        with serving(answer) as host:
            assert look_up(Reference.parse(f"{host}/crm:1.0")).labels == {"a": "b"}
        assert asked == ["/token?service=s&scope=repository%3Acrm%3Apull"]


@pytest.mark.parametrize(
    ("answers", "error", "sentence"),
    [
        ((503, b""), RegistryUnreachable, "answered 503"),
        ((429, b""), RegistryUnreachable, "answered 429"),
        ((418, b""), Refused, "answered 418 for "),
        ((200, b"<html>"), Refused, "something that is not a JSON object"),
        ((200, b"[]"), Refused, "something that is not a JSON object"),
        ((200, b'{"manifests": []}'), Refused, "is an index without an image for Linux"),
    ],
)
def test_odd_answers_are_one_sentence(
    answers: tuple[int, bytes], error: type[Exception], sentence: str
) -> None:
    status, body = answers
    with serving(lambda *_: (status, {}, body)) as host, pytest.raises(error, match=sentence):
        look_up(Reference.parse(f"{host}/crm:1.0"))


def test_content_that_is_not_what_its_digest_says_is_refused() -> None:
    with serving(lambda path, _: _image(path)) as host, pytest.raises(Refused, match="with another content"):
        look_up(Reference.parse(f"{host}/crm@sha256:{'0' * 64}"))


@pytest.mark.parametrize(
    ("host", "plain"),
    [
        ("localhost:5000", True),
        ("registry.localhost", True),
        ("127.0.0.1:5000", True),
        ("[::1]:5000", True),
        ("example.com", False),
        ("10.0.0.1:5000", False),
    ],
)
def test_only_this_machine_is_asked_without_encryption(host: str, *, plain: bool) -> None:
    assert registry._is_this_machine(host) is plain


def test_a_registry_with_referrers_is_asked_page_by_page() -> None:
    """OCI's API; the registry of the other tests has none, and a tag stands for it."""
    digest = f"sha256:{'0' * 64}"
    layers = {"layers": [{"digest": "sha256:1"}], "annotations": {PREDICATE_ANNOTATION: "wanted"}}
    other = {"layers": [{"digest": "sha256:2"}], "annotations": {PREDICATE_ANNOTATION: "other"}}
    answers = {
        f"/v2/crm/referrers/{digest}": {"manifests": [{"artifactType": "image/png", "digest": "x"}]},
        "/v2/more": {"manifests": [{"artifactType": BUNDLE, "digest": name} for name in ("a", "b")]},
        "/v2/crm/manifests/a": layers,
        "/v2/crm/manifests/b": other,
        "/v2/crm/blobs/sha256:1": {"a": "bundle"},
    }

    def answer(path: str, _: str | None) -> Answer:
        headers = (
            {"Link": '<https://elsewhere.example.com/v2/more>; rel="next"'} if "referrers" in path else {}
        )
        return 200, headers, json.dumps(answers[path]).encode()

    with serving(answer) as host:
        assert bundles(Reference.parse(f"{host}/crm@{digest}"), "wanted") == [b'{"a": "bundle"}']


@pytest.mark.parametrize(
    "pieces", [slow.SILENCE, [b"HTTP/1.1 200 OK\r\n\r\n", *[b" "] * 1000]], ids=["silent", "drips"]
)
def test_a_registry_that_never_ends_its_answer_counts_as_away(
    pieces: Iterable[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "SECONDS", 0.5)
    began = time.monotonic()
    with slow.server(pieces) as (port, _), pytest.raises(RegistryUnreachable, match="no whole answer within"):
        look_up(Reference.parse(f"localhost:{port}/crm:1.0"))
    assert time.monotonic() - began < 3


def test_a_manifest_without_end_is_refused() -> None:
    with (
        serving(lambda *_: (200, {}, b" " * (4 * 1024 * 1024 + 1))) as host,
        pytest.raises(RegistryUnreachable, match="more than 4,194,304 bytes"),
    ):
        look_up(Reference.parse(f"{host}/crm:1.0"))


def _image(path: str) -> Answer:
    """An image with the label a=b."""
    config = json.dumps({"config": {"Labels": {"a": "b"}}}).encode()
    digest = "sha256:" + hashlib.sha256(config).hexdigest()
    body = config if "/blobs/" in path else json.dumps({"config": {"digest": digest}}).encode()
    return 200, {}, body


@contextmanager
def serving(answer: Asked) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answer(self.path, self.headers["Authorization"])
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Keep the test's output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
