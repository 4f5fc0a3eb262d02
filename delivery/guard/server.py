"""What the guard and `delivery verdicts` answer over HTTP: whether they live and are ready, metrics, verdicts.

An error in one environment is in the guard's /readyz, its log and `delivery_guard_reconciliations_total`, and changes
no status: a restart would not help.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from delivery.errors import Refused
from delivery.guard import metrics
from delivery.guard.health import Health
from delivery.guard.image_policy import UNKNOWN, CheckResult, ImagePolicy
from delivery.guard.rollback_loop import RollbackLoop
from delivery.texts import one_line

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    kind: str = "text/plain; charset=utf-8"


def answer(path: str, loop: RollbackLoop) -> Answer:
    """The guard's answer to a GET request."""
    match path.partition("?")[0]:
        case "/healthz":
            return _health(loop.liveness.late())
        case "/readyz" if not loop.is_ready:
            return _health("has reconciled no environment yet")
        case "/readyz":
            errors = "".join(f"{name}: {error}\n" for name, error in loop.errors.items())
            return Answer(200, f"ok\n{errors}")
        case "/metrics":
            return Answer(200, generate_latest(metrics.REGISTRY).decode(), CONTENT_TYPE_LATEST)
        case _:
            return Answer(404, "there are /healthz, /readyz and /metrics\n")


def verdict(path: str, policy: ImagePolicy, health: Health) -> Answer:
    """The answer of `delivery verdicts` to a GET request."""
    place, _, query = path.partition("?")
    named = parse_qs(query)
    match place:
        case "/healthz" | "/readyz":
            return _health(policy.liveness.late())
        case "/verdicts/security":
            return _verdict(place, lambda: policy.verdict(named.get("image", [""])[-1]))
        case "/verdicts/health":
            # Charts of before fullnameOverride give no name.
            namespace, name = named.get("namespace", [""])[-1], named.get("name", ["crm"])[-1]
            return _verdict(place, lambda: health.verdict(namespace, name))
        case _:
            places = "/verdicts/security?image=… and /verdicts/health?namespace=…&name=…"
            return Answer(404, f"there are /healthz, /readyz, {places}\n")


def _health(why: str) -> Answer:
    return Answer(503, f"{why}\n") if why else Answer(200, "ok\n")


def _verdict(place: str, judged: Callable[[], CheckResult]) -> Answer:
    """Always JSON: Argo Rollouts takes any other text for a success."""
    try:
        status, verdict = 200, judged()
    except Refused as refusal:
        status, verdict = 400, CheckResult(UNKNOWN, one_line(refusal))
    except Exception as error:
        LOG.exception("%s:", place)
        status, verdict = 200, CheckResult(UNKNOWN, f"it is not known: {one_line(repr(error))}")
    return Answer(status, json.dumps(asdict(verdict), ensure_ascii=False) + "\n", "application/json")


@contextmanager
def serving(port: int, answered: Callable[[str], Answer]) -> Iterator[int]:
    """Answer on all addresses as long as this lasts; gives the port, which the system chooses for 0."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            found = answered(self.path)
            body = found.text.encode()
            self.send_response(found.status)
            self.send_header("Content-Type", found.kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Probes and scrapes are not worth a line."""

    with ThreadingHTTPServer(("", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="guard-http", daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
