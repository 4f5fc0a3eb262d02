"""Plain Git on a bare repository of our own, so that no checkout is ever touched.

The repository lives in a temporary directory for one command. Commits are made without a working tree and
without local branches: until the push, nothing that anyone can see has changed.
"""

import contextlib
import getpass
import os
import re
import secrets
import socket
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from delivery import processes
from delivery.errors import Refused, Unreadable
from delivery.gitops import documents
from delivery.texts import one_line

PATIENCE_SECONDS = 300.0
"""For one Git command of a person, whose network may be slow; a silent connection ends sooner."""
_SILENT_SECONDS = 30
HISTORY_COMMITS = 10_000
"""Of each branch of the code, where the history is bounded: 3 MB without files, and years of a busy team."""
_MOST_OUTPUT = 32 * 1024 * 1024  # the log of 20,000 releases
_MOST_REMEMBERED = 8 * 1024 * 1024
BATCH = 100  # files that are read at once
# Each fetch that brings something leaves a pack, and what was fetched before a branch was rewritten stays.
_FETCHES_BEFORE_TIDYING = 200
REMOTE_TRACKING = "refs/remotes/origin"
# Variables that would point Git at another checkout (set inside hooks) and must not leak in.
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
# Of a branch that is fetched whole.
_ENVIRONMENTS = "environments"
# They need folders and files of the code, of which only some were fetched.
_LOOKS_INTO_CODE = ("ls-tree", "read-tree")
_NOT_FETCHED = "from promisor remote"
_NO_SUCH_BRANCH = "couldn't find remote ref"
_PASSWORD_IN_URL = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*@")


class GitFailed(Refused):
    """A Git command failed; the message has the remote and Git's reason."""


class PushLost(Exception):
    """Somebody else pushed first."""


def origin_of(folder: Path) -> str:
    """The URL of `origin` in the checkout that holds `folder`. Raises Refused."""
    try:
        url = _output(["remote", "get-url", "origin"], folder)
    except GitFailed as error:
        raise Refused(
            "No remote: give --remote, set DELIVERY_REMOTE or run inside a Git checkout that has an origin."
        ) from error
    top = Path(_output(["rev-parse", "--show-toplevel"], folder))
    local = not re.match(r"[A-Za-z0-9+.-]+://|[^/]+:", url)
    return str((top / url).resolve()) if local else url


