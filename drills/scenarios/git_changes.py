"""What people, the guard and a pipeline do in Git and with the Rollout: reverts, rollbacks, freezes, promotions."""

from __future__ import annotations

import time
from itertools import pairwise

from cluster import addresses
from drills.fixtures import bootstrap, images, local_cluster, settings
from drills.fixtures.images import Recipe
from drills.load.traffic import traffic
from drills.scenarios.scenario import (
    AT_ONCE,
    GOOD,
    ROLLED_BACK,
    TO_VERDICT,
    WEIGHTS,
    other_good,
    release_good,
    serving_now,
    under_load,
)
from drills.steps.assertions import AFTER
from drills.steps.duration import minutes, seconds
from drills.steps.environment import Environment

_NOTIFIED = seconds(40)


def rollback_by_hand(production: Environment) -> None:
    """A person rolls a release back in its middle: its users are not kept waiting for Argo CD's sync."""
    release = release_good(production)
    release.wait_for_weight(20, within=minutes(2))
    release.push_rollback()
    # Of a release in which nothing has changed, the guard reads Git every 5 s; writing and reading take their own.
    release.wait_for_rollout("Degraded", within=seconds(15))
    release.wait_for_weight(0, within=seconds(1))
    release.expect_rollback()
    release.wait_until_promoted(within=AT_ONCE)
    release.assert_no_failed_requests()


def undone_by_hand(production: Environment) -> None:
    """`undo` changes the cluster and not Git, so Argo CD restores what Git names: only a commit rolls back."""
    first = production.serving(serving_now(production))
    # So that there is something to go back to.
    restored = production.serving(other_good(first)).under(traffic()).undo(within=seconds(20))
    restored.wait_until_promoted(within=minutes(2))
    restored.assert_no_failed_requests()


def newer_push(production: Environment, few_errors: Recipe) -> None:
    """A fix arrives while the release before it is on its way."""
    given = under_load(production)
    given.release(few_errors).wait_for_weight(5, within=minutes(1))
    release = given.release(other_good(given))
    release.wait_until_promoted(within=minutes(4))
    release.assert_error_rate_below(0.005)


def rollback_past_replaced(production: Environment, few_errors: Recipe) -> None:
    """A person rolls a fix back that had replaced a bad release at 5 %: nobody gets that one."""
    given = under_load(production)
    before = given.release(other_good(given))
    # Through its gates, so that a rollback to it takes no steps.
    before.wait_until_promoted(within=minutes(4))
    given = given.after(before)
    given.release(few_errors).wait_for_weight(5, within=minutes(1))
    release = given.release(other_good(given))
    release.wait_until_promoted(within=minutes(4))
    release.roll_back()
    release.wait_until_promoted(within=minutes(1))
    production.assert_serves(given.stable.version)
    release.assert_error_rate_below(0.005)


def revert_of_rollback(production: Environment, recipe: Recipe) -> None:
    """Somebody reverts the guard's rollback: the cluster refuses the quarantined image, and Git is reverted again."""
    given = under_load(production)
    release = given.release(recipe)
    release.wait_for_rollout("Degraded", within=TO_VERDICT)
    release.wait_for_automatic_rollback(within=ROLLED_BACK, quarantined=True)
    release.wait_until_promoted(within=AT_ONCE)
    release = given.revert()
    release.wait_for_automatic_rollback(within=minutes(1), quarantined=True)
    release.assert_rollback_reason("is not let in: ")
    release.wait_for_argocd(within=minutes(2))
    release.assert_weights()
    release.assert_error_rate_below(0.005)


def revert_without_guard(production: Environment, few_errors: Recipe) -> None:
    """There is no guard but Argo CD: a bad release that everybody has is reverted in a web page, and that arrives."""
    given = under_load(production)
    release = given.release(few_errors)
    release.wait_for_weight(5, within=minutes(1))
    release.promote_in_full()
    release.wait_until_promoted(within=minutes(3))
    with release.guard_down():
        revert = given.revert(f'Revert "release {few_errors.version}" (#12)')
        revert.wait_until_promoted(within=minutes(5))
    revert.wait_for_requests(AFTER)
    production.assert_serves(given.stable.version)
    revert.assert_error_rate_below(0.02)


def rollback_to_missing_image(production: Environment) -> None:
    """A rollback to an image that the registry has deleted: the stable version keeps serving, and Git is reverted."""
    # What is deleted is of no use to a later run.
    old = images.good(f"1.{time.time():.0f}")
    given = production.serving(old).under(traffic())
    newer = given.release(images.good(GOOD[0]))
    newer.wait_for_weight(5, within=minutes(2))
    newer.promote_in_full()
    newer.wait_until_promoted(within=minutes(2))
    given = given.after(newer)
    images.deleted(images.image(old))
    release = given.restore_by_hand(images.image(old))
    release.wait_for_automatic_rollback(within=minutes(3), quarantined=False)
    release.wait_until_promoted(within=AT_ONCE)
    release.wait_for_notification(
        f"production: {old.version} failed, rolled back to {given.stable.version}", within=_NOTIFIED
    )
    release.assert_no_failed_requests()


