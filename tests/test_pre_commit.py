"""What is checked at each commit: the files of the commit alone, by tools that `make packages` has brought."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
(OURS,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
HOOKS: dict[str, dict[str, Any]] = {hook["id"]: hook for hook in OURS["hooks"]}
BAD = {
    "format": ("bad.py", "x   =  1\n"),
    "lint": ("bad.py", "import os\n"),
    "shell": ("bad.sh", "#!/bin/sh\nrm $1\n"),
    "images": ("Containerfile", "FROM debian\nRUN cd /tmp && sudo true\n"),
    "yaml": ("bad.yaml", "key: [unfinished\n"),
    "secrets": ("bad.txt", f"{'AKIA'}{'IOSFODNN7EXAMPLX'}\n"),
}
GOOD = {
    "format": "monitoring/sources.py",
    "lint": "monitoring/sources.py",
    "shell": "cluster/images/git-server/entrypoint",
    "images": "app/Containerfile",
    "yaml": "rollouts/canary.yaml",
    "secrets": "README.md",
}


def checked(hook: str, *files: Path | str) -> int:
    """The exit status of a hook that is given these files."""
    words = shlex.split(HOOKS[hook]["entry"].replace(".venv/bin/", f"{Path(sys.executable).parent}/"))
    return subprocess.run([*words, *files], cwd=ROOT, capture_output=True, check=False).returncode


def test_every_hook_is_here_and_given_the_files_of_the_commit() -> None:
    assert OURS["repo"] == "local"
    assert set(HOOKS) == set(BAD) == set(GOOD)
    assert [name for name, hook in HOOKS.items() if not hook.get("pass_filenames", True)] == []


@pytest.mark.parametrize("hook", BAD)
def test_a_hook_takes_a_good_file_and_refuses_a_bad_one(hook: str, tmp_path: Path) -> None:
    name, text = BAD[hook]
    (tmp_path / name).write_text(text, encoding="utf-8")

    assert checked(hook, GOOD[hook]) == 0
    assert checked(hook, tmp_path / name) != 0


def test_every_file_that_claims_to_be_yaml_is() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.yaml", "*.yml"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert checked("yaml", *(file for file in listed if not re.search(HOOKS["yaml"]["exclude"], file))) == 0
