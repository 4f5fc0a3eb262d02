"""The `environments` branch: a `release.yaml` for each environment; its log is the deployment history."""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from delivery.errors import Refused, Unreadable, UnreadableRelease
from delivery.gitops.git import PushLost, Repository
from delivery.gitops.release import MOST_BYTES, NAME, Release

BRANCH = "environments"
ENVIRONMENTS = ("dev", "staging", "production")
FILE = "release.yaml"
ROLLBACK_TRAILER = "Rolled-back-to"

README = """\
# What runs where

Each folder is an environment. Its `release.yaml` names a revision (a commit of the code: chart, settings and
analysis templates come from it), an image and a strategy. Argo CD deploys what is written here; `git log` is
the deployment history, and a rollback is a commit like any other.

    delivery release --image REPOSITORY@sha256:… --to dev
    delivery promote dev staging
    delivery rollback production
    delivery status

A change by hand works too; a file that cannot be read stops only its own environment. To take a release back by
Git alone, revert the commit of its `release.yaml`: git revert "$(git log -1 --format=%H -- production/release.yaml)"
"""

_PUSH_ATTEMPTS = 10
_MOST_RELEASES = 100
_MOST_FOLDERS = 1000


@dataclass(frozen=True)
class ReleaseRecord:
    """A release that an environment had, and the commit that brought it."""

    commit: str
    release: Release


@dataclass(frozen=True)
class Change:
    """Files to write on the branch, and the commit message that says why."""

    files: dict[str, str]
    message: str


@dataclass(frozen=True)
class Published:
    """A commit that is on the remote, and its first line."""

    commit: str
    subject: str

    def __str__(self) -> str:
        return f"{self.subject} ({self.commit[:12]})"


class EnvironmentsBranch:
    """The branch as it was at one commit; a remote without the branch has no tip."""

    def __init__(self, repository: Repository, tip: str | None) -> None:
        self._repository = repository
        self.tip = tip

    def names(self) -> list[str]:
        """Environments in the order of promotion, then others that have a folder on the branch."""
        listed = self._repository.paths(self.tip) if self.tip else set()
        folders = [path for path in listed if NAME.fullmatch(path)][:_MOST_FOLDERS]
        wanted = {path_of(folder): folder for folder in folders}
        found = self._repository.paths(self.tip, *wanted) if self.tip and wanted else set()
        return [*ENVIRONMENTS, *sorted({wanted[path] for path in found} - set(ENVIRONMENTS))]

    def release(self, environment: str, at: str | None = None) -> Release | None:
        """The release of an environment (now or at a commit), or None before its first.

        Raises UnreadableRelease.
        """
        commit = at or self.tip
        where = f"{path_of(environment)} on the branch {BRANCH}" + (f" at {at[:12]}" if at else "")
        try:
            text = self._repository.text(commit, path_of(environment), MOST_BYTES) if commit else None
        except Unreadable as error:
            raise UnreadableRelease(f"{where} {error}.") from error
        return None if text is None else Release.parse(text, where)

    def readable_releases(self, at: str | None = None) -> dict[str, Release]:
        """By environment, now or at a commit, without what cannot be read."""
        found: dict[str, Release] = {}
        for environment in self.names():
            with suppress(UnreadableRelease):
                if release := self.release(environment, at):
                    found[environment] = release
        return found

    def current(self, environment: str) -> Release | None:
        """Like `release`, for a command that builds on it: the error says how to repair the file."""
        try:
            return self.release(environment)
        except UnreadableRelease as error:
            raise UnreadableRelease(
                f"{error} Repair it, or put back the release before: delivery rollback {environment}"
            ) from error

    def last_commit(self, environment: str) -> str | None:
        """The commit that last changed an environment's release."""
        return next(iter(self._log(environment, 1)), None)

    def has_changed(self, environment: str, commit: str) -> bool:
        """Whether a commit has changed an environment's release."""
        return self._repository.log(commit, path_of(environment), 1) == [commit]

    def text(self, path: str, at: str | None = None) -> str | None:
        """A file of the branch, now or at a commit; None if there is no such file."""
        commit = at or self.tip
        return self._repository.text(commit, path) if commit else None

    def releases(self, environment: str) -> tuple[ReleaseRecord, ...]:
        """The last hundred releases of an environment, newest first, without what cannot be read."""
        found: list[ReleaseRecord] = []
        commits = self._log(environment, _MOST_RELEASES)
        self._repository.read_ahead(((commit, path_of(environment)) for commit in commits), MOST_BYTES)
        for commit in commits:
            with suppress(UnreadableRelease):
                if release := self.release(environment, at=commit):
                    found.append(ReleaseRecord(commit, release))
        return tuple(found)

    def before(self, environment: str, leaving_out: frozenset[str] = frozenset()) -> ReleaseRecord | None:
        """The release to roll back to, where no guard keeps a record; rolling back again leads further back.

        `leaving_out`: digests of quarantined images. A, B, C, rolled back to B: the one before is A, not C.
        """
        line: list[ReleaseRecord] = []
        for past in reversed(self.releases(environment)):
            known = [each.release for each in line]
            if past.release in known:
                del line[known.index(past.release) + 1 :]
            else:
                line.append(past)
        try:
            now = self.release(environment)
        except UnreadableRelease:
            now = None  # every release that can be read is better than this one
        while line and (line[-1].release == now or line[-1].release.image.digest in leaving_out):
            line.pop()
        return line[-1] if line else None

    def at(self, environment: str, commit: str) -> ReleaseRecord:
        """The release that an environment had at a commit of the branch. Raises Refused."""
        full = self._repository.commit_on_remote(commit)
        if full is None or self.tip is None or not self._repository.is_ancestor(full, of=self.tip):
            raise Refused(f"{commit} is not a commit of the branch {BRANCH}.")
        release = self.release(environment, at=full)
        if release is None:
            raise Refused(f"{environment} had no release yet at {commit}.")
        return ReleaseRecord(full, release)

    def _log(self, environment: str, most: int | None = None) -> list[str]:
        return self._repository.log(self.tip, path_of(environment), most) if self.tip else []


