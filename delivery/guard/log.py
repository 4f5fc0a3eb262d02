"""The guard's log: a line whenever the message of an environment, or of a task, changes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from delivery.errors import Refused
from delivery.texts import one_line

_MOST_LETTERS = 1000


def now() -> datetime:
    return datetime.now(tz=UTC)


def write(line: str) -> None:
    sys.stdout.write(f"{now():%H:%M:%S} {line}\n")
    sys.stdout.flush()


@dataclass
class Log:
    write: Callable[[str], None] = write
    _last: dict[str, str] = field(default_factory=dict)

    def message(self, name: str, text: str) -> None:
        if text != self._last.get(name, ""):
            self._last[name] = text
            if text:
                self.write(f"{name}: {text}")

    def attempt(self, name: str, work: Callable[[], str]) -> str:
        """Do something and log what came of it. Returns the error, empty where there was none: it is never raised."""
        error = ""
        try:
            text = work()
        except Refused as refusal:
            text = error = f"error: {one_line(refusal, _MOST_LETTERS)}"
        except Exception as unexpected:
            text = error = f"error: {one_line(repr(unexpected))}"
            if text != self._last.get(name):
                logging.getLogger(__name__).exception("%s:", name)
        self.message(name, text)
        return error