def frozen_push(production: Environment, few_errors: Recipe) -> None:
    """A push by hand during a freeze is reverted with the reason; a revert made in a web page stays."""
    given = under_load(production)
    release = given.release(other_good(given))
    release.wait_until_promoted(within=minutes(4))
    given = given.after(release)
    production.deliver("freeze", production.name, "--until", "2199-01-01", "--reason", "a drill")
    try:
        pushed = given.release_by_hand(images.image(few_errors))
        pushed.wait_for_automatic_rollback(within=seconds(30), quarantined=False)
        pushed.assert_rollback_reason("freeze: production is frozen until 2199-01-01")
        pushed.wait_until_promoted(within=minutes(1))
        revert = given.restore_by_hand(images.image(other_good(given)), "Revert it (#13)")
        # With its steps, where it was promoted without its gates.
        revert.wait_until_promoted(within=minutes(5))
        # The guard reads Git every 5 s.
        revert.wait_for_requests(1_000)
        revert.assert_in_git()
    finally:
        production.deliver("thaw", production.name, "--reason", "the drill is over")
    revert.assert_no_failed_requests()


_NINE_TIMES = (f"{name}: &{name} [{','.join([f'*{of}'] * 9)}]" for of, name in pairwise("abcdefghi"))
ODD_BYTES = {
    "a Latin-1 letter": 'strategy: "caf\xe9"\n'.encode("latin-1"),
    "a NUL": b"revision: \x00\n",
    "a date as version": b"image: {version: 2026-45-01}\n",
    "a YAML bomb": "\n".join(["a: &a [x,x,x,x,x,x,x,x,x]", *_NINE_TIMES]).encode(),
    "5 MB": b"# " + b"x" * 5_000_000 + b"\n",
}


def odd_bytes(production: Environment) -> None:
    """Release files of dev that nobody can read stop neither the guard nor production."""
    given = under_load(production)
    with production.beside("dev") as dev:
        dev.serving(serving_now(dev))
        for name, content in ODD_BYTES.items():
            settings.push_bytes("dev/release.yaml", content, f"a release file with {name}")
        dev.wait_for_argocd_error(within=minutes(1))
        release = given.release(other_good(given))
        release.wait_until_promoted(within=minutes(4))
        release.assert_weights(*WEIGHTS)
        release.assert_guard_never_restarted()
        listed = dev.deliver("history", "dev", "--json", "-n", str(len(ODD_BYTES)))
        if listed.count('"problem": "') != len(ODD_BYTES):
            production.fail(f"{len(ODD_BYTES)} problems in delivery history", listed)
        dev.deliver("rollback", "dev")
        dev.refresh_argocd()
        dev.wait_for_end_of_argocd_error(within=minutes(1))
    release.assert_no_failed_requests()


def sync_at_5(production: Environment) -> None:
    release = release_good(production)
    release.wait_for_weight(5, within=minutes(1))
    release.sync()
    release.wait_until_promoted(within=minutes(4))
    release.assert_weights(*WEIGHTS)
    release.assert_no_failed_requests()


# --- from one environment to the next


def promoted(production: Environment) -> None:
    """Released to dev only: the guard promotes it to staging after a soak, and a person to production."""
    # What staging has had is not promoted to it again, so the version is a new one each time.
    new = images.good(f"1.{time.time():.0f}")
    image = images.image(new)
    bootstrap.install(promotions=("dev>staging=20s",))
    given = under_load(production)
    try:
        with production.beside("dev") as dev, production.beside("staging") as staging:
            dev.serving(new)
            staging.wait_until_stable(image, within=minutes(8))
    finally:
        bootstrap.install()
    release = given.promote_from("staging")
    release.wait_until_promoted(within=minutes(4))
    release.assert_weights(*WEIGHTS)
    release.assert_no_failed_requests()


def pipeline(production: Environment) -> None:
    """From dev to production and back by the commands of the workflows, one after the other."""
    given = production.serving(serving_now(production))
    # What an environment has had is not released to it again, so the version is a new one each time.
    image = images.image(images.good(f"1.{time.time():.0f}"))

    def verify(environment: Environment) -> None:
        # Of the CRM's addresses the one that nobody has to sign in for.
        address = f"http://{local_cluster.api_host(environment.name)}:{addresses.HTTP_PORT}"
        environment.make("verify", ENVIRONMENT=environment.name, URL=address, PROMETHEUS=addresses.PROMETHEUS)

    with production.beside("dev") as dev, production.beside("staging") as staging:
        dev.make("release", IMAGE=image.reference, ENVIRONMENT="dev")
        verify(dev)
        staging.make("promote", SOURCE="dev", ENVIRONMENT="staging")
        verify(staging)
        # Few users, because two more environments run beside them.
        release = given.under(traffic(20)).make("promote", SOURCE="staging", ENVIRONMENT="production")
        verify(production)
        release.wait_until_promoted(within=minutes(2))
        release.assert_weights(*WEIGHTS)
        rollback = given.make("rollback", ENVIRONMENT="production", REASON="a drill", FROM=image.version)
        # What was there before may have been promoted without its gates, and takes its steps then.
        rollback.wait_until_promoted(within=minutes(5))
        verify(production)
    rollback.assert_no_failed_requests()
