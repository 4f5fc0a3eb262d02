"""Images that lack a signature, a scan result or a list of what is in them, or whose scan found something."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cluster import kyverno
from drills.fixtures import attestations, images, signing
from drills.fixtures.images import Recipe
from drills.scenarios.scenario import TO_VERDICT, WEIGHTS, expect_rollback, under_load
from drills.steps.duration import minutes
from drills.steps.environment import Environment
from drills.steps.given import Given


def rejected(production: Environment, recipe: Recipe, *, quarantined: bool = False) -> None:
    """The analysis `security` rejects it before it has a web pod, so no user can have it."""
    release = under_load(production).release(recipe)
    release.wait_for_rollout("Degraded", within=TO_VERDICT)
    expect_rollback(release, quarantined=quarantined)
    release.assert_weights()
    release.assert_no_pod_started()
    release.assert_no_failed_requests()


def unsigned(production: Environment, recipe: Recipe) -> None:
    """Nobody has signed it, so the cluster lets nothing of it start, not even its migration."""
    _refused(production, recipe, because="not signed by the pipeline")


def without_sbom(production: Environment, recipe: Recipe) -> None:
    """It is signed, but nobody has signed what is in it."""
    signing.sign(images.image(recipe), sbom=False)
    _refused(production, recipe, because="no signed list of what is in it")


def signed(production: Environment, recipe: Recipe) -> None:
    """What the pipeline's commands have signed is let in, and released like any other.

    The analysis `security` reads the same list of what is in it: the drill `unlisted` shows it without one.
    """
    given = under_load(production)
    with _only_signed(given, images.image(recipe)):
        release = given.release(recipe)
        release.wait_until_promoted(within=minutes(6))
    release.assert_weights(*WEIGHTS)
    release.assert_no_failed_requests()


def _refused(production: Environment, recipe: Recipe, *, because: str) -> None:
    given = under_load(production)
    with _only_signed(given):
        release = given.release(recipe)
        expect_rollback(release, in_git_within=minutes(1), quarantined=False)
    release.assert_rollback_reason(because)
    release.assert_weights()
    release.assert_no_pod_started()
    release.assert_no_failed_requests()


@contextmanager
def _only_signed(given: Given, *others: images.Image) -> Iterator[None]:
    """From now on nothing starts that is not signed; what serves and these others are."""
    for image in (given.stable, *others):
        signing.sign(image)
    given.environment.log_action("only signed images may start")
    kyverno.admit_only(attestations.public_key())
    try:
        yield
    finally:
        kyverno.admit_all()
        given.environment.log_action("every image may start again")
