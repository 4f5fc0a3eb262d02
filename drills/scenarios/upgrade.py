"""The platform is upgraded under load, from the base commit's charts, guard and CRM to the present ones."""

from __future__ import annotations

from drills.fixtures import base_commit, bootstrap, guard_image
from drills.fixtures.images import Recipe
from drills.load.traffic import traffic
from drills.scenarios.scenario import TO_VERDICT, WEIGHTS, expect_abort, other_good
from drills.steps.assertions import AFTER, OF_A_RELEASE
from drills.steps.duration import minutes
from drills.steps.environment import Environment


def upgrade(production: Environment, bad: Recipe) -> None:
    """Nothing of Argo CD's is deleted, no request fails, and the next bad release is rolled back."""
    try:
        given = production.serving(base_commit.install())
        before = base_commit.installed()
        # The base commit's build has removed the present one, and under load nothing is built.
        guard_image.image()
        given.under(traffic())
    finally:
        # Also after a failure: other scenarios are played with the present ones.
        production.log_action("install the present charts and guard")
        bootstrap.install()
    given.wait_for_requests(AFTER)
    after = base_commit.installed()
    lost = [name for name, uid in before.items() if after.get(name) != uid]
    if lost:
        production.fail("an upgrade that deletes nothing", f"deleted or made anew: {', '.join(lost)}")
    release = given.release(other_good(given))
    release.wait_until_promoted(within=minutes(6))
    release.assert_weights(*WEIGHTS)
    release.assert_no_failed_requests()
    # Other users, whose access tokens last for the second release.
    release = given.after(release).under(traffic()).release(bad)
    expect_abort(release, within=TO_VERDICT, of_at_least=OF_A_RELEASE)
    release.assert_error_rate_below(0.005)
