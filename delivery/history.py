"""What was released when, by whom and why, read from the log of the branch `environments` alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from delivery import freeze, quarantine
from delivery.environments import FILE, GOES_BACK, Environments
from delivery.errors import UnreadableRelease
from delivery.git import Commit, Repository
from delivery.release import Release

RELEASE, PROMOTION, ROLLBACK, HEAL = "release", "promotion", "rollback", "heal"
PARDON, FREEZE, THAW = "pardon", "freeze", "thaw"
DEPLOYMENTS = (RELEASE, PROMOTION)
WAYS_BACK = (ROLLBACK, HEAL)
_HEALED = re.compile(r"^Healed-from: ", re.MULTILINE)
_GUARD = re.compile(r"^By: (delivery guard)$", re.MULTILINE)


@dataclass(frozen=True)
class Event:
    """What a commit did to an environment; `was` is the release before. A pardon is of no environment."""

    at: datetime
    kind: str
    environment: str | None
    by: str
    why: str
    commit: str
    release: Release | None = None
    was: Release | None = None
    problem: str | None = None
    """Why the release file that this commit brought cannot be read."""


def events(repository: Repository, branch: Environments) -> list[Event]:
    """Everything that has happened on the branch, newest first."""
    if branch.tip is None:
        return []
    commits = repository.commits(branch.tip)
    repository.read_ahead(
        (commit.name, path)
        for commit in commits
        for path, there in commit.files.items()
        if there and _environment(path)
    )
    last: dict[str, Release] = {}
    found: list[Event] = []
    for commit in reversed(commits):
        for path in sorted(commit.files):
            if environment := _environment(path):
                found.append(_of_release(branch, commit, environment, last))
            elif path == freeze.FILE or (path == quarantine.FILE and _first_word(commit) == PARDON):
                found.append(_of_rules(commit))
    return found[::-1]


def _of_release(branch: Environments, commit: Commit, environment: str, last: dict[str, Release]) -> Event:
    release, problem, was = None, None, last.get(environment)
    try:
        release = branch.release(environment, at=commit.name)
    except UnreadableRelease as error:
        problem = str(error)
    if release:
        last[environment] = release
    kind = PROMOTION if _first_word(commit) == "promote" else RELEASE
    if GOES_BACK.search(commit.message):
        kind = HEAL if _HEALED.search(commit.message) else ROLLBACK
    return Event(commit.at, kind, environment, _by(commit), _why(commit), commit.name, release, was, problem)


def _of_rules(commit: Commit) -> Event:
    word, _, rest = commit.message.partition(" ")
    kind = word if word in (PARDON, THAW) else FREEZE
    environment = rest.split()[0] if word in (FREEZE, THAW) and rest.split() else None
    why = "; ".join(part for part in (commit.message.split("\n", 1)[0], _why(commit)) if part)
    return Event(commit.at, kind, environment, _by(commit), why, commit.name)


def _environment(path: str) -> str | None:
    folder, _, name = path.rpartition("/")
    return folder if folder and "/" not in folder and name == FILE else None


def _first_word(commit: Commit) -> str:
    return commit.message.split(" ", 1)[0]


def _by(commit: Commit) -> str:
    found = _GUARD.search(commit.message)
    return found[1] if found else commit.author


def _why(commit: Commit) -> str:
    """The first paragraph after the subject, where it says why and not only what."""
    _, _, body = commit.message.strip().partition("\n\n")
    paragraph = body.strip().split("\n\n", 1)[0]
    if paragraph.startswith(("image: ", "By: ")):
        return ""
    reasons = [line.removeprefix("- ") for line in paragraph.splitlines() if line.startswith("- ")]
    return "; ".join(reasons) or " ".join(paragraph.split())
