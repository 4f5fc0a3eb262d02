"""What the guard answers over HTTP: does it live (/healthz), can it act (/readyz), its figures (/metrics), verdicts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from delivery.errors import Refused
from delivery.guard import figures
from delivery.guard.security import UNKNOWN, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery.guard.security import Security
    from delivery.guard.watch import Guard

# A look at all environments takes a second or two; one that waits for an unreachable server takes half a minute each.
_LONGEST_SECONDS = 120.0


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    kind: str = "text/plain; charset=utf-8"


def answer(path: str, guard: Guard, security: Security | None = None) -> Answer:
    """The answer to a GET request."""
    place, _, query = path.partition("?")
    match place:
        case "/healthz":
            late = guard.seconds_since_look > _LONGEST_SECONDS
            return (
                Answer(503, "no look at the environments for two minutes\n") if late else Answer(200, "ok\n")
            )
        case "/readyz":
            trouble = guard.trouble
            return Answer(503, f"{trouble}\n") if trouble else Answer(200, "ok\n")
        case "/metrics":
            return Answer(200, generate_latest(figures.REGISTRY).decode(), CONTENT_TYPE_LATEST)
        case "/verdicts/security" if security:
            return _verdict(security, parse_qs(query).get("image", [""])[-1])
        case _:
            return Answer(404, "there are /healthz, /readyz, /metrics and /verdicts/security?image=…\n")


def _verdict(security: Security, image: str) -> Answer:
    """Always JSON: Argo Rollouts takes any other text for a success, whatever it says."""
    try:
        status, verdict = 200, security.verdict(image)
    except Refused as refusal:
        status, verdict = 400, Verdict(UNKNOWN, str(refusal))
    return Answer(status, json.dumps(asdict(verdict), ensure_ascii=False) + "\n", "application/json")


@contextmanager
def serving(port: int, guard: Guard, security: Security | None = None) -> Iterator[int]:
    """Answer on all addresses as long as this lasts; gives the port, which the system chooses for 0."""
    server = ThreadingHTTPServer(("", port), _handler(lambda path: answer(path, guard, security)))
    thread = threading.Thread(target=server.serve_forever, name="guard-http", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(asked: Callable[[str], Answer]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            found = asked(self.path)
            body = found.text.encode()
            self.send_response(found.status)
            self.send_header("Content-Type", found.kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Probes and scrapes are not worth a line."""

    return Handler
