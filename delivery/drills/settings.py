"""Settings that only one drill has: a commit on top of main, released by its own revision."""

from __future__ import annotations

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
    with git.opened(local.GIT, local.CHECKOUT) as repository:
        main = repository.fetch_branch("main")
        text = repository.text(main, path) if main else None
        if main is None or text is None:
            raise NotReady(f"{local.GIT} has no {path} on main; push the checkout first (demo does).")
        commit = repository.commit(
            {path: changed(text, settings)}, f"drill: {environment} with {settings}\n", main
        )
        repository.push(commit, f"drills/{commit[:12]}")
        return commit


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
