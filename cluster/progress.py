"""Says what is being done and how long it took, one line a step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

console = Console(highlight=False)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Show `title` as running (a spinner on a terminal) and, when it ends, its duration in seconds."""
    started = time.monotonic()
    try:
        with console.status(f"{title} …"):
            yield
    except BaseException:
        console.print(f"[red]✗[/] {title}  [dim]{_seconds(started)}[/]")
        raise
    console.print(f"[green]✓[/] {title}  [dim]{_seconds(started)}[/]")


def note(text: str) -> None:
    """One line of information between two steps."""
    console.print(f"[dim]·[/] {text}")


def _seconds(started: float) -> str:
    passed = time.monotonic() - started
    minutes, seconds = divmod(int(passed), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{passed:.1f} s"
