"""Settings that only one drill has: a commit on top of main, released by its own revision."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from delivery import git
from delivery.drills import local
from delivery.drills.errors import NotReady

SETTINGS = "environments/{environment}/values.yaml"
# What the local cluster lays over every environment's own.
LOCAL_SETTINGS = "cluster/values.yaml"
CHART = "charts/crm/values.yaml"


def values(file: str) -> dict[str, Any]:
    """A file of values, as the checkout has it."""
    read: dict[str, Any] = yaml.safe_load((local.CHECKOUT / file).read_text(encoding="utf-8"))
    return read


def with_settings(environment: str, settings: dict[str, Any], *, file: str = SETTINGS) -> str:
    """Push a branch `drills/…` whose settings of an environment have these changes; the commit to release.

    `file` is another file of values than the environment's own.

    Main stays as it is, and no checkout is touched.
    """
    path = file.format(environment=environment)
    return _with(path, lambda text: changed(text, settings), f"{environment} with {settings}")


def with_text(path: str, pattern: str, text: str) -> str:
    """The same for any file: what the pattern finds, in one place alone, becomes that text."""

    def replaced(now: str) -> str:
        found, count = re.subn(pattern, text, now, flags=re.MULTILINE)
        if count != 1:
            raise NotReady(f"{path} has {count} places like {pattern}; a drill changes one.")
        return found

    return _with(path, replaced, text)


def _with(path: str, change: Callable[[str], str], called: str) -> str:
    with git.opened(local.GIT, local.CHECKOUT) as repository:
        main = repository.fetch_branch("main")
        text = repository.text(main, path) if main else None
        if main is None or text is None:
            raise NotReady(f"{local.GIT} has no {path} on main; push the checkout first (demo does).")
        commit = repository.commit({path: change(text)}, f"drill: {called}\n", main)
        repository.push(commit, _branch_of(commit))
        return commit


def another_main() -> str:
    """Push a branch `drills/…` whose commit is as main is, but another one; the commit.

    What was promoted before takes no steps when it is released again, so a release of a drill has to be a new one.
    """
    with git.opened(local.GIT, local.CHECKOUT) as repository:
        main = repository.fetch_branch("main")
        if main is None:
            raise NotReady(f"{local.GIT} has no main; push the checkout first (demo does).")
        commit = repository.commit({}, f"drill: a release of its own, {time.time_ns()}\n", main)
        repository.push(commit, _branch_of(commit))
        return commit


def is_as_main(revision: str) -> bool:
    """Whether a commit is main, or was made by `another_main` of it."""
    with git.opened(local.GIT, local.CHECKOUT) as repository:
        main, found = repository.fetch_branch("main"), repository.fetch_branch(_branch_of(revision))
        trees = {repository.tree(each) for each in (main, found) if each}
        return revision == main or bool(main and found and len(trees) == 1)


def _branch_of(commit: str) -> str:
    return f"drills/{commit[:12]}"


def revert_by_hand(path: str, *, message: str | None = None) -> str:
    """`git revert` of the newest commit that changed a file of the branch `environments`, pushed; the new commit.

    `message`: as a web page's button would write it, when not Git's own.
    """
    with _clone() as (_, here):
        last = local.output([*here, "log", "-1", "--format=%H", "--", path]).strip()
        local.output([*here, "revert", "--no-edit", last])
        if message:
            local.output([*here, "commit", "--quiet", "--amend", "--message", message])
        local.output([*here, "push", "--quiet"])
        return local.output([*here, "rev-parse", "HEAD"]).strip()


def push_bytes(path: str, content: bytes, message: str) -> None:
    """Write what is no text on the branch `environments`."""
    with _clone() as (folder, here):
        (folder / path).write_bytes(content)
        local.output([*here, "commit", "--quiet", "--all", "--message", message])
        local.output([*here, "push", "--quiet"])


@contextmanager
def _clone() -> Iterator[tuple[Path, list[str]]]:
    """A checkout of the branch `environments` for a while, and how Git's commands begin there."""
    with tempfile.TemporaryDirectory(prefix="drill-") as folder:
        local.output(["git", "clone", "--quiet", "--branch", "environments", local.GIT, folder])
        yield Path(folder), ["git", "-C", folder]


def push_by_hand(path: str, text: str, message: str) -> str:
    """Write a file on the branch `environments` as a person would who does not use `delivery`; the commit."""
    with git.opened(local.GIT, local.CHECKOUT) as repository:
        commit = repository.commit({path: text}, f"{message}\n", repository.fetch_branch("environments"))
        repository.push(commit, "environments")
        return commit


def changed(text: str, settings: dict[str, Any]) -> str:
    """A values file with some values changed; comments are lost."""
    return yaml.safe_dump(merged(yaml.safe_load(text) or {}, settings), sort_keys=False)


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Maps are merged, everything else is replaced."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def push_main() -> str:
    """Make the checkout's HEAD the local Git server's main; the commit. The checkout stays as it is."""
    local.output(["git", "push", "--quiet", "--force", local.GIT, "HEAD:refs/heads/main"], seconds=120)
    return local.output(["git", "rev-parse", "HEAD"]).strip()


def worktree_note() -> str | None:
    """A sentence when the checkout has changes that no drill sees, because they are not committed."""
    dirty = local.output(["git", "status", "--porcelain", "--untracked-files=no"]).splitlines()
    return f"{len(dirty)} changed files are not committed and therefore not part of this." if dirty else None
