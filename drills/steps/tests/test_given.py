"""What serves, under which load, and how something is released over it."""

from __future__ import annotations

from pathlib import Path

import pytest

from drills.errors import DrillFailed
from drills.fixtures.images import good
from drills.load.traffic import Traffic
from drills.steps.environment import Environment
from drills.tests.cluster import ENOUGH, SHORT, Load, MadeUp, Sends, image_of


def test_load_begins_before_the_release(production: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    def start(_: Traffic, environment: str, folder: Path, url: str, **__: object) -> Load:
        started.append(f"{environment} {url} {folder.name}")
        return Load()

    monkeypatch.setattr(Traffic, "start", start)
    logged: list[str] = []
    monkeypatch.setattr(production, "log", logged.append)

    given = production.serving("1.0").under(Traffic())

    assert started == ["production http://127.0.0.1:30080 a-drill"]
    assert logged[-1] == "users send 100 requests a second"

    first = production.load
    given.under(Traffic())

    assert started[1:] == ["production http://127.0.0.1:30080 load-2"]
    assert first
    assert first.ended
    assert production.load
    assert not production.load.ended


def test_what_everybody_has_is_taken_back(
    production: Environment, cluster: MadeUp, delivered: list[str]
) -> None:
    given = production.serving("1.1")
    cluster.before = image_of("1.0")

    release = given.roll_back()

    assert "delivery rollback production" in delivered[-1]
    assert release.image == image_of("1.0")
    release.wait_for_rollout("Healthy", within=ENOUGH)


def test_a_quarantined_image_is_unquarantined_before_it_is_released_again(
    production: Environment, cluster: MadeUp, delivered: list[str]
) -> None:
    given = production.serving("1.0")
    cluster.quarantined.add("sha256:1.1")

    given.release(good("1.1"))

    assert "delivery unquarantine sha256:1.1 --reason" in delivered[-2]


def test_the_same_image_arrives_with_its_settings(production: Environment, cluster: MadeUp) -> None:
    given = production.serving("1.0").under(Sends(Load()))

    release = given.release_settings("a-commit-that-argo-cd-has-not-synced")
    with pytest.raises(DrillFailed, match="Expected the Rollout to be Healthy"):
        release.wait_for_rollout("Healthy", within=SHORT)
    release.roll_back()
    release.wait_for_rollout("Healthy", within=ENOUGH)


def test_pods_of_another_version_are_waited_for(production: Environment, cluster: MadeUp) -> None:
    given = production.serving("1.0")
    given.wait_for_single_version(within=ENOUGH)
    cluster.starts(image_of("1.1"))
    with pytest.raises(DrillFailed, match="Expected no pod of another version"):
        given.wait_for_single_version(within=SHORT)


def test_a_promotion_releases_what_the_environment_before_has(
    production: Environment, cluster: MadeUp, delivered: list[str]
) -> None:
    given = production.serving("1.0")
    cluster.starts(image_of("1.1"))

    release = given.promote_from("staging")

    assert delivered[-1].endswith("delivery promote staging production")
    assert release.image == image_of("1.1")
    with pytest.raises(DrillFailed, match=r"Expected version 1\.1 stable in production"):
        production.wait_until_stable(image_of("1.1"), within=SHORT)
    cluster.ends()
    production.wait_until_stable(image_of("1.1"), within=ENOUGH)


def test_an_undo_is_seen_in_the_cluster(
    production: Environment, cluster: MadeUp, delivered: list[str]
) -> None:
    given = production.serving("1.0")
    with pytest.raises(DrillFailed, match="a Rollout without what Git names"):
        given.undo(within=SHORT)
    cluster.undone = image_of("0.9")

    given.undo(within=ENOUGH)

    assert delivered[-1] == "kubectl argo rollouts undo crm --namespace crm-production"
