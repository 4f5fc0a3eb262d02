"""How long a web process waits for PostgreSQL.

The server's own time-outs (settings.web) end a statement that is slow, and come first. These end the wait for a server
that says nothing at all, as under SIGSTOP or behind a broken network.
"""

from threading import Lock
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import _WaitTimeout

ANSWER_SECONDS = 2.3
PAUSE_SECONDS = 1.0

Answer = TypeVar("Answer")


class Silence:
    """While the database is silent one request at a time asks it, a second after the last; the others fail at once.

    Else each would wait for its own time-out, and those behind it in the queue for one after another.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._until: float | None = None

    def begins(self) -> None:
        with self._lock:
            self._until = monotonic() + PAUSE_SECONDS

    def ends(self) -> None:
        with self._lock:
            self._until = None

    def refuse(self) -> None:
        """Raises psycopg.OperationalError for all but the one who is to ask."""
        with self._lock:
            if self._until is None:
                return
            if monotonic() < self._until:
                raise psycopg.OperationalError("the database does not answer, and is asked again in a moment")
            self._until = monotonic() + ANSWER_SECONDS + PAUSE_SECONDS


silence = Silence()


class Connection(psycopg.Connection[Any]):
    """Raises OperationalError where the server has not answered after `timeout` seconds, and is closed then."""

    def wait(
        self, gen: PQGen[Answer], interval: float = 0.1, timeout: float | None = ANSWER_SECONDS
    ) -> Answer:
        try:
            return super().wait(gen, interval, timeout)
        except _WaitTimeout as error:
            silence.begins()
            self.pgconn.finish()  # nobody can tell what it is in the middle of
            raise psycopg.OperationalError(f"the database has not answered for {timeout:g} s") from error
