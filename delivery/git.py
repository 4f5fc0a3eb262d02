"""Plain Git on a bare repository of our own, so that nobody's checkout is ever touched.

The repository lives in a temporary directory for one command. Commits are made without a working tree and
without local branches: until the push, nothing that anyone can see has changed.
"""

import getpass
import os
import re
import secrets
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from delivery.errors import Refused

REMOTE_TRACKING = "refs/remotes/origin"
# Variables that would point Git at somebody's checkout (set inside hooks) and must not leak in.
_CHECKOUT_VARIABLES = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_SHALLOW_FILE",
)
_LOST_RACE = re.compile(
    r"fetch first|non-fast-forward|cannot lock ref|failed to update ref|incorrect old value"
)
_NO_SUCH_BRANCH = "couldn't find remote ref"
_PASSWORD_IN_URL = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*@")


class GitFailed(Refused):
    """A Git command failed; the message says which remote and what Git said."""


class PushLost(Exception):
    """Somebody else pushed first."""


def origin_of(folder: Path) -> str:
    """The URL of `origin` in the checkout that holds `folder`. Raises Refused."""
    try:
        url = _run(["remote", "get-url", "origin"], cwd=folder).strip()
    except GitFailed as error:
        raise Refused(
            "No remote: give --remote, set DELIVERY_REMOTE or run inside a Git checkout that has an origin."
        ) from error
    top = Path(_run(["rev-parse", "--show-toplevel"], cwd=folder).strip())
    local = not re.match(r"[A-Za-z0-9+.-]+://|[^/]+:", url)
    return str((top / url).resolve()) if local else url


def identity(folder: Path) -> dict[str, str]:
    """Who makes a commit: what Git is told in this folder, else the account on this machine."""
    environment = {}
    for role in ("AUTHOR", "COMMITTER"):
        for key in ("name", "email"):
            variable = f"GIT_{role}_{key.upper()}"
            environment[variable] = (
                os.environ.get(variable) or _setting(f"user.{key}", folder) or _account(key)
            )
    return environment


def _account(key: str) -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "delivery"
    return user if key == "name" else f"{user}@{socket.gethostname()}"


@dataclass(frozen=True)
class Commit:
    """A commit, and the files that it wrote (True) or removed (False)."""

    name: str
    at: datetime
    author: str
    message: str
    files: dict[str, bool]


