"""How a gate ends that lets the commit not pass."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec

P = ParamSpec("P")


class Refuses(Exception):
    """A gate lets the commit not pass; the message is one sentence that says what to change."""


def gate(name: str) -> Callable[[Callable[P, int]], Callable[P, int]]:
    """Around a gate's main: what it Refuses is told on standard error, and the exit status is 1."""

    def around(main: Callable[P, int]) -> Callable[P, int]:
        @functools.wraps(main)
        def told(*arguments: P.args, **named: P.kwargs) -> int:
            try:
                return main(*arguments, **named)
            except Refuses as refusal:
                print(f"{name}: {refusal}", file=sys.stderr)
                return 1

        return told

    return around
