"""The tutorial, played by the commands of its page: from a change in `app/` to production, and back."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from drills.fixtures import local_cluster
from tests.test_docs import TUTORIAL, fenced

SECONDS = 15 * 60
AUTHOR = {"NAME": "A reader", "EMAIL": "reader@crm.localhost"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone of what is committed, with the packages that are installed already."""
    clone = tmp_path / "crm"
    local_cluster.output(["git", "clone", "--quiet", local_cluster.CHECKOUT, clone])
    # A pipeline's checkout is on no branch.
    local_cluster.output(["git", "-C", clone, "checkout", "--quiet", "-B", "main"])
    (clone / ".venv").symlink_to(local_cluster.CHECKOUT / ".venv")
    os.utime(clone / "requirements" / "dev.txt", (0, 0))  # older than the packages
    return clone


@pytest.mark.e2e
@pytest.mark.usefixtures("kubernetes")
def test_the_tutorial_brings_a_change_to_production_and_back(checkout: Path) -> None:
    blocks = fenced(TUTORIAL.read_text(encoding="utf-8"))
    # What the tests' own process has of the cluster a reader has not: the page brings it.
    known = {name: value for name, value in os.environ.items() if name not in local_cluster.variables()}
    env = known | {
        "PATH": os.environ["PATH"],
        **{f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in AUTHOR.items()},
    }

    played = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", "".join(blocks)],
        cwd=checkout,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )

    assert played.returncode == 0, played.stdout
    branches = local_cluster.output(["git", "-C", checkout, "branch", "--format=%(refname:short)"]).split()
    assert branches == ["main"]