def path_of(environment: str) -> str:
    return f"{environment}/{FILE}"


def fetch(repository: Repository) -> EnvironmentsBranch:
    """The branch as it is now on the remote."""
    return EnvironmentsBranch(repository, repository.fetch_branch(BRANCH))


def fetch_existing(repository: Repository) -> EnvironmentsBranch:
    """Like `fetch`. Raises Refused if the remote has no such branch."""
    branch = fetch(repository)
    if branch.tip is None:
        raise Refused(f"{repository.remote} has no branch {BRANCH}; make it with: delivery init")
    return branch


def publish(
    repository: Repository,
    decide: Callable[[EnvironmentsBranch], Change | None],
    branch: EnvironmentsBranch | None = None,
) -> Published | None:
    """Push the change that `decide` makes of the branch; None if it wants none.

    `branch`: as it was fetched a moment ago, which saves fetching it again. When somebody else pushes at the same
    moment, `decide` is called again with the new branch. Raises Refused if others are faster every time.
    """
    for attempt in range(_PUSH_ATTEMPTS):
        if branch is None or attempt:
            branch = fetch(repository)
        change = decide(branch)
        if change is None:
            return None
        commit = repository.commit(change.files, change.message, parent=branch.tip)
        try:
            repository.push(commit, BRANCH)
        except PushLost:
            # Everyone waits for another time, so that the same two do not meet again.
            time.sleep(random.uniform(0, 0.05 * 2 ** min(attempt, 5)))  # noqa: S311
        else:
            return Published(commit, change.message.split("\n", 1)[0])
    raise Refused(
        f"Others pushed to {BRANCH} first, {_PUSH_ATTEMPTS} times in a row; nothing was changed. Try again."
    )
