"""Whether all threads of the guard go on: each announces how soon it will report again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

# Each wait of theirs has an end of its own, of which these are more than the sum.
RECONCILE_SECONDS = 120.0
MAINTENANCE_SECONDS = 600.0
VERDICT_SECONDS = 120.0


@dataclass
class Liveness:
    _until: dict[str, float] = field(default_factory=dict)

    def expect(self, part: str, within: float) -> None:
        """A part is well, and reports again `within` seconds."""
        self._until[part] = time.monotonic() + within

    def rest(self, part: str) -> None:
        """A part has nothing to do."""
        self._until.pop(part, None)

    def late(self) -> str:
        """Which parts have not been heard of in time; empty where all is well."""
        late = [part for part, until in list(self._until.items()) if until < time.monotonic()]
        return f"not heard of in time: {', '.join(late)}" if late else ""


@contextmanager
def repeating(
    name: str, work: Callable[[], None], seconds: float, stopped: threading.Event
) -> Iterator[None]:
    """Work again and again in a thread of its own as long as this lasts.

    Should the thread ever end, the whole guard stops and is started anew.
    """

    def run() -> None:
        try:
            while not stopped.is_set():
                work()
                stopped.wait(seconds)
        finally:
            stopped.set()

    thread = threading.Thread(target=run, name=name)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
