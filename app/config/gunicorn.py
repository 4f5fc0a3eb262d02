"""The web server: one process with threads, so that a pod's metrics are those of one process.

More load takes more pods.
"""

import contextlib
import errno
import socket
import sys
from functools import partial
from time import monotonic
from typing import Any

from config.env import env

bind = f"0.0.0.0:{env.integer('PORT', 8000, least=1, most=65535)}"
workers = 1
worker_class = "gthread"
threads = env.integer("WEB_THREADS", 4, least=1, most=64)
# Longer than the router keeps an idle connection (Traefik: 90 s), so that it is never we who close it first
# just while the router sends the next request on it.
keepalive = 100
graceful_timeout = env.integer("GRACEFUL_TIMEOUT", 30, least=1, most=600)
# A worker that has not answered its master for this long is killed.
timeout = 60
# A body has this long to arrive: each one that is late holds a thread. A router that buffers sends it at once, however
# slow the client is (charts/crm/templates/routing).
BODY_SECONDS = 5.0
worker_tmp_dir = "/tmp"  # nosec B108  # noqa: S108  (the one place that may be written)
control_socket_disable = True
# No header is taken for the path of the application: a stranger's SCRIPT_NAME was answered 500, outside of all metrics.
forwarder_headers = ""

METRICS_PORT = env.integer("METRICS_PORT", 8001, least=1, most=65535)


def child_exit(server: Any, _worker: Any) -> None:
    """End with the one worker: the kubelet says why, alerts see it, and each new start waits longer than the last.

    gunicorn would start another one at once, for ever: two pods with too little memory to load the application took
    more than half of a node of two cores for minutes, and were never seen to restart.
    """
    is_told_to_stop = not server.LISTENERS  # it closes them first
    if not is_told_to_stop:
        server.log.error("The worker has ended, and nothing answers without it: the container ends.")
        sys.exit(1)


def post_worker_init(_worker: Any) -> None:
    """Answer Prometheus and the kubelet beside the requests, from threads of their own, and what cannot be parsed.

    When every request thread waits, the release must still be judged, and a busy pod must not be taken for a dead one:
    all pods are busy at the same time, and then users would have none.
    """
    # In the worker, after the fork.
    from gunicorn import util  # type: ignore[import-untyped]  # noqa: PLC0415

    from config.operations import serve  # noqa: PLC0415
    from crm.http import unparsed  # noqa: PLC0415

    serve(METRICS_PORT)
    util.write_error = unparsed.answer


def pre_request(_worker: Any, request: Any) -> None:
    """Do nothing for a client that has given up while its request waited for a thread.

    Otherwise a pod that once fell a client's patience behind stays there: all that it does is for those who have left.
    The router counts such a request as 499; gunicorn passes over a reset connection without a word.
    """
    with contextlib.suppress(BlockingIOError):  # nothing to read: the client waits
        if not request.unreader.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
            raise ConnectionResetError(errno.ECONNRESET, "the client has left")
    if _is_left_unread(dict(request.headers)):
        request.force_close()
    request.unreader.chunk = partial(_read, request.unreader, monotonic() + BODY_SECONDS)


def _is_left_unread(headers: dict[str, str]) -> bool:
    """Whether gunicorn hangs up where nobody has read the body: the answer says so then, for the router may send on."""
    length = headers.get("CONTENT-LENGTH", "0")
    return "TRANSFER-ENCODING" in headers or int(length) > 64 * 1024


def post_request(_worker: Any, request: Any, *_: Any) -> None:
    """The next request on the connection comes when it comes."""
    vars(request.unreader).pop("chunk", None)


def _read(unreader: Any, until: float, size_hint: int | None = None) -> bytes:
    """Some more of a body; raises TimeoutError once its time is over, however often a byte of it comes."""
    unreader.sock.settimeout(max(until - monotonic(), 0.001))
    try:
        return bytes(type(unreader).chunk(unreader, size_hint))
    finally:
        unreader.sock.settimeout(None)


# The line of a request is written by crm.http.request_log.
accesslog = None
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": "crm.http.log_lines.JsonLines",
            "version": env.text("VERSION", "0.0.0"),
            "role": "web",
        },
    },
    "filters": {"requests": {"()": "crm.http.log_lines.NotTheirWords"}},
    "handlers": {
        "stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"}
    },
    "root": {"handlers": ["stdout"], "level": "INFO"},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": [], "filters": ["requests"], "propagate": True}
    },
}
