"""Programs that are run with a limit of time and output, and end with all that they have started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
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
    given: bytes = b"",
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Done:
    """Run a program to its end and take at most `most` bytes of its output.

    It gets a session of its own, so it has no terminal to ask at, and can be ended with all its children.

    Raises Late after `seconds`, FileNotFoundError if there is no such program.
    """
    until = time.monotonic() + seconds
    # A file, because a program that reads no further would hold up whoever writes into a pipe.
    with tempfile.TemporaryFile() as stdin:
        stdin.write(given)
        stdin.seek(0)
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    output, errors = bytearray(), bytearray()
    pipes = ((process.stdout, output, most), (process.stderr, errors, _MOST_ERRORS))
    readers = [threading.Thread(target=_read, args=pipe, name="pipe", daemon=True) for pipe in pipes]
    try:
        for reader in readers:
            reader.start()
        readers[0].join(until - time.monotonic())
        status = process.wait(max(0.0, until - time.monotonic()))
        # A process that it leaves running on purpose, such as a cache of passwords, may still hold this pipe.
        readers[1].join(_GRACE_SECONDS)
    except BaseException as error:
        _end(process)
        if isinstance(error, subprocess.TimeoutExpired):
            raise Late(f"did not end within {seconds:g} s") from None
        raise
    return Done(status, bytes(output), bytes(errors), cut=len(output) == most)


def _read(pipe: IO[bytes], found: bytearray, most: int) -> None:
    """Read so much of a pipe and then close it, which ends a program that goes on writing."""
    with pipe:
        while len(found) < most and (piece := os.read(pipe.fileno(), _PIECE)):
            found += piece[: most - len(found)]


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and all that it has started."""
    for number, patience in ((signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
