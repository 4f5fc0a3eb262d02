"""Clients that send a request's body one byte a second, as a stranger does who wants to hold what answers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_BODY_BYTES = 1_000
_PAUSE_SECONDS = 1.0
_CONNECT_SECONDS = 5.0


@dataclass
class SlowClients:
    url: str
    host: str
    count: int
    sent: int = 0
    """Bytes of bodies, by now."""
    connections: int = 0
    """How many were made; one that the other side ends is followed by the next."""
    _open: dict[int, socket.socket] = field(default_factory=dict)

    def send(self) -> None:
        """One byte on each connection."""
        for number in range(self.count):
            try:
                if number not in self._open:
                    self._open[number] = self._begun()
                self._open[number].sendall(b" ")
                self.sent += 1
            except OSError:
                if ended := self._open.pop(number, None):
                    ended.close()

    def close(self) -> None:
        for each in self._open.values():
            each.close()

    def _begun(self) -> socket.socket:
        address = urlsplit(self.url)
        client = socket.create_connection((address.hostname or "", address.port or 80), _CONNECT_SECONDS)
        head = [
            "POST /api/v1/auth/register/ HTTP/1.1",
            f"Host: {self.host}",
            "Content-Type: application/json",
            f"Content-Length: {_BODY_BYTES}",
        ]
        client.sendall("\r\n".join([*head, "", "{"]).encode())
        self.connections += 1
        return client


@contextmanager
def slow_clients(url: str, host: str, count: int) -> Iterator[SlowClients]:
    """So many of them, as long as this lasts."""
    clients = SlowClients(url, host, count)
    try:
        with repeatedly(clients.send, every=_PAUSE_SECONDS):
            yield clients
    finally:
        with suppress(OSError):
            clients.close()


@contextmanager
def repeatedly(action: Callable[[], None], *, every: float) -> Iterator[None]:
    """Something is done at once, and again that many seconds after it was begun, as long as this lasts."""
    ended = threading.Event()

    def go_on() -> None:
        left = 0.0
        while not ended.wait(left):
            began = time.monotonic()
            action()
            left = max(began + every - time.monotonic(), 0)

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
