"""Commands whose output goes to a log file that an error names."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster import paths
from cluster.errors import ClusterError

TAIL_LINES = 12


def log_file(name: str) -> Path:
    """The log of one step: `<cache>/logs/<name>.log`."""
    paths.LOGS.mkdir(parents=True, exist_ok=True)
    return paths.LOGS / f"{name}.log"


def run(
    command: Sequence[str | Path],
    *,
    log: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> None:
    """Run a command to its end; its output is appended to the log of that name.

    Raises ClusterError with the last lines and the log's path when it fails or is not there.
    """
    path = log_file(log)
    words = [str(word) for word in command]
    with path.open("a", encoding="utf-8") as out:
        out.write(f"$ {' '.join(words)}\n")
        out.flush()
        start = out.tell()
        try:
            done = subprocess.run(
                words,
                cwd=cwd,
                env={**os.environ, **(env or {})},
                input=stdin,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise ClusterError(f"{words[0]} is not installed; `python -m cluster up` installs it.") from error
    if done.returncode != 0:
        raise ClusterError(
            f"{words[0]} ended with status {done.returncode}; see {path}\n{_tail(path, start)}"
        )


def output(
    command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, timeout: float = 60
) -> str:
    """What a command prints; ClusterError with its complaint when it fails or takes longer than `timeout` seconds."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
    except FileNotFoundError as error:
        raise ClusterError(f"{words[0]} is not installed; `python -m cluster up` installs it.") from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"{' '.join(words[:3])} gave no answer within {timeout:.0f} s.") from error
    if done.returncode != 0:
        raise ClusterError(
            f"{' '.join(words[:3])} ended with status {done.returncode}: {done.stderr.strip()}"
        )
    return done.stdout


def succeeds(
    command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, timeout: float = 30
) -> bool:
    """Whether a command ends with status 0 in time."""
    try:
        output(command, env=env, timeout=timeout)
    except ClusterError:
        return False
    return True


def _tail(path: Path, start: int) -> str:
    with path.open("rb") as log:
        log.seek(start)
        lines = log.read().decode(errors="replace").splitlines()
    return "\n".join(f"  | {line}" for line in lines[-TAIL_LINES:])
