"""Shell scripts that stand in for programs which would fetch, build or change something."""

from pathlib import Path


class Programs:
    """A folder of scripts; each call is written down, arguments separated by blanks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def add(self, name: str, script: str = "", *, at: Path | None = None) -> Path:
        """Make a program; `$calls` is a file for itself, `$0` its own path."""
        path = at or self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        calls = self.folder / f"{name}.calls"
        path.write_text(f'#!/bin/sh\ncalls=\'{calls}\'\necho "$*" >> "$calls"\n{script}\n', encoding="utf-8")
        path.chmod(0o755)
        return path

    def calls(self, name: str) -> list[str]:
        """The arguments of each call."""
        file = self.folder / f"{name}.calls"
        return file.read_text(encoding="utf-8").splitlines() if file.exists() else []
