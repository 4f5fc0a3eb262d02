"""Steps about the load of a drill: how many requests to wait for, and its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NoReturn

from drills.errors import NotReady
from drills.load.results import Record
from drills.load.traffic import RunningTraffic
from drills.steps.duration import seconds

if TYPE_CHECKING:
    from drills.steps.environment import Environment


class LoadSteps:
    """What can be done with the load of an environment."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment

    def requests_sent(self) -> int:
        """By the drill's load, since it began."""
        return self._load().sent()

    def wait_until_sent(self, total: int) -> None:
        """Wait until the drill's load has sent that many requests since it began."""
        load = self._load()
        longest = seconds(max(total - load.sent(), 0) / load.rate + 10)
        self.environment.wait_until(lambda _: load.sent() >= total, longest, f"{total} requests sent")

    def wait_for_requests(self, count: int) -> tuple[float, float]:
        """Wait until so many more requests were sent; from when to when."""
        start = time.time()
        self.wait_until_sent(self.requests_sent() + count)
        return start, time.time()

    def end_load(self, *, after: int, of_at_least: int) -> None:
        """Wait until so many more requests were sent, and so many in all; nothing if the load has ended."""
        load = self._load()
        if not load.ended:
            # What was sent is reckoned from the time, and some of it is still on its way when the load ends.
            self.wait_until_sent(max(load.sent(), of_at_least) + after)
            load.stop()

    @property
    def record(self) -> Record:
        """Every request of the drill; asking for it ends the load."""
        self._load()
        return self.environment.record()

    def _fail(self, expected: str, found: str) -> NoReturn:
        self.environment.fail(expected, found)

    def _load(self) -> RunningTraffic:
        if self.environment.load is None:
            raise NotReady("A drill that counts requests begins with under(traffic(…)).")
        return self.environment.load
