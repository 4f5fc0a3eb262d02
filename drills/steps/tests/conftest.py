from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from delivery.gitops.release import Release, ReleasedImage
from drills.fixtures import images, local_cluster, settings
from drills.fixtures.images import Image, good
from drills.steps import environment
from drills.steps.environment import Environment
from drills.steps.release import ReleaseAttempt
from drills.tests.cluster import ENOUGH, REVISION, Load, MadeUp, Sends, image_of


def release_of(image: Image) -> Release:
    return Release(image.revision, ReleasedImage("r", image.digest, image.version), "canary")


@pytest.fixture
def cluster() -> MadeUp:
    return MadeUp(image_of("1.0"))


@pytest.fixture
def delivered(monkeypatch: pytest.MonkeyPatch, cluster: MadeUp) -> list[str]:
    """Each command of `delivery` and kubectl; a release or a rollback reaches the made-up cluster at once."""
    commands: list[str] = []

    def output(command: list[str], **_: object) -> str:
        words = " ".join(command)
        commands.append(words)
        if "delivery release" in words:
            cluster.starts(image_of(words.split("sha256:")[1].split()[0]))
        if "delivery rollback" in words:
            cluster.wanted = cluster.before or cluster.stable
            cluster.ends()
        if "--full" in words:
            cluster.ends()
        return "done"

    monkeypatch.setattr(local_cluster, "output", output)
    return commands


@pytest.fixture
def production(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cluster: MadeUp, delivered: list[str]
) -> Iterator[Environment]:
    monkeypatch.setattr(local_cluster, "REPORT", tmp_path)
    monkeypatch.setattr(environment, "_FIRST_RELEASE", ENOUGH)
    monkeypatch.setattr(images, "image", lambda recipe: image_of(recipe.version))
    monkeypatch.setattr(settings, "another_main", lambda: REVISION)
    monkeypatch.setattr(settings, "is_as_main", lambda _: True)
    monkeypatch.setattr(Environment, "answering_version", lambda _: cluster.stable.version)
    monkeypatch.setattr(Environment, "release_in_git", lambda _: release_of(cluster.wanted))
    monkeypatch.setattr(Environment, "quarantined", lambda _, image: image.digest in cluster.quarantined)
    with Environment("production", cluster, drill="a-drill", title="A drill") as made:  # type: ignore[arg-type]
        yield made


@pytest.fixture
def release(production: Environment) -> ReleaseAttempt:
    """1.1 was released over 1.0, under load."""
    return production.serving("1.0").under(Sends(Load())).release(good("1.1"))
