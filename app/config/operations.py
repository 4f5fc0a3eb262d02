"""What the platform asks a web process, on a port of its own: /metrics and /health/…, from the same application."""

from collections.abc import Callable, Iterable
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client.exposition import ThreadingWSGIServer

from config.wsgi import application

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


class Silent(WSGIRequestHandler):
    """Writes no log line of its own; the application's request log knows which requests are worth one."""

    def log_message(self, *_: Any) -> None:
        pass


def serve(port: int) -> None:
    """Answer on that port until the process ends. Raises OSError if the port is taken."""
    server = make_server("0.0.0.0", port, operations, ThreadingWSGIServer, Silent)  # nosec B104  # noqa: S104  (asked from other pods)
    Thread(target=server.serve_forever, name="operations", daemon=True).start()


def operations(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The application, as far as the platform may ask it here."""
    path = environ.get("PATH_INFO", "")
    if path == "/metrics" or path.startswith("/health/"):
        return application(environ, start_response)
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"This port serves /metrics and /health/ only.\n"]
