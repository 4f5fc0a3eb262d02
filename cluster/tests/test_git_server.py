"""What the Git server lets whom push, by its own hook and a real Git."""

import os
import secrets
import subprocess
from pathlib import Path

import pytest

from cluster import addresses, image_builder

HOOK = image_builder.CONTAINERFILES / "git-server" / "update"
ENVIRONMENTS = "refs/heads/environments"


class Server:
    """A bare repository with the hook, and commits to push to it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "crm.git"
        self._work = folder / "work"
        subprocess.run(["git", "init", "--quiet", "--bare", str(self.path)], check=True)
        subprocess.run(["git", "init", "--quiet", str(self._work)], check=True)
        (self.path / "hooks").mkdir(exist_ok=True)
        (self.path / "hooks" / "update").symlink_to(HOOK)

    def commit(self, *parents: str) -> str:
        """A commit like no other; without parents it begins a history of its own."""
        empty = self._git("hash-object", "-t", "tree", "-w", "/dev/null").stdout.strip()
        words = [word for parent in parents for word in ("-p", parent)]
        return self._git("commit-tree", "-m", secrets.token_hex(), *words, empty).stdout.strip()

    def push(self, user: str, *refs: str, force: bool = False) -> str:
        """What Git says; empty when all was taken."""
        options = ["--force"] if force else []
        done = self._git("push", "--quiet", *options, str(self.path), *refs, user=user)
        return done.stderr if done.returncode else ""

    def tip(self, ref: str) -> str:
        return self._git("ls-remote", str(self.path), ref).stdout.split("\t")[0]

    def _git(self, *words: str, user: str = "") -> subprocess.CompletedProcess[str]:
        who = {f"GIT_{role}_{key}": "a@b" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
        environment = {**os.environ, **who, "REMOTE_USER": user}
        return subprocess.run(
            ["git", *words], cwd=self._work, env=environment, capture_output=True, text=True, check=False
        )


@pytest.fixture
def server(tmp_path: Path) -> Server:
    made = Server(tmp_path)
    first = made.commit()
    assert made.push(addresses.GIT_USER, f"{first}:{ENVIRONMENTS}", f"{first}:refs/heads/main") == ""
    return made


def test_the_guard_adds_commits_to_the_environments(server: Server) -> None:
    fresh = server.commit(server.tip(ENVIRONMENTS))
    assert server.push(addresses.GUARD_USER, f"{fresh}:{ENVIRONMENTS}") == ""
    assert server.tip(ENVIRONMENTS) == fresh


@pytest.mark.parametrize("ref", ["refs/heads/main", "refs/heads/other", "refs/tags/v1"])
def test_the_guard_pushes_nowhere_else(server: Server, ref: str) -> None:
    before = server.tip(ref)
    fresh = server.commit(server.tip(ENVIRONMENTS))
    said = server.push(addresses.GUARD_USER, f"{fresh}:{ref}")
    assert f"may only add commits to the branch environments; {ref} was left as it is." in said
    assert server.tip(ref) == before


def test_the_guard_takes_nothing_away(server: Server) -> None:
    before = server.tip(ENVIRONMENTS)
    assert server.push(addresses.GUARD_USER, f"{server.commit()}:{ENVIRONMENTS}", force=True)
    assert server.push(addresses.GUARD_USER, f":{ENVIRONMENTS}")
    assert server.tip(ENVIRONMENTS) == before


@pytest.mark.parametrize("user", [addresses.GIT_USER, ""])
def test_others_push_as_ever(server: Server, user: str) -> None:
    fresh = server.commit()
    assert server.push(user, f"{fresh}:{ENVIRONMENTS}", f"{fresh}:refs/heads/main", force=True) == ""
    assert server.tip("refs/heads/main") == server.tip(ENVIRONMENTS) == fresh


def test_the_hook_is_part_of_the_image() -> None:
    folder = image_builder.CONTAINERFILES / "git-server"
    assert " update " in (folder / "Containerfile").read_text()
    assert "/usr/local/bin/update " in (folder / "entrypoint").read_text()
    assert HOOK.stat().st_mode & 0o111
