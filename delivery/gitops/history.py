"""What was released when, by whom and why, from the log of the branch `environments` alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from delivery.errors import UnreadableRelease
from delivery.gitops import documents, freeze, promoted, quarantine
from delivery.gitops.branch import FILE, EnvironmentsBranch
from delivery.gitops.git import BATCH, Commit, Repository
from delivery.gitops.release import MOST_BYTES, NAME, Release
from delivery.texts import one_line

RELEASE, PROMOTION, ROLLBACK, AUTOMATIC_ROLLBACK = "release", "promotion", "rollback", "automatic rollback"
UNQUARANTINE, FREEZE, THAW = "unquarantine", "freeze", "thaw"
DEPLOYMENTS = (RELEASE, PROMOTION)
ROLLBACKS = (ROLLBACK, AUTOMATIC_ROLLBACK)
# How our own commits begin, those of version 1.0 included ("heal", "pardon"). Whatever else puts an earlier release
# back is a rollback, however it is called.
_KINDS = {
    "release": RELEASE,
    "promote": PROMOTION,
    "automatic": AUTOMATIC_ROLLBACK,
    "heal": AUTOMATIC_ROLLBACK,
}
_UNQUARANTINES = ("unquarantine", "pardon")
_GUARD = re.compile(r"^By: (delivery guard)$", re.MULTILINE)


@dataclass(frozen=True)
class Event:
    """What a commit did to an environment; `was` is the release before. Lifting a quarantine is of no environment."""

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
    outcome: str = ""
    """What became of the release, by the guard's record: promoted, aborted or replaced; empty where unknown."""
    weight: int | None = None
    """The highest share of the traffic that it had as a canary, in percent."""


def events(repository: Repository, branch: EnvironmentsBranch, most: int | None = None) -> list[Event]:
    """What has happened on the branch, newest first; with its `most` newest commits, else ever."""
    if branch.tip is None:
        return []
    commits = repository.commits(branch.tip, most)
    last: dict[str, list[Release]] = {}
    newest: dict[tuple[str, promoted.Identity], int] = {}
    found: list[Event] = []
    for number, commit in enumerate(reversed(commits)):
        if number % BATCH == 0:
            _read_ahead(repository, commits[-number - BATCH : -number or None])
        for path in sorted(commit.files):
            if environment := _environment(path):
                event = _of_release(branch, commit, environment, last.setdefault(environment, []))
                if event.release and event.kind in DEPLOYMENTS:
                    newest[environment, promoted.identity(event.release)] = len(found)
                found.append(event)
            elif path == freeze.FILE or (path == quarantine.FILE and _first_word(commit) in _UNQUARANTINES):
                found.append(_of_rules(commit))
        for place, entry in _outcomes(branch, commit):
            if (index := newest.get(place)) is not None:
                found[index] = replace(found[index], outcome=entry.outcome, weight=entry.weight)
    return found[::-1]


def _outcomes(
    branch: EnvironmentsBranch, commit: Commit
) -> Iterator[tuple[tuple[str, promoted.Identity], promoted.PromotionEntry]]:
    """Each release's entry in the guard's record, if this commit wrote it."""
    if not commit.files.get(promoted.FILE):
        return
    for name, record in promoted.copies_of(branch, at=commit.name).items():
        for entry in record.entries:
            yield (name, entry.identity), entry


def _read_ahead(repository: Repository, commits: Iterable[Commit]) -> None:
    written = [(commit.name, path) for commit in commits for path, there in commit.files.items() if there]
    repository.read_ahead(((commit, path) for commit, path in written if _environment(path)), MOST_BYTES)
    records = ((commit, path) for commit, path in written if path == promoted.FILE)
    repository.read_ahead(records, documents.MOST_BYTES)


def _of_release(branch: EnvironmentsBranch, commit: Commit, environment: str, line: list[Release]) -> Event:
    """`line`: the environment's releases before, to which this one is added."""
    release, problem, was = None, None, line[-1] if line else None
    try:
        release = branch.release(environment, at=commit.name)
    except UnreadableRelease as error:
        problem = str(error)
    kind = _KINDS.get(_first_word(commit), ROLLBACK if release in line[:-1] else RELEASE)
    if release:
        line.append(release)
    return Event(commit.at, kind, environment, _by(commit), _why(commit), commit.name, release, was, problem)


def _of_rules(commit: Commit) -> Event:
    word, _, rest = commit.message.partition(" ")
    kind = UNQUARANTINE if word in _UNQUARANTINES else THAW if word == THAW else FREEZE
    named = rest.split()[0] if word in (FREEZE, THAW) and rest.split() else ""
    environment = named if NAME.fullmatch(named) else None
    why = "; ".join(part for part in (one_line(commit.message.split("\n", 1)[0]), _why(commit)) if part)
    return Event(commit.at, kind, environment, _by(commit), why, commit.name)


def _environment(path: str) -> str | None:
    folder, _, name = path.rpartition("/")
    return folder if NAME.fullmatch(folder) and name == FILE else None


def _first_word(commit: Commit) -> str:
    return commit.message.split(" ", 1)[0]


def _by(commit: Commit) -> str:
    found = _GUARD.search(commit.message)
    return found[1] if found else one_line(commit.author, 100)


def _why(commit: Commit) -> str:
    """The first paragraph after the subject, if it is a reason."""
    _, _, body = commit.message.strip().partition("\n\n")
    paragraph = body.strip().split("\n\n", 1)[0]
    if paragraph.startswith(("image: ", "By: ")):
        return ""
    reasons = [line.removeprefix("- ") for line in paragraph.splitlines() if line.startswith("- ")]
    return one_line("; ".join(reasons) or paragraph)
