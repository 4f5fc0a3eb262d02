"""The two programs that run on the machine itself, containerd and the kubelet: started, found again, ended by id."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cluster import paths, shell
from cluster.errors import ClusterError
from cluster.waiting import until


def start(name: str, command: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> None:
    """Start a program in a session of its own and remember it; nothing happens when it still runs."""
    if running(name):
        return
    paths.RUN.mkdir(parents=True, exist_ok=True)
    with shell.log_file(name).open("a", encoding="utf-8") as log:
        try:
            process = subprocess.Popen(
                [str(word) for word in command],
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise ClusterError(
                f"{command[0]} is not installed; `python -m cluster up` installs it."
            ) from error
    record = {"pid": process.pid, "born": _born(process.pid)}
    _record(name).write_text(json.dumps(record), encoding="utf-8")


def running(name: str) -> bool:
    """Whether the remembered process lives. A process id that was given to somebody else does not count."""
    return _pid(name) is not None


def stop(name: str) -> None:
    """End a program: asked first, killed after ten seconds."""
    pid = _pid(name)
    if pid is not None:
        end([pid], grace=10)
    _record(name).unlink(missing_ok=True)


def end(pids: Sequence[int], *, grace: float) -> None:
    """SIGTERM, then SIGKILL for those that are still there after `grace` seconds."""
    births = {pid: _born(pid) for pid in pids}

    def left() -> list[int]:
        return [pid for pid, born in births.items() if born and _born(pid) == born and not _zombie(pid)]

    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        for pid in left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        with contextlib.suppress(ClusterError):
            until(lambda: not left(), what="the end of our processes", seconds=seconds, every=0.1)


def with_words(*words: str) -> list[int]:
    """Ids of processes whose command line holds every one of the words as a substring; never our own."""
    return [
        pid for pid, line in command_lines() if all(word in line for word in words) and pid != os.getpid()
    ]


def command_lines() -> Iterator[tuple[int, str]]:
    """Every process with its command line."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                yield (
                    int(entry.name),
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"),
                )


def _record(name: str) -> Path:
    return paths.RUN / f"{name}.json"


def _pid(name: str) -> int | None:
    try:
        record = json.loads(_record(name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    pid = int(record["pid"])
    return pid if _born(pid) == record["born"] and not _zombie(pid) else None


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return []


def _born(pid: int) -> str | None:
    """Start time in clock ticks since boot: together with the id it names one process for good."""
    fields = _stat(pid)
    return fields[19] if fields else None


def _zombie(pid: int) -> bool:
    fields = _stat(pid)
    return bool(fields) and fields[0] == "Z"
