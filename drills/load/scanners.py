"""Strangers who ask for what no route leads to, as scanners of the internet do."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drills.fixtures import local_cluster
from drills.load.results import SCANNER
from drills.load.traffic import LONGEST_SECONDS, TARGETS, RunningTraffic, Traffic, send, usual_rate

_ENDINGS = ("", "/", ".php", ".env", ".git/config", ".bak")


@dataclass(frozen=True)
class Scanners(Traffic):
    """They need no account: each asks once for a path that nobody has."""

    def start(
        self,
        environment: str,
        folder: Path,
        url: str = local_cluster.HTTP,
        *,
        sign_up_at: str | None = None,  # noqa: ARG002  # as users have it
    ) -> RunningTraffic:
        host = local_cluster.api_host(environment)
        rate = self.rate or usual_rate()
        return send(unknown_paths(url, host, TARGETS), rate, LONGEST_SECONDS, folder)


def unknown_paths(url: str, host: str, count: int, *, seed: int = 1) -> list[dict[str, Any]]:
    """So many requests in vegeta's JSON format, each for another path."""
    dice = random.Random(seed)  # noqa: S311  # the paths are no secret
    return [
        {
            "method": "GET",
            "url": f"{url}/{dice.getrandbits(64):016x}{dice.choice(_ENDINGS)}#{SCANNER}",
            "header": {"Host": [host]},
        }
        for _ in range(count)
    ]