def identity(folder: Path) -> dict[str, str]:
    """Who makes a commit: by Git's settings in this folder, else the account on this machine."""
    environment = {}
    for role in ("AUTHOR", "COMMITTER"):
        for key in ("name", "email"):
            variable = f"GIT_{role}_{key.upper()}"
            named = os.environ.get(variable) or _setting(folder, "--get", f"user.{key}")
            environment[variable] = named or _account(key)
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

    def __init__(self, path: Path, remote: str, folder: Path, patience: float) -> None:
        self.remote = remote
        self._path = path
        self._patience = patience
        self._identity = identity(folder)
        self._texts: dict[tuple[str, str], str | Unreadable | None] = {}
        self._remembered = 0
        self._fetched: list[str] = []
        self._large: set[str] = set()
        self._settings = {
            "http.lowSpeedLimit": "1",
            "http.lowSpeedTime": str(_SILENT_SECONDS),
            **_settings_for_transport(folder),
            "remote.origin.url": remote,
            "core.hooksPath": os.devnull,
            "gc.auto": "0",
            # Nothing is sent as a difference: else what a file was before is read as well, which may be too large to
            # have been fetched. Over HTTP `push --no-thin` is ignored.
            "pack.window": "0",
        }

    @property
    def author(self) -> str:
        return f"{self._identity['GIT_AUTHOR_NAME']} <{self._identity['GIT_AUTHOR_EMAIL']}>"

    def fetch_branch(self, branch: str) -> str | None:
        """Fetch one branch with its content; its commit, or None if the remote has no such branch.

        What is larger than any file may be stays where it is, if the server can do that.
        """
        try:
            self._fetch(branch)
        except GitFailed as error:
            if _NO_SUCH_BRANCH in str(error):
                return None
            raise
        tip = self._tip(f"{REMOTE_TRACKING}/{branch}")
        if tip and tip not in self._fetched[-1:]:
            if self._missing(tip) - self._large:
                # Another branch brought these commits first, without files.
                self._fetch(branch, "--refetch")
                self._large |= self._missing(tip)
            self._fetched.append(tip)
        if len(self._fetched) >= _FETCHES_BEFORE_TIDYING:
            self._fetched = []
            # Nothing waits to be pushed when a branch has just been fetched.
            with contextlib.suppress(GitFailed):  # then the next time
                self._git("gc", "--quiet", "--prune=now")
        return tip

    def _fetch(self, branch: str, *more: str) -> None:
        content = f"--filter=blob:limit={documents.MOST_BYTES + 1}"
        there, here = f"refs/heads/{branch}", f"{REMOTE_TRACKING}/{branch}"
        self._git("fetch", "--quiet", "--no-tags", content, *more, "origin", f"+{there}:{here}")

    def _missing(self, commit: str) -> set[str]:
        """The names of a commit's folders and files that were left out of a fetch."""
        listed = self._git(
            "rev-list", "--no-walk", "--objects", "--no-object-names", "--missing=print", commit
        )
        return {line for line in listed.splitlines() if line.startswith("?")}

    def fetch_history(self, commits: int | None = None) -> None:
        """Fetch every branch and tag; folders and files only when asked for, if the server can do that.

        commits: how far back at most, each branch.
        """
        # Only commits for whoever takes few: of the others many are looked into.
        least = [f"--depth={commits}", "--filter=tree:0"] if commits else ["--filter=blob:none"]
        branches = (f"+refs/heads/*:{REMOTE_TRACKING}/*", f"^refs/heads/{_ENVIRONMENTS}")
        self._git("fetch", "--quiet", "--prune", *least, "origin", *branches, "+refs/tags/*:refs/tags/*")

    def commit_on_remote(self, name: str) -> str | None:
        """The full commit that a hexadecimal name stands for, if a branch or tag of the remote has it."""
        commit = self._tip(f"{name}^{{commit}}")
        if commit is None:
            return None
        return commit if self._git("for-each-ref", "--count=1", "--contains", commit).strip() else None

    def paths(self, commit: str, *paths: str) -> set[str]:
        """Those of `paths` that exist at a commit; `folder/` lists what is in a folder."""
        return set(self._git("ls-tree", "--name-only", "-z", commit, "--", *paths).split("\0")) - {""}

    def text(self, commit: str, path: str, most: int = documents.MOST_BYTES) -> str | None:
        """A file's text at a commit, or None if there is no such file.

        Raises Unreadable if it is no text, no file or has more than `most` bytes.
        """
        asked = (commit, path)
        if asked not in self._texts:
            self._read([asked], most)
        found = self._texts[asked]
        if isinstance(found, Unreadable):
            raise Unreadable(str(found))
        return found

    def tree(self, commit: str) -> str:
        """What names a commit's whole content."""
        return self._git("rev-parse", f"{commit}^{{tree}}").strip()

    def message(self, commit: str) -> str:
        return self._git("log", "--max-count=1", "--format=%B", commit)

    def time(self, commit: str) -> datetime:
        """When a commit was made."""
        return _time(self._git("log", "--max-count=1", "--format=%ct", commit))

    def log(self, commit: str, path: str, most: int | None = None, *, since: str | None = None) -> list[str]:
        """Commits that changed a file, newest first; the `most` newest of them, and none up to `since`."""
        reach = [commit, f"^{since}"] if since else [commit]
        return self._git("log", "--first-parent", *_at_most(most), "--format=%H", *reach, "--", path).split()

    def commits(self, tip: str, most: int | None = None) -> list[Commit]:
        """Commits up to one, newest first, with what each did to the one before it.

        The `most` newest of them, and of any number only so many as fit into 32 MB.
        """
        mark = f"<{secrets.token_hex(16)}>"  # in no message
        form = f"--format={mark}{mark.join(('%H', '%ct', '%an', '%B', ''))}"
        listed = self._git(
            "log", "--first-parent", "-m", "--name-status", "--no-renames", *_at_most(most), form, tip
        )
        parts = listed.split(mark)[1:]
        found = []
        for name, time, author, message, files in zip(*(parts[each::5] for each in range(5)), strict=False):
            changed = (line.split("\t", 1) for line in files.splitlines() if "\t" in line)
            written = {path: kind != "D" for kind, path in changed}
            found.append(Commit(name, _time(time), author, message, written))
        return found

    def count(self, tip: str) -> int:
        """How many commits there are up to one."""
        return int(self._git("rev-list", "--count", "--first-parent", tip))

    def read_ahead(self, wanted: Iterable[tuple[str, str]], most: int) -> None:
        """Read files of up to `most` bytes, each at a commit that has it, with few calls of Git, for `text`."""
        asked = [each for each in wanted if each not in self._texts]
        for first in range(0, len(asked), BATCH):
            self._read(asked[first : first + BATCH], most)

    def _read(self, asked: list[tuple[str, str]], most: int) -> None:
        try:
            lines = self._batch("--batch-check", asked).splitlines()
        except GitFailed as error:
            if _NOT_FETCHED not in str(error):
                raise
            if len(asked) > 1:  # one of them; Git does not name it
                self._read(asked[: len(asked) // 2], most)
                self._read(asked[len(asked) // 2 :], most)
            else:
                self._remember(asked[0], Unreadable("is larger than any may be"))
            return
        sizes: dict[tuple[str, str], int] = {}
        for each, line in zip(asked, lines, strict=True):
            *_, kind, written = line.split(b" ")
            size = int(written) if kind == b"blob" else None
            if size is not None and size <= most:
                sizes[each] = size
            elif size is not None:
                self._remember(each, Unreadable(f"has {size:,} bytes, and {most:,} are the most"))
            else:  # a folder, or another repository's commit
                self._remember(each, Unreadable("is no file") if each[1] in self.paths(*each) else None)
        content, at = self._batch("--batch", sizes) if sizes else b"", 0
        for each, length in sizes.items():
            at = content.index(b"\n", at) + 1
            try:
                self._remember(each, documents.text(content[at : at + length]))
            except Unreadable as why:
                self._remember(each, Unreadable(str(why)))
            at += length + 1

    def _batch(self, how: str, asked: Iterable[tuple[str, str]]) -> bytes:
        names = "".join(f"{commit}:{path}\n" for commit, path in asked)
        return self._raw("cat-file", how, given=names.encode())

    def _remember(self, asked: tuple[str, str], found: str | Unreadable | None) -> None:
        """What a commit holds never changes; it is read again where there was too much of it."""
        if self._remembered > _MOST_REMEMBERED:
            self._texts, self._remembered = {}, 0
        self._texts[asked] = found
        self._remembered += 200 + (len(found) if isinstance(found, str) else 0)

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
            blob = self._git("hash-object", "-w", "--stdin", given=text.encode()).strip()
            self._git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
        # What was too large to be fetched may stay where it is.
        tree = self._git("write-tree", "--missing-ok").strip()
        parents = ["-p", parent] if parent else []
        return self._git("commit-tree", tree, *parents, "-F", "-", given=message.encode()).strip()

    def push(self, commit: str, branch: str) -> None:
        """Move the remote's branch forward to a commit. Raises PushLost when somebody else was faster."""
        try:
            self._git("push", "--quiet", "--porcelain", "origin", f"{commit}:refs/heads/{branch}")
        except GitFailed as error:
            if _LOST_RACE.search(str(error)):
                raise PushLost from error
            raise

    def _tip(self, name: str) -> str | None:
        try:
            return self._git("rev-parse", "--verify", "--quiet", name).strip()
        except GitFailed:
            return None

    def _git(self, *arguments: str, given: bytes = b"", place: Mapping[str, str] | None = None) -> str:
        return _decoded(self._raw(*arguments, given=given, place=place))

    def _raw(self, *arguments: str, given: bytes = b"", place: Mapping[str, str] | None = None) -> bytes:
        # What was left out of a fetch is fetched only where all of a commit is wanted.
        lazily = {"GIT_NO_LAZY_FETCH": "0" if arguments[0] in _LOOKS_INTO_CODE else "1"}
        environment = {**self._identity, **_as_environment(self._settings), **lazily, **(place or {})}
        try:
            return _run(
                arguments, cwd=self._path, environment=environment, given=given, patience=self._patience
            )
        except GitFailed as error:
            if isinstance(error.__cause__, processes.Late):
                # Git was killed and has left these behind.
                for left in (*self._path.rglob("*.lock"), *self._path.glob("objects/pack/tmp_*")):
                    left.unlink(missing_ok=True)
            raise GitFailed(f"{self.remote}: {error}") from error


@contextmanager
def opened(remote: str, folder: Path, patience: float = PATIENCE_SECONDS) -> Iterator[Repository]:
    """A fresh bare repository for `remote`, gone afterwards. `folder`: the current one.

    patience: the seconds that one command of Git may take.
    """
    if _PASSWORD_IN_URL.search(remote):
        raise Refused("The remote's address holds a password; give it to a Git credential helper instead.")
    if remote.startswith("-"):
        raise Refused(f"A remote is an address, not {remote!r}.")
    # Who leaves while Git is at work there leaves all the same.
    with tempfile.TemporaryDirectory(prefix="delivery-", ignore_cleanup_errors=True) as path:
        _run(["init", "--quiet", "--bare", "--template=", path])
        yield Repository(Path(path), remote, folder, patience)


def _settings_for_transport(folder: Path) -> dict[str, str]:
    """How the checkout at `folder` reaches its remotes and signs in: its own credential and http settings."""
    listed = _setting(folder, "--local", "-z", "--get-regexp", r"^(credential|http)\.")
    pairs = (entry.split("\n", 1) for entry in listed.split("\0") if entry)
    return {pair[0]: pair[1] if len(pair) > 1 else "true" for pair in pairs}


def _setting(folder: Path, *wanted: str) -> str:
    try:
        return _output(["config", *wanted], folder)
    except GitFailed:
        return ""


def _as_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Git settings as environment variables (never arguments: every user of a machine can read those)."""
    first = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
    environment = {"GIT_CONFIG_COUNT": str(first + len(settings))}
    for index, (key, value) in enumerate(settings.items(), start=first):
        environment |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return environment


def _at_most(number: int | None) -> list[str]:
    return [f"--max-count={number}"] if number else []


def _time(seconds: str) -> datetime:
    """Of a commit, whose maker wrote it; the oldest of all where it is none."""
    try:
        return datetime.fromtimestamp(int(seconds), tz=UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, tz=UTC)


def _output(arguments: Sequence[str], folder: Path) -> str:
    return _decoded(_run(arguments, cwd=folder)).strip()


def _decoded(output: bytes) -> str:
    """Names and messages may be in any encoding."""
    return output.decode(errors="replace").replace("\r\n", "\n")


def _run(
    arguments: Sequence[str],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    given: bytes = b"",
    patience: float = PATIENCE_SECONDS,
) -> bytes:
    """Raises GitFailed, which is because of Late where it took more than `patience` seconds."""
    inherited = {key: value for key, value in os.environ.items() if key not in _CHECKOUT_VARIABLES}
    # LC_ALL: messages are read; GIT_TERMINAL_PROMPT: a missing password is an error, not a question;
    # GIT_LITERAL_PATHSPECS: a folder's name is no pattern.
    inherited |= {
        "LC_ALL": "C.UTF-8",
        "LANGUAGE": "",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LITERAL_PATHSPECS": "1",
    }
    try:
        done = processes.run(
            ["git", *arguments],
            cwd=cwd,
            environment=inherited | dict(environment or {}),
            given=given,
            seconds=patience,
            most=_MOST_OUTPUT,
        )
    except FileNotFoundError as error:
        raise Refused("The program git is not installed or not on PATH.") from error
    except processes.Late as late:
        raise GitFailed(f"git {arguments[0]} {late}") from late
    if done.status and not done.cut:
        # A push reports about the branch in its output; that of a server's hook may be long.
        reason = one_line(_decoded(done.output + done.errors), 2000) or f"exit status {done.status}"
        raise GitFailed(f"git {arguments[0]} failed: {_PASSWORD_IN_URL.sub('', reason)}")
    return done.output
