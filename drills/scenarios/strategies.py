"""Each strategy and each router, and the autoscaler beside them."""

from __future__ import annotations

from drills.fixtures import settings
from drills.fixtures.images import Recipe
from drills.load.traffic import traffic
from drills.scenarios.scenario import (
    AT_ONCE,
    TO_VERDICT,
    WEIGHTS,
    expect_abort,
    other_good,
    release_bad,
    release_good,
    serving_now,
    under_load,
)
from drills.steps.assertions import AFTER, LEAST
from drills.steps.duration import minutes, seconds
from drills.steps.environment import Environment


def blue_green(production: Environment) -> None:
    """Users keep the version before until the preview has been judged; then all have the new one at once."""
    given = under_load(production)
    before = given.release(other_good(given))
    # Through its gates, so that the rollback at the end asks nothing.
    before.wait_until_promoted(within=minutes(5))
    given = given.after(before)
    release = given.release(other_good(given))
    release.wait_for_preview(within=minutes(2))
    release.wait_until_promoted(within=minutes(5))
    release.assert_weights(100)
    release.roll_back()
    release.wait_until_promoted(within=AT_ONCE)
    release.assert_no_failed_requests()


def blue_green_bad(production: Environment, recipe: Recipe) -> None:
    """The analysis of the preview rejects it: no user ever has it."""
    release = release_bad(production, recipe, within=minutes(4))
    release.assert_weights()
    release.assert_no_failed_requests()


def ab_test(production: Environment) -> None:
    """Users who send x-user-group: beta have the new version and nobody else has, until a person decides."""
    given = production.serving(serving_now(production)).under(traffic(beta=1))
    release = given.wait_for_single_version(within=minutes(3)).release(other_good(given))
    release.wait_for_approval_step(within=minutes(3))
    window = release.wait_for_requests(2_000)
    release.approve()
    release.wait_until_promoted(within=minutes(4))
    release.wait_for_requests(AFTER)
    release.assert_only_beta_had_it(window, of_at_least=400)
    release.assert_no_failed_requests(of_at_least=3_000, after=0)


def ab_test_bad(production: Environment, recipe: Recipe) -> None:
    """Only the group beta, a quarter of the requests here, has failures, and only until the verdict."""
    release = production.serving(serving_now(production)).under(traffic(beta=1)).release(recipe)
    expect_abort(release, within=TO_VERDICT)
    release.assert_error_rate_below(0.08, of_at_least=LEAST)
    release.assert_failures_only_of_beta()


def ab_test_lost_wins(production: Environment, recipe: Recipe) -> None:
    """Users of the group beta, half of all here, win no deals any more; everything else of theirs is well."""
    release = production.serving(serving_now(production)).under(traffic(beta=2)).release(recipe)
    expect_abort(release, within=minutes(5))
    release.assert_no_failed_requests()


def rolling_update(production: Environment) -> None:
    release = release_good(production)
    release.wait_until_promoted(within=minutes(3))
    release.assert_no_failed_requests()


def rolling_update_bad(production: Environment, recipe: Recipe) -> None:
    """Nothing is analysed: everybody has the bad version until a person rolls it back, for which one command does."""
    release = under_load(production).release(recipe)
    release.wait_until_promoted(within=minutes(3))
    release.wait_for_requests(AFTER)
    release.roll_back()
    release.wait_until_promoted(within=AT_ONCE)


def switch(production: Environment) -> None:
    """The same load sees one strategy after the other."""
    given = under_load(production)
    for strategy in ("blue-green", "ab-test", "rolling-update", "canary"):
        given = production.configure(strategy=strategy).serving(other_good(given))
        given.wait_for_requests(AFTER)
    given.assert_no_failed_requests()


def shares(production: Environment, *, step_duration: str, requests: int) -> None:
    """Each step gets its share of the requests, also after a sync in its middle, and 100 % waits for a person."""
    production.configure(settings={"strategy": {"stepDuration": step_duration, "approval": True}})
    given = production.serving(serving_now(production)).under(traffic(100, liveness=0.6))
    release = given.release(other_good(given))
    release.wait_for_weight(20, within=minutes(5))
    release.wait_for_requests(1_000)
    release.sync()
    release.wait_for_approval_step(within=minutes(8))
    release.approve()
    release.wait_until_promoted(within=minutes(5))
    release.assert_shares(WEIGHTS, within_points=1.5, of_at_least=requests)
    release.assert_no_failed_requests()


# --- the autoscaler


def autoscaled(production: Environment) -> None:
    """While the canary has 50 %, a rush makes the autoscaler add pods, and its end takes them away again."""
    # 100m a pod; the usual five minutes before pods are taken away would only make the drill longer.
    small = {
        "targetCPUUtilizationPercentage": 250,
        "minReplicas": 2,
        "maxReplicas": 4,
        "scaleDownAfterSeconds": 30,
    }
    production.configure(settings={"strategy": {"approval": True}, "autoscaling": small})
    given = production.serving(serving_now(production)).under(traffic(10))
    release = given.release(other_good(given))
    release.wait_for_approval_step(within=minutes(8))
    # A canary's pods use CPU to start, for which the autoscaler may have added some: only the rush shall be the reason.
    release.wait_for_stable_replicas(2, within=minutes(4))
    with release.extra_load(traffic(60)):
        release.wait_for_stable_replicas(4, within=minutes(3))
        release.wait_for_weight(50, within=seconds(1))
        # The usual ones, without the rush's: 100 s with all pods.
        release.wait_for_requests(1_000)
    release.wait_for_stable_replicas(2, within=minutes(4))
    release.approve()
    release.wait_until_promoted(within=minutes(4))
    release.assert_weights(*WEIGHTS)
    release.assert_no_failed_requests(of_at_least=3_000, after=0)


def autoscaling_begins(production: Environment) -> None:
    """A fixed number of pods becomes the autoscaler's under load, and fixed again: nobody loses a pod by that."""
    production.configure(settings={"autoscaling": {"enabled": False}, "web": {"replicas": 4}})
    given = under_load(production).wait_for_replicas(4, within=minutes(2))
    begun = settings.with_settings(
        "production", {"autoscaling": {"minReplicas": 3, "maxReplicas": 6}}, file=settings.LOCAL_SETTINGS
    )
    for is_begun in (True, False):
        release = given.release_settings(begun) if is_begun else given.roll_back()
        release.wait_until_promoted(within=minutes(2))
        # Two of the autoscaler's intervals and more: it may want fewer than 4 pods, and no fewer than its own 3.
        release.wait_for_requests(LEAST)
        release.assert_replicas(at_least=3)
    release.assert_no_failed_requests()


def autoscaler_in_bake(production: Environment) -> None:
    """Both versions run at full size for minutes, and the autoscaler adds no pod for that."""
    production.configure(
        settings={
            # One version uses less than 80 % of it; with that as a target both together want more pods (decision 0035).
            "web": {"resources": {"requests": {"memory": "128Mi"}}},
            "autoscaling": {"minReplicas": 2, "maxReplicas": 8},
            "analysis": {"bake": "10m"},
            "strategy": {"bake": True},
        }
    )
    release = release_good(production)
    release.wait_for_weight(100, within=minutes(5))
    release.wait_for_requests(10_000)
    release.assert_replicas(at_most=2)
    release.promote_in_full()
    release.wait_until_promoted(within=minutes(2))
    release.assert_no_failed_requests()
