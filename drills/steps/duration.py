"""How long a step may take, as it is read aloud: minutes(2)."""

from __future__ import annotations

from datetime import timedelta


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)
