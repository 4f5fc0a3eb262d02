"""Open-loop load: requests are sent at a fixed rate, however slowly they are answered, and each one is recorded."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drills.errors import DrillFailed, NotReady
from drills.fixtures import local_cluster
from drills.load import results as record
from drills.load.results import Record
from drills.load.users import Api, User, targets

RATE = 50
"""Requests a second of a drill: what two cores have to spare beside a release (docs/decisions/0015)."""
_USERS = 4
_DEALS_EACH = 20
TARGETS = 4000  # what is repeated; at 50/s every 80 s
_REQUEST_TIMEOUT_SECONDS = 30
# 100/s, with every answer 20 s late, still find a free worker; the limit only saves the machine.
_MOST_WORKERS = 2500
LONGEST_SECONDS = 14 * 60.0
_START_SECONDS = 0.5
_TOKEN_RESERVE_SECONDS = 60.0


@dataclass(frozen=True)
class Traffic:
    """How much load, in requests a second."""

    rate: int | None = None
    """None: the usual."""
    beta: int = 0
    """How many of the users are of the group beta."""
    liveness: float = 0.0
    """The share of requests that only ask for liveness: many of them show what the router does at little cost."""
    sign_ins: float = 0.0
    """The share of requests that are sign-ins: each costs a pod 0.2 s of CPU, so only who needs them has some."""

    def start(
        self, environment: str, folder: Path, url: str = local_cluster.HTTP, *, sign_up_at: str | None = None
    ) -> RunningTraffic:
        """Register users and send their requests to an environment until stopped; files go to `folder`.

        `sign_up_at` is where they register, when not where they send their requests.

        Raises NotReady when the environment does not take users.
        """
        host = local_cluster.api_host(environment)
        with Api(sign_up_at or url, host) as api:
            users = _sign_in(api, _IDLE.pop(host, []))
        with Api(url, host) as api:
            wanted = targets(
                api, users, TARGETS, beta=self.beta, liveness=self.liveness, sign_ins=self.sign_ins
            )
        signed_in = min(user.signed_in_until for user in users) - time.time() - _TOKEN_RESERVE_SECONDS
        longest = min(LONGEST_SECONDS, signed_in)
        if longest <= 0:
            raise NotReady("The users' access tokens end within a minute: too early for a drill.")
        load = send(wanted, self.rate or usual_rate(), longest, folder)
        load.when_ended = lambda: _IDLE.update({host: users})
        return load


_IDLE: dict[str, list[User]] = {}
"""Of each host the users whose load has ended. They sign in again for the next: signing up takes some seconds."""


def _sign_in(api: Api, known: list[User]) -> list[User]:
    with ThreadPoolExecutor(_USERS) as pool:
        if known:
            # Whoever has a new database has forgotten them.
            with contextlib.suppress(NotReady):
                return list(pool.map(api.renew, known))
        return list(pool.map(api.new_user, [_DEALS_EACH] * _USERS))


def traffic(
    rate: int | None = None, *, beta: int = 0, liveness: float = 0.0, sign_ins: float = 0.0
) -> Traffic:
    """Load of that many requests a second, or the usual; `beta`, `liveness` and `sign_ins` as in Traffic."""
    return Traffic(rate, beta=beta, liveness=liveness, sign_ins=sign_ins)


def usual_rate() -> int:
    """Requests a second of a drill: RATE, or less where the variable RATE says so, for a slow machine.

    Raises NotReady.
    """
    wanted = os.environ.get("RATE") or str(RATE)
    if not (wanted.isascii() and wanted.isdecimal() and 1 <= int(wanted) <= RATE):
        raise NotReady(f"RATE is {wanted!r}; it must be a number of requests a second from 1 to {RATE}.")
    return int(wanted)


class RunningTraffic:
    """A load generator at work."""

    def __init__(self, rate: int, longest: float, targets_file: Path, results: Path) -> None:
        self.rate = rate
        self.longest = longest
        self._results = results
        self._record: Record | None = None
        self._log = results.with_suffix(".log")
        self.when_ended: Callable[[], None] = lambda: None
        command = [
            "vegeta",
            "attack",
            "-format=json",
            f"-targets={targets_file}",
            f"-rate={rate}/s",
            f"-duration={longest:.0f}s",
            f"-timeout={_REQUEST_TIMEOUT_SECONDS}s",
            f"-max-workers={_MOST_WORKERS}",
            "-workers=50",
            "-max-body=0",
            "-redirects=-1",
            f"-output={results}",
        ]
        with self._log.open("wb") as log:
            # A session of its own: Ctrl-C at the terminal is ours to pass on, so that the results are kept.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.started_at = time.time()

    def sent(self) -> int:
        """How many requests were sent by now, at least: it needs a moment to start."""
        return int(min(max(time.time() - self.started_at - _START_SECONDS, 0.0), self.longest) * self.rate)

    @property
    def ended(self) -> bool:
        """Whether it was stopped."""
        return self._record is not None

    def check(self) -> None:
        """Raise DrillFailed if the load ended by itself."""
        if not self.ended and self._process.poll() is not None:
            errors = self._log.read_text(encoding="utf-8", errors="replace").strip()
            raise DrillFailed(
                f"The load should run until the drill ends, and ended after {time.time() - self.started_at:.0f} s "
                f"(status {self._process.returncode}; its limit was {self.longest:.0f} s). {errors}"
            )

    def stop(self) -> Record:
        """Send nothing more, wait for answers that are under way, and read the record of every request."""
        if self._record is None:
            self._end()
            self._record = read_results(self._results)
            self.when_ended()
        return self._record

    def _end(self) -> None:
        # The first signal stops the sending; the second gives up on answers.
        for patience in (_REQUEST_TIMEOUT_SECONDS + 5, 5):
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(patience)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def send(wanted: Iterable[dict[str, Any]], rate: int, longest: float, folder: Path) -> RunningTraffic:
    """Send these requests (vegeta's JSON format) over and over, so many a second, for so many seconds at most."""
    folder.mkdir(parents=True, exist_ok=True)
    targets_file = folder / "targets.json"
    targets_file.write_text("".join(f"{json.dumps(each)}\n" for each in wanted), encoding="utf-8")
    return RunningTraffic(rate, longest, targets_file, folder / "requests.bin")


def read_results(results: Path) -> Record:
    """The record of every request in a result file of vegeta."""
    command = ["vegeta", "encode", "-to=csv", str(results)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as encoder:
        return record.read(encoder.stdout or ())
