"""A release in production, under the load of signed-in users: 5, 20, 50 and 100 % of their requests, or back."""

from __future__ import annotations

import pytest

from delivery.drills.images import errors, good, slow
from delivery.drills.settings import with_settings
from delivery.drills.story import Environment, minutes, seconds
from delivery.drills.traffic import traffic

pytestmark = pytest.mark.e2e


def test_a_release_that_answers_500_is_rolled_back(production: Environment) -> None:
    """A release that answers 500 is rolled back."""
    given = production.serving("1.0").under(traffic())

    when = given.released(errors(share=1.0))

    when.rollout_is("Degraded", within=minutes(2))
    when.weight_is(0, within=seconds(10))
    when.rolled_back_by_hand()
    when.git_is_back_at("1.0", within=seconds(10))
    when.rollout_is("Healthy", within=minutes(1))
    when.no_new_steps_were_taken()
    when.load_goes_on(until_requests=5_000)
    when.weight_was_back_at_zero(within=seconds(20))
    when.failed_requests_are(below=0.01, of_at_least=5_000)


def test_a_slow_release_is_rolled_back(production: Environment) -> None:
    """A release that takes 3 s to answer is rolled back."""
    given = production.serving("1.0").under(traffic())

    when = given.released(slow(seconds=3.0))

    when.rollout_is("Degraded", within=minutes(2))
    when.weight_is(0, within=seconds(10))
    when.weight_was_never_above(20)
    when.rolled_back_by_hand()
    when.rollout_is("Healthy", within=minutes(1))
    when.no_new_steps_were_taken()
    when.load_goes_on(until_requests=5_000)
    when.failed_requests_are(below=0.01, of_at_least=5_000)


def test_a_good_release_reaches_everybody(production: Environment) -> None:
    """A good release reaches everybody."""
    given = production.serving("1.0").under(traffic())

    when = given.released(good("1.1"))

    when.first_canary_pod_is_ready(within=seconds(40))
    when.rollout_is("Healthy", within=minutes(4))
    when.weights_seen_are(5, 20, 50, 100)
    when.load_goes_on(until_requests=10_000)
    when.no_request_failed(of_at_least=10_000)


def test_pods_and_prometheus_may_die_during_a_release(production: Environment) -> None:
    """Pods and Prometheus die during a good release."""
    given = production.serving("1.1").under(traffic())

    when = given.released(good("1.4"))

    when.weight_is(5, within=minutes(1))
    when.canary_pod_deleted()
    when.stable_pod_deleted()
    when.prometheus_deleted()
    when.rollout_is("Healthy", within=minutes(5))
    when.weights_seen_are(5, 20, 50, 100)
    when.no_request_failed(of_at_least=4_000)


def test_each_step_gets_its_share_also_after_a_sync_and_100_percent_waits_for_a_person(
    production: Environment,
) -> None:
    """Each step gets its share of the requests, and 100 % waits for a person."""
    slowly = with_settings("production", {"strategy": {"hold": "70s", "approval": True}})
    given = production.serving("1.4").under(traffic())

    when = given.released(good("1.5"), revision=slowly)

    when.weight_is(20, within=minutes(3))
    when.requests_go_on(1_000)
    when.synced_by_hand()
    when.waits_for_approval(within=minutes(4))
    when.approved()
    when.rollout_is("Healthy", within=minutes(3))
    when.canary_shares_are((5, 20, 50, 100), within_points=1.5, of_at_least=4_000)
    when.no_request_failed(of_at_least=16_000)
