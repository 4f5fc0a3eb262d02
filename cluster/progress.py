"""Says what is being done and how long it took, one line a step, and how much of a whole is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import ClassVar

from rich.console import Console
from rich.live import Live
from rich.text import Text

console = Console(highlight=False)

BAR = 20
TRUSTED = 60
"""So many seconds this machine is taken to be as fast as expected; what is measured here outweighs that by and by."""


@dataclass
class Part:
    """A part of a whole that is being done."""

    title: str
    seconds: float
    started: float


class Whole:
    """Work of which it is known, in seconds, how long it took before. Parts of it may be done side by side."""

    current: ClassVar[Whole | None] = None

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        """Of what has not ended, as expected before."""
        self._seconds = seconds
        self._started = time.monotonic()
        self._slowness = 1.0
        self._shown = 0.0
        self._running: list[Part] = []
        self._lock = threading.Lock()

    @contextmanager
    def part(self, title: str, seconds: float) -> Iterator[None]:
        """Do what was expected to take so many seconds."""
        part = Part(title, seconds, time.monotonic())
        with self._lock:
            self._running.append(part)
        try:
            yield
        finally:
            with self._lock:
                self._running.remove(part)
                self._left -= seconds
                done = self._seconds - self._left + self._under_way()
                self._slowness = (TRUSTED + time.monotonic() - self._started) / (TRUSTED + done)

    def share(self) -> float:
        """How much of it is done, from 0 to 1; never less than it was before."""
        with self._lock:
            left = max(self._left - self._under_way(), 0)
            self._shown = max(self._shown, 1 - left / self._seconds)
            return self._shown

    def left(self) -> float:
        """Seconds until the end, when this machine goes on as it has done so far."""
        with self._lock:
            return max(self._left - self._under_way(), 0) * self._slowness

    def _under_way(self) -> float:
        """By the clock; a part that takes longer than expected stays at 95 %."""
        now = time.monotonic()
        return sum(min((now - part.started) / self._slowness, 0.95 * part.seconds) for part in self._running)

    def __str__(self) -> str:
        left = self.left()
        return f"{self.share():.0%}, {about(left)} left" if left > 1 else f"{self.share():.0%}"

    def __rich__(self) -> Text:
        """One line of the terminal; what does not fit of the titles is cut."""
        done = round(self.share() * BAR)
        titles = ", ".join(part.title for part in self._running)
        return Text.assemble(
            ("━" * done, "green"),
            ("━" * (BAR - done), "dim"),
            f" {self}  ",
            (titles, "dim"),
            no_wrap=True,
            overflow="ellipsis",
        )


@contextmanager
def whole(seconds: float) -> Iterator[None]:
    """All that is done inside is expected to take so many seconds: a bar says how much is left.

    Where the output is no terminal, the line of each step says it.
    """
    Whole.current = bar = Whole(seconds)
    live = (
        Live(bar, console=console, refresh_per_second=2, transient=True)
        if console.is_interactive
        else nullcontext()
    )
    try:
        with live:
            yield
    finally:
        Whole.current = None


@contextmanager
def part(title: str, seconds: float) -> Iterator[None]:
    """Count what is done inside as so many seconds of the whole, if there is one; no line is printed."""
    with Whole.current.part(title, seconds) if Whole.current else console.status(f"{title} …"):
        yield


@contextmanager
def step(title: str, seconds: float = 0) -> Iterator[None]:
    """Show `title` as running and, when it ends, its duration; `seconds` is what is expected of it in a whole."""
    started = time.monotonic()
    mark = "[red]✗[/]"
    try:
        with part(title, seconds):
            yield
        mark = "[green]✓[/]"
    finally:
        share = f"  {Whole.current}" if Whole.current and not console.is_interactive else ""
        console.print(
            f"{mark} {title}  [dim]{_seconds(started)}{share}[/]", soft_wrap=not console.is_interactive
        )


def note(text: str) -> None:
    """One line of information between two steps."""
    console.print(f"[dim]·[/] {text}")


def about(seconds: float) -> str:
    """A duration as one would say it: `about 40 s`, `about 12 min`."""
    tens, minutes = round(seconds / 10), round(seconds / 60)
    return f"about {minutes} min" if minutes > 1 else f"about {max(tens, 1)}0 s"


def _seconds(started: float) -> str:
    passed = time.monotonic() - started
    minutes, seconds = divmod(int(passed), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{passed:.1f} s"
