"""HTTP requests with a limit: whatever a server does, there is an answer or an error after so many seconds and bytes.

A client's own timeouts are for each piece of an answer, so a server that sends a byte each second keeps it for ever.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

_MOST_REDIRECTS = 5
# The size of what was compressed cannot be bounded by the bytes that came.
_UNCOMPRESSED = {"Accept-Encoding": "identity"}


def client(*, retries: int = 0, **settings: Any) -> httpx.Client:
    """A client for `get`, where redirects are followed: no connection is kept that a later deadline would not know."""
    limits = httpx.Limits(max_keepalive_connections=0)
    transport = httpx.HTTPTransport(retries=retries, limits=limits) if retries else None
    return httpx.Client(limits=limits, transport=transport, follow_redirects=False, **settings)


def get(
    client: httpx.Client,
    url: str,
    *,
    seconds: float,
    most: int,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
) -> httpx.Response:
    """The whole answer, of at most `most` bytes and within `seconds`, redirects included.

    Raises httpx.HTTPError, httpx.InvalidURL.
    """
    headers = {**_UNCOMPRESSED, **(headers or {})}
    return _asked(client, client.build_request("GET", url, headers=headers, params=params), seconds, most)


def query(prometheus: str, promql: str, *, seconds: float, most: int, **settings: Any) -> list[Any]:
    """The series that Prometheus at that address answers; `settings` of the client.

    Raises httpx.HTTPError, httpx.InvalidURL; ValueError, LookupError or TypeError for what is no answer of Prometheus.
    """
    with client(**settings) as http:
        url, asked = f"{prometheus}/api/v1/query", {"query": promql}
        answer = get(http, url, params=asked, seconds=seconds, most=most)
    found: list[Any] = answer.raise_for_status().json()["data"]["result"]
    return found


def post(client: httpx.Client, url: str, *, json: Any, seconds: float, most: int) -> httpx.Response:
    """Like `get`, with a JSON body."""
    return _asked(client, client.build_request("POST", url, headers=_UNCOMPRESSED, json=json), seconds, most)


def _asked(client: httpx.Client, request: httpx.Request, seconds: float, most: int) -> httpx.Response:
    with ended_after(seconds) as connections:
        for _ in range(_MOST_REDIRECTS + 1):
            request.extensions = {
                "timeout": httpx.Timeout(seconds).as_dict(),
                "trace": connections.trace,
            }
            answer = _received(client, request, connections, most)
            if answer.next_request is None:
                return answer
            request = answer.next_request
        raise httpx.TooManyRedirects(f"more than {_MOST_REDIRECTS} redirects", request=request)


def _received(
    client: httpx.Client, request: httpx.Request, connections: Connections, most: int
) -> httpx.Response:
    try:
        answer = client.send(request, stream=True)
        with contextlib.closing(answer):
            body = bytearray()
            for piece in answer.iter_raw():
                body += piece
                if len(body) > most:
                    raise httpx.ReadError(f"the answer has more than {most:,} bytes", request=request)
                connections.refuse_late(request)
    except httpx.HTTPError:
        connections.refuse_late(request)
        raise
    # To some answers the end of the connection is their own end.
    connections.refuse_late(request)
    if "content-encoding" in answer.headers:
        raise httpx.DecodingError("the answer is compressed, which was not accepted", request=request)
    headers = [pair for pair in answer.headers.multi_items() if pair[0] != "transfer-encoding"]
    whole = httpx.Response(answer.status_code, headers=headers, content=bytes(body), request=request)
    whole.next_request = answer.next_request
    return whole


class Connections:
    """The connections that are ended when the time is over, which wakes up whatever waits for one of them."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._open: list[socket.socket] = []

    def add(self, connection: socket.socket) -> None:
        self._open.append(connection)
        if time.monotonic() >= self._until:
            self.end()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """What httpcore calls with each thing that it does."""
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self.add(info["return_value"].get_extra_info("socket"))

    def end(self) -> None:
        for connection in self._open:
            with contextlib.suppress(OSError):  # it has ended already
                connection.shutdown(socket.SHUT_RDWR)

    def refuse_late(self, request: httpx.Request) -> None:
        """Raises httpx.ReadTimeout when the time is over."""
        if time.monotonic() >= self._until:
            raise httpx.ReadTimeout(f"no whole answer within {self._seconds:g} s", request=request)


@contextlib.contextmanager
def ended_after(seconds: float) -> Iterator[Connections]:
    """What is connected meanwhile ends after `seconds`."""
    connections = Connections(seconds)
    timer = threading.Timer(seconds, connections.end)
    timer.daemon = True
    timer.start()
    try:
        yield connections
    finally:
        timer.cancel()