class Repository:
    """A bare repository with one remote, `origin`."""

    def __init__(self, path: Path, remote: str, folder: Path) -> None:
        self.remote = remote
        self._path = path
        self._identity = identity(folder)
        self._texts: dict[tuple[str, str], str | None] = {}
        self._settings = {
            **_settings_for_transport(folder),
            "remote.origin.url": remote,
            "core.hooksPath": os.devnull,
            "gc.auto": "0",
        }

    @property
    def author(self) -> str:
        return f"{self._identity['GIT_AUTHOR_NAME']} <{self._identity['GIT_AUTHOR_EMAIL']}>"

    def fetch_branch(self, branch: str) -> str | None:
        """Fetch one branch with all its content; its commit, or None if the remote has no such branch."""
        tracking = f"{REMOTE_TRACKING}/{branch}"
        try:
            self._git("fetch", "--quiet", "--no-tags", "origin", f"+refs/heads/{branch}:{tracking}")
        except GitFailed as error:
            if _NO_SUCH_BRANCH in str(error):
                return None
            raise
        return self._git("rev-parse", tracking).strip()

    def fetch_history(self) -> None:
        """Fetch every branch and tag; file contents only when asked for, if the server can do that."""
        branches = f"+refs/heads/*:{REMOTE_TRACKING}/*"
        self._git("fetch", "--quiet", "--filter=blob:none", "origin", branches, "+refs/tags/*:refs/tags/*")

    def commit_on_remote(self, name: str) -> str | None:
        """The full commit that a hexadecimal name stands for, if a branch or tag of the remote has it."""
        try:
            commit = self._git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()
        except GitFailed:
            return None
        return commit if self._git("for-each-ref", "--count=1", "--contains", commit).strip() else None

    def paths(self, commit: str, *paths: str) -> set[str]:
        """Those of `paths` that exist at a commit; `folder/` lists what is in a folder."""
        return set(self._git("ls-tree", "--name-only", "-z", commit, "--", *paths).split("\0")) - {""}

    def text(self, commit: str, path: str) -> str | None:
        """A file's text at a commit, or None if there is no such file."""
        asked = (commit, path)
        if asked not in self._texts:  # what a commit holds never changes
            exists = path in self.paths(commit, path)
            self._texts[asked] = self._git("cat-file", "blob", f"{commit}:{path}") if exists else None
        return self._texts[asked]

    def tree(self, commit: str) -> str:
        """What names a commit's whole content."""
        return self._git("rev-parse", f"{commit}^{{tree}}").strip()

    def message(self, commit: str) -> str:
        return self._git("show", "--no-patch", "--format=%B", commit)

    def time(self, commit: str) -> datetime:
        """When a commit was made."""
        return datetime.fromtimestamp(int(self._git("show", "--no-patch", "--format=%ct", commit)), tz=UTC)

    def log(self, commit: str, path: str, *, since: str | None = None) -> list[str]:
        """Commits that changed a file, newest first; `since` leaves out that commit and those before it."""
        reach = [commit, f"^{since}"] if since else [commit]
        return self._git("log", "--first-parent", "--format=%H", *reach, "--", path).split()

    def commits(self, tip: str) -> list[Commit]:
        """All commits up to one, newest first, with what each did to the one before it."""
        form = "--format=%x01%H%x02%ct%x02%an%x02%B%x02"
        listed = self._git("log", "--first-parent", "-m", "--name-status", "--no-renames", form, tip)
        found = []
        for each in listed.split("\x01")[1:]:
            name, time, author, message, files = each.split("\x02")
            changed = (line.split("\t", 1) for line in files.splitlines() if line)
            at = datetime.fromtimestamp(int(time), tz=UTC)
            found.append(Commit(name, at, author, message, {path: kind != "D" for kind, path in changed}))
        return found

    def read_ahead(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Read many files, each at a commit that has it, with one call of Git; `text` then knows them."""
        asked = [each for each in wanted if each not in self._texts]
        if not asked:
            return
        mark = f"<{secrets.token_hex(16)}>"
        names = "".join(f"{commit}:{path}\n" for commit, path in asked)
        texts = self._git("cat-file", f"--batch={mark}", given=names).split(f"{mark}\n")[1:]
        if len(texts) == len(asked):  # else one of them is not there, and they are read one by one
            self._texts |= {each: text.removesuffix("\n") for each, text in zip(asked, texts, strict=True)}

    def check_out(self, commit: str, folder: Path) -> None:
        """Write all files of a commit into an empty folder."""
        index = self._path / f"index-{secrets.token_hex(8)}"
        place = {"GIT_DIR": str(self._path), "GIT_WORK_TREE": str(folder), "GIT_INDEX_FILE": str(index)}
        try:
            self._git("read-tree", "--reset", "-u", commit, place=place)
        finally:
            index.unlink(missing_ok=True)

    def is_ancestor(self, commit: str, of: str) -> bool:
        try:
            self._git("merge-base", "--is-ancestor", commit, of)
        except GitFailed:
            return False
        return True

    def commit(self, files: Mapping[str, str], message: str, parent: str | None) -> str:
        """Make a commit that writes `files` on top of `parent`; nothing refers to it until it is pushed."""
        self._git("read-tree", *([parent] if parent else ["--empty"]))
        for path, text in files.items():
            blob = self._git("hash-object", "-w", "--stdin", given=text).strip()
            self._git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
        tree = self._git("write-tree").strip()
        parents = ["-p", parent] if parent else []
        return self._git("commit-tree", tree, *parents, "-F", "-", given=message).strip()

    def push(self, commit: str, branch: str) -> None:
        """Move the remote's branch forward to a commit. Raises PushLost when somebody else was faster."""
        try:
            self._git("push", "--quiet", "--porcelain", "origin", f"{commit}:refs/heads/{branch}")
        except GitFailed as error:
            if _LOST_RACE.search(str(error)):
                raise PushLost from error
            raise

    def _git(self, *arguments: str, given: str | None = None, place: Mapping[str, str] | None = None) -> str:
        environment = {**self._identity, **_as_environment(self._settings), **(place or {})}
        try:
            return _run(arguments, cwd=self._path, environment=environment, given=given)
        except GitFailed as error:
            raise GitFailed(f"{self.remote}: {error}") from error


@contextmanager
def opened(remote: str, folder: Path) -> Iterator[Repository]:
    """A fresh bare repository for `remote`, gone afterwards. `folder` is where the person stands."""
    if _PASSWORD_IN_URL.search(remote):
        raise Refused("The remote's address holds a password; give it to a Git credential helper instead.")
    if remote.startswith("-"):
        raise Refused(f"A remote is an address, which {remote!r} is not.")
    # Who leaves while Git is at work there leaves all the same.
    with tempfile.TemporaryDirectory(prefix="delivery-", ignore_cleanup_errors=True) as path:
        _run(["init", "--quiet", "--bare", "--template=", path])
        yield Repository(Path(path), remote, folder)


def _settings_for_transport(folder: Path) -> dict[str, str]:
    """How the checkout at `folder` reaches its remotes and signs in: its own credential and http settings."""
    try:
        listed = _run(["config", "--local", "-z", "--get-regexp", r"^(credential|http)\."], cwd=folder)
    except GitFailed:
        return {}
    pairs = (entry.split("\n", 1) for entry in listed.split("\0") if entry)
    return {pair[0]: pair[1] if len(pair) > 1 else "true" for pair in pairs}


def _setting(key: str, folder: Path) -> str:
    try:
        return _run(["config", "--get", key], cwd=folder).strip()
    except GitFailed:
        return ""


def _as_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Git settings as environment variables (never arguments: every user of a machine can read those)."""
    first = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    environment = {"GIT_CONFIG_COUNT": str(first + len(settings))}
    for index, (key, value) in enumerate(settings.items(), start=first):
        environment |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return environment


def _run(
    arguments: list[str] | tuple[str, ...],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    given: str | None = None,
) -> str:
    inherited = {key: value for key, value in os.environ.items() if key not in _CHECKOUT_VARIABLES}
    # LC_ALL: messages are read; GIT_TERMINAL_PROMPT: a missing password is an error, not a question.
    inherited |= {"LC_ALL": "C.UTF-8", "LANGUAGE": "", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=cwd,
            env=inherited | dict(environment or {}),
            input=given,
            stdin=None if given is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise Refused("The program git is not installed or not on PATH.") from error
    if done.returncode:
        said = " ".join((done.stderr + done.stdout).split()) or f"exit status {done.returncode}"
        raise GitFailed(f"git {arguments[0]} failed: {_PASSWORD_IN_URL.sub('', said)}")
    return done.stdout
