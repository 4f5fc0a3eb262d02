"""`delivery status --watch`: one live screen of all environments until Ctrl-C.

Git and the cluster are read in the background, so an unreachable server stops neither the screen nor Ctrl-C.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from delivery.cli.status import observe
from delivery.cli.status_model import Overview
from delivery.cli.status_table import lines, table
from delivery.errors import Refused
from delivery.gitops.branch import EnvironmentsBranch, fetch_existing
from delivery.gitops.git import Repository

_EVERY_SECONDS = 1.0
# Reading takes a second or two; after this long the screen shows how old it is.
_OLD_SECONDS = 10.0
_LEAVING_SECONDS = 3.0


@dataclass
class View:
    """What was last seen, and why nothing newer is."""

    repository: Repository
    overview: Overview | None = None
    trouble: str = ""
    """Why Git cannot be read; empty when it can."""
    _branch: EnvironmentsBranch | None = None
    _refreshed: float = field(default_factory=time.monotonic)

    def watch(self, stopped: threading.Event) -> None:
        """Refresh until stopped."""
        while not stopped.is_set():
            self.refresh()
            stopped.wait(_EVERY_SECONDS)

    def refresh(self) -> None:
        """Read Git and the cluster once; while Git is unreachable, its last state counts."""
        trouble = ""
        try:
            self._branch = fetch_existing(self.repository)
        except Refused as refusal:
            trouble = f"Git cannot be read: {refusal}"
        if self._branch:
            self.overview = observe(self._branch)
        self.trouble = trouble
        self._refreshed = time.monotonic()

    def picture(self) -> RenderableType:
        age = time.monotonic() - self._refreshed
        head = f"{datetime.now(tz=UTC):%H:%M:%S} UTC"
        if self.overview is None:
            return Text(
                self.trouble or f"{head}  reading Git and the cluster …", style="red" if self.trouble else ""
            )
        parts: list[RenderableType] = [Text(f"{head}  Ctrl-C ends this", style="dim")]
        if age > _OLD_SECONDS:
            parts.append(Text(f"This is {age:.0f} s old: Git or the cluster does not answer.", style="red"))
        parts += [table(self.overview.environments), *lines(self.overview.restrictions)]
        parts += [Text(each, style="red") for each in (self.trouble, self.overview.unknown) if each]
        return Group(*parts)


def watch(repository: Repository) -> int:
    """Show the screen until Ctrl-C, and leave its last state there. Always 0."""
    console, view, stopped = Console(), View(repository), threading.Event()
    looking = threading.Thread(target=view.watch, args=(stopped,), name="status-watch", daemon=True)
    looking.start()
    try:
        with Live(view.picture(), console=console, screen=console.is_terminal, auto_refresh=False) as live:
            while True:
                live.update(view.picture(), refresh=True)
                time.sleep(_EVERY_SECONDS / 2)
    except KeyboardInterrupt:
        pass
    stopped.set()
    if console.is_terminal:
        console.print(view.picture())
    looking.join(_LEAVING_SECONDS)
    return 0
