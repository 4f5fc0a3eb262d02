"""`python -m drills.report.whole_run` (`make results`): pages and charts of whole runs go to docs/results/.

A whole run leaves its subject's page and chart in build/report/; a run of single scenarios or one that was stopped
leaves none. They are committed when a version is tagged, and not by a run.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from drills.fixtures import local_cluster

COMMANDS = {
    "proof": "make drills",
    "extended": "make drills-extended",
    "comparison": "make compare",
    "alerts": "make drills-alerts",
}
"""What plays each subject."""


def write(subject: str, text: str) -> None:
    """Write a subject's page, and beside it the summary's chart unless it has drawn one of its own."""
    page, chart = _files(subject)
    if not chart.exists():
        shutil.copyfile(local_cluster.REPORT / "summary.png", chart)
    page.write_text(text, encoding="utf-8")


def discard(subject: str) -> None:
    """A run begins: what an earlier one has left is not its result."""
    for file in _files(subject):
        file.unlink(missing_ok=True)


def _files(subject: str) -> tuple[Path, Path]:
    return local_cluster.REPORT / f"{subject}.md", local_cluster.REPORT / f"{subject}.png"


def main() -> int:
    found = [subject for subject in COMMANDS if _files(subject)[0].exists()]
    if not found:
        commands = ", ".join(f"`{command}`" for command in COMMANDS.values())
        print(
            f"results: {local_cluster.REPORT} is not of a whole run: let one of {commands} come to its end.",
            file=sys.stderr,
        )
        return 1
    folder = local_cluster.CHECKOUT / "docs" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    for subject in found:
        for file in _files(subject):
            shutil.copyfile(file, folder / file.name)
        print(f"wrote docs/results/{subject}.md of `{COMMANDS[subject]}`")
    return 0


if __name__ == "__main__":
    sys.exit(main())
