"""Servers that keep whoever asks them: silent, or with an answer that never ends."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from collections.abc import Iterable, Iterator

SILENCE: tuple[bytes, ...] = ()


@contextlib.contextmanager
def server(content: Iterable[bytes], *, pause: float = 0.05) -> Iterator[tuple[int, list[socket.socket]]]:
    """Accepts every connection and sends it the same, with a pause after each piece, and never ends it.

    Gives its port, and the connections that there were.
    """
    stopped = threading.Event()
    pieces = list(itertools.islice(content, 10_000))
    accepted: list[socket.socket] = []

    def answer(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            for piece in pieces:
                connection.sendall(piece)
                if stopped.wait(pause):
                    return

    def listen() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                accepted.append(connection)
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=listen, daemon=True).start()
        try:
            yield listening.getsockname()[1], accepted
        finally:
            stopped.set()
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            for each in accepted:
                each.close()
