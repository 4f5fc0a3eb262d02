"""Waits for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable

from cluster import paths
from cluster.errors import ClusterError


def until(condition: Callable[[], bool], *, what: str, seconds: float, every: float = 0.3) -> None:
    """Return as soon as `condition()` is true; ClusterError that names `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what} did not happen within {seconds:.0f} s; logs are in {paths.LOGS}.")
        time.sleep(every)
