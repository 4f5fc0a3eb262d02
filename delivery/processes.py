"""Programs that are run with a limit of time and output, and end with all that they have started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_GRACE_SECONDS = 2.0  # to take away locks and half-written files
_MOST_ERRORS = 64 * 1024
_PIECE = 64 * 1024


class Late(Exception):
    """A program did not end in time, and was ended."""


@dataclass(frozen=True)
class Done:
    """How a program ended; `cut`: there was more output."""

    status: int
    output: bytes
    errors: bytes
    cut: bool


def run(
    command: Sequence[str],
    *,
    seconds: float,
    most: int,
    given: bytes | None = None,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Done:
    """Run a program to its end and take at most `most` bytes of its output.

    It gets a session of its own, so it has no terminal to ask at, and can be ended with all its children.

    Raises Late after `seconds`, FileNotFoundError if there is no such program.
    """
    until = time.monotonic() + seconds
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    output, errors = _Reader(process.stdout, most), _Reader(process.stderr, _MOST_ERRORS)
    try:
        for thread in (output, errors, _Writer(process.stdin, given or b"")):
            thread.start()
        output.join(until - time.monotonic())
        status = process.wait(max(0.0, until - time.monotonic()))
        # A process that it leaves running on purpose, such as a cache of passwords, may still hold this pipe.
        errors.join(_GRACE_SECONDS)
    except BaseException as error:
        _end(process)
        if isinstance(error, subprocess.TimeoutExpired):
            raise Late(f"did not end within {seconds:g} s") from None
        raise
    return Done(status, bytes(output.read), bytes(errors.read), output.cut)


class _Reader(threading.Thread):
    """Reads so much of a pipe and then closes it, which ends a program that goes on writing."""

    def __init__(self, pipe: IO[bytes] | None, most: int) -> None:
        super().__init__(name="pipe", daemon=True)
        self._pipe, self._most = pipe, most
        self.read, self.cut = bytearray(), False

    def run(self) -> None:
        if self._pipe is None:
            return
        with self._pipe:
            while piece := os.read(self._pipe.fileno(), _PIECE):
                self.read += piece[: self._most - len(self.read)]
                if len(self.read) == self._most:
                    self.cut = True
                    return


class _Writer(threading.Thread):
    def __init__(self, pipe: IO[bytes] | None, given: bytes) -> None:
        super().__init__(name="pipe", daemon=True)
        self._pipe, self._given = pipe, given

    def run(self) -> None:
        # A program that reads no further, or has ended, shows that by its exit status.
        with contextlib.suppress(BrokenPipeError), self._pipe or contextlib.nullcontext():
            if self._pipe:
                self._pipe.write(self._given)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and all that it has started."""
    _signal(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To its whole session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
