"""The verdict `health`, of two real servers that answer as the application's /health/ does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from delivery import web
from delivery.errors import Refused
from delivery.gitops import git
from delivery.guard import health, server
from delivery.guard.health import Health
from delivery.guard.image_policy import BAD, FINE, UNKNOWN, CheckResult, ImagePolicy

Say = Callable[[], tuple[int, bytes]]


def says(version: str, *missing: str) -> Say:
    checks = {name: "unavailable" if name in missing else "ok" for name in ("database", "redis", "celery")}
    body = json.dumps({"status": "unhealthy" if missing else "ok", "version": version, "checks": checks})
    return lambda: (503 if missing else 200, body.encode())


class Service(ThreadingHTTPServer):
    """A version's own; what it says may change."""

    say: Say
    daemon_threads = True


class Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        status, body = self.server.say()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def services() -> Iterator[dict[str, Service]]:
    both = {version: Service(("127.0.0.1", 0), Handler) for version in ("canary", "stable")}
    for version, service in both.items():
        service.say = says({"canary": "1.2", "stable": "1.1"}[version])
        threading.Thread(target=service.serve_forever, args=(0.01,), daemon=True).start()
    yield both
    for service in both.values():
        service.shutdown()
        service.server_close()


@pytest.fixture
def asked(services: dict[str, Service], monkeypatch: pytest.MonkeyPatch) -> Health:
    monkeypatch.setattr(health, "SECONDS", 0.5)
    ports = {version: service.server_port for version, service in services.items()}

    class Here(Health):
        def _ask(self, version: str, *, name: str, namespace: str) -> health._Answer:
            self.address = f"http://127.0.0.1:{ports[version]}/health/"
            return super()._ask(version, name=name, namespace=namespace)

    return Here()


def test_a_healthy_canary_is_fine(asked: Health) -> None:
    assert asked.verdict("crm-dev") == CheckResult(FINE, "1.2 is healthy")


def test_a_canary_that_lacks_what_the_stable_version_has_is_bad(
    asked: Health, services: dict[str, Service]
) -> None:
    services["canary"].say = says("1.2", "redis", "celery")
    assert asked.verdict("crm-dev") == CheckResult(BAD, "1.2 has no celery, redis; stable: 1.1 is healthy")


def test_what_both_lack_is_nobodys_fault(asked: Health, services: dict[str, Service]) -> None:
    for version, service in (("1.2", services["canary"]), ("1.1", services["stable"])):
        service.say = says(version, "redis")
    assert asked.verdict("crm-dev") == CheckResult(
        UNKNOWN,
        "no worse than the stable version: 1.2 has no redis; stable: 1.1 has no redis",
    )


def test_what_the_canary_alone_lacks_is_its_fault(asked: Health, services: dict[str, Service]) -> None:
    """Where a release has a wrong address of Redis, its worker, the only one, is away from the stable version too."""
    services["canary"].say = says("1.2", "redis", "celery")
    services["stable"].say = says("1.1", "celery")
    assert asked.verdict("crm-dev") == CheckResult(BAD, "1.2 has no celery, redis; stable: 1.1 has no celery")


def test_silence_is_no_proof_while_the_stable_version_lacks_something(
    asked: Health, services: dict[str, Service]
) -> None:
    """While PostgreSQL hangs, each answer takes almost as long as it may."""
    services["stable"].say = says("1.1", "database")
    services["canary"].say = lambda: (502, b"")
    assert asked.verdict("crm-dev").verdict == UNKNOWN


def test_what_comes_back_between_two_answers_is_not_held_against_the_canary(
    asked: Health, services: dict[str, Service]
) -> None:
    answers = iter([says("1.2", "celery"), says("1.2")])
    services["canary"].say = lambda: next(answers)()  # noqa: PLW0108  # another each time
    assert asked.verdict("crm-dev").verdict == UNKNOWN


def test_a_canary_that_nobody_reaches_is_bad(asked: Health, services: dict[str, Service]) -> None:
    services["canary"].shutdown()
    services["canary"].server_close()
    found = asked.verdict("crm-dev")
    assert (found.verdict, found.says.startswith("no answer (")) == (BAD, True)


@pytest.mark.slow
def test_a_canary_that_is_silent_is_bad(asked: Health, services: dict[str, Service]) -> None:
    silent = threading.Event()
    services["canary"].say = lambda: (silent.wait(10), (200, b""))[1]
    assert asked.verdict("crm-dev").verdict == BAD
    silent.set()


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"{}", b'{"version": "1", "checks": 3}'])
def test_whatever_a_canary_answers_with_there_is_a_verdict(
    asked: Health, services: dict[str, Service], body: bytes
) -> None:
    services["canary"].say = lambda: (500, body)
    assert asked.verdict("crm-dev") == CheckResult(
        BAD, "500 from something that is no CRM; stable: 1.1 is healthy"
    )


@pytest.mark.parametrize("given", ["", "crm_dev", "evil.example.com/", "a" * 64, "crm-dev\n"])
def test_only_a_name_in_a_namespace_can_be_asked_about(given: str) -> None:
    for asked in ((given, "crm"), ("crm-dev", given)):
        with pytest.raises(Refused, match="A namespace and a name are asked for"):
            Health().verdict(*asked)


def test_a_crm_of_another_name_is_asked_at_its_own_services(
    asked: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls: list[str] = []

    def get(_: httpx.Client, url: str, **__: Any) -> httpx.Response:
        urls.append(url)
        return httpx.Response(200, json={"version": "1.1", "checks": {}})

    monkeypatch.setattr(web, "get", get)
    security = ImagePolicy(git.Repository(Path("nowhere"), "nowhere", Path.cwd(), 1.0))
    for named in ("&name=sales", ""):
        server.verdict(f"/verdicts/health?namespace=crm-dev{named}", security, Health())
    assert urls == [f"http://{name}-canary.crm-dev.svc/health/" for name in ("sales", "crm")]


def test_argo_rollouts_reads_the_verdict(asked: Health) -> None:
    security = ImagePolicy(git.Repository(Path("nowhere"), "nowhere", Path.cwd(), 1.0))
    answer = server.verdict("/verdicts/health?namespace=crm-dev", security, asked)
    assert (answer.status, answer.kind) == (200, "application/json")
    assert json.loads(answer.text) == {"verdict": "fine", "says": "1.2 is healthy"}
    assert server.verdict("/verdicts/health", security, asked).status == 400
