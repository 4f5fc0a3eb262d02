"""What makes no sense is refused with a sentence, before anything is pushed."""

from __future__ import annotations

import pytest

from drills.fixtures import images, local_cluster
from drills.fixtures.images import good
from drills.fixtures.settings import with_settings
from drills.steps.duration import minutes
from drills.steps.environment import Environment

pytestmark = pytest.mark.e2e

NOWHERE = "sha256:" + "0" * 64


def test_an_image_that_the_registry_lacks_is_refused(production: Environment) -> None:
    production.assert_refused(
        "release",
        "--image",
        f"{local_cluster.REPOSITORY}@{NOWHERE}",
        "--to",
        "production",
        because="no image",
    )


def test_an_image_without_a_digest_or_tag_is_refused(production: Environment) -> None:
    production.assert_refused(
        "release", "--image", local_cluster.REPOSITORY, "--to", "production", because="needs a digest"
    )


def test_a_strategy_that_does_not_exist_is_refused(production: Environment) -> None:
    reference = images.image(good("1.1")).reference
    production.assert_refused(
        *("release", "--image", reference, "--to", "production", "--strategy", "hope"),
        because="no strategy hope; it has: ab-test, blue-green, canary, rolling-update",
    )


def test_a_revision_that_nobody_pushed_is_refused(production: Environment) -> None:
    reference = images.image(good("1.1")).reference
    production.assert_refused(
        *("release", "--image", reference, "--to", "production", "--revision", "0" * 40),
        because="push it first",
    )


def test_settings_that_make_no_sense_never_reach_the_cluster(production: Environment) -> None:
    """Argo CD renders the chart, refuses with its sentence, and production stays as it was."""
    given = production.serving("1.0")
    nonsense = with_settings("production", {"routing": {"provider": "none"}})

    given.release(good("1.4"), revision=nonsense)

    production.wait_for_render_error("router", within=minutes(2))
    production.assert_serves("1.0")
    production.deliver("rollback", "production")
    production.serving("1.0")
