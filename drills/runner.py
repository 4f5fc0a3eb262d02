"""Plays drills one after the other, and says in the terminal what happens and how each ended."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cluster.progress import console
from drills.errors import DrillFailed, NotReady
from drills.report import html
from drills.report.result import Account
from drills.steps.story import Environment


def tell(fact: str) -> None:
    """A fact of the drill that is played."""
    console.print(f"  [dim]·[/] {fact}")


def perform(environment: Environment, play: Callable[[Environment], None]) -> Account:
    """Play one drill to its end, good or bad, and write its report; its account."""
    console.print(f"[bold]{environment.title}[/]")
    with contextlib.suppress(DrillFailed, NotReady), environment:
        play(environment)
    account = environment.account()
    html.write_drill(account, environment.folder)
    if account.problem:
        console.print(f"  [red]✗[/] {account.problem}", soft_wrap=True)
    return account


def show(accounts: Sequence[Account], took: float, pages: Path) -> None:
    """Each drill in a line, how long all took in seconds, and where the pages are."""
    console.print()
    for account in accounts:
        mark = "[red]✗[/]" if account.problem else "[green]✓[/]"
        console.print(f"{mark} {account.line()}", soft_wrap=True)
    console.print(f"[dim]{took:.0f} s. The report: {pages}[/]", soft_wrap=True)


@contextlib.contextmanager
def ends_at(number: signal.Signals) -> Iterator[None]:
    """Let a signal end the program as Ctrl-C does, so that the load generator ends as well."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(number, stop)
    try:
        yield
    finally:
        signal.signal(number, before)
