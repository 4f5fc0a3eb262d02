"""Parts of the cluster end, are away, hang or lie, in the middle of a release or without one."""

from __future__ import annotations

import time

from drills.fixtures import inbox
from drills.fixtures.images import Recipe
from drills.load.traffic import usual_rate
from drills.scenarios.scenario import (
    AT_ONCE,
    ROLLED_BACK,
    WEIGHTS,
    expect_no_canary,
    expect_rollback,
    release_good,
    under_load,
)
from drills.steps.assertions import AFTER, LEAST, OF_A_RELEASE
from drills.steps.duration import minutes, seconds
from drills.steps.environment import Environment
from drills.steps.given import Given

# What nobody waits longer for, whatever hangs.
_SLOWEST_ANSWER = seconds(3.5)


def prometheus_down(production: Environment) -> None:
    release = release_good(production)
    release.wait_for_weight(5, within=minutes(1))
    with release.prometheus_down():
        release.wait_for_rollout("Degraded", within=minutes(3))
    release.wait_for_weight(0, within=seconds(10))
    expect_rollback(release, quarantined=False)
    release.assert_no_failed_requests()


def argocd_down(production: Environment, recipe: Recipe) -> None:
    release = under_load(production).release(recipe)
    release.wait_for_weight(5, within=minutes(1))
    with release.argocd_down():
        expect_no_canary(release, within=minutes(2))
        release.wait_for_automatic_rollback(within=ROLLED_BACK, quarantined=True)
    release.wait_until_promoted(within=minutes(3))
    release.assert_error_rate_below(0.005)


def git_down(production: Environment, recipe: Recipe) -> None:
    """Nobody can roll back in Git while its server is away, and the guard that saw why is gone when it is back."""
    release = under_load(production).release(recipe)
    release.wait_for_weight(5, within=minutes(1))
    with release.git_down():
        expect_no_canary(release, within=minutes(2))
        release.delete_guard_pod()
    expect_rollback(release, in_git_within=minutes(1), within=minutes(2), of_at_least=OF_A_RELEASE)
    release.assert_error_rate_below(0.005)


def router_lies(production: Environment) -> None:
    """The router says 5 % and sends the canary nothing: it is held, until a person aborts it."""
    with production.canary_bypassed():
        release = release_good(production)
        release.wait_for_weight(5, within=minutes(1))
        release.wait_for_requests(2_000)
        release.assert_weights(5)
        release.abort()
        release.wait_for_rollout("Degraded", within=AT_ONCE)
        expect_rollback(release, quarantined=False)
    release.assert_no_new_steps()
    release.assert_no_failed_requests()


def controller_restarted(production: Environment) -> None:
    release = release_good(production)
    release.wait_for_weight(20, within=minutes(2))
    release.delete_rollouts_pod()
    release.wait_until_promoted(within=minutes(4))
    release.assert_weights(*WEIGHTS)
    release.assert_no_failed_requests()


def pods_killed(production: Environment) -> None:
    release = release_good(production)
    release.wait_for_weight(20, within=minutes(2))
    release.delete_canary_pod()
    release.delete_stable_pod()
    release.wait_until_promoted(within=minutes(4))
    release.assert_no_failed_requests()


def abort_without_stable_pod(production: Environment) -> None:
    """A stable pod is missing while a release is aborted: Argo Rollouts keeps its 20 %, and the guard ends that."""
    release = release_good(production)
    release.wait_for_weight(20, within=minutes(2))
    with release.stable_pod_missing():
        release.abort()
        release.wait_for_rollout("Degraded", within=AT_ONCE)
        release.wait_for_automatic_rollback(within=ROLLED_BACK, quarantined=False)
        release.wait_for_requests(1_000)
    release.wait_until_promoted(within=minutes(2))
    release.assert_canary_service_stable()
    release.assert_users_left(within=seconds(5))
    release.assert_error_rate_below(0.005, of_at_least=0)


def abort_without_guard(production: Environment) -> None:
    """The same while there is no guard: what Argo Rollouts does by itself."""
    release = release_good(production)
    release.wait_for_weight(20, within=minutes(2))
    with release.guard_down(), release.stable_pod_missing():
        release.abort()
        release.wait_for_rollout("Degraded", within=AT_ONCE)
        release.wait_for_requests(1_200)
    expect_rollback(release, quarantined=False, in_git_within=minutes(2))
    release.assert_users_left(within=minutes(2))


def rollback_without_guard(production: Environment, recipe: Recipe) -> None:
    """The guard is away and a migration fails, again and again: a rollback arrives all the same, if late."""
    release = under_load(production).release(recipe)
    with release.guard_down():
        release.wait_for_failed_migration(within=minutes(3))
        release.roll_back()
        # Argo CD tries the failing sync for ten minutes (decision 0033), and then has what Git names.
        release.wait_for_argocd(within=minutes(12))
    release.assert_no_failed_requests()


# --- no release


def replaced(production: Environment) -> None:
    """Pods are replaced, and evicted as by a drain of their node, all the time."""
    enough = 10_000
    given = under_load(production).wait_for_single_version(within=minutes(3))
    while given.requests_sent() < enough:
        given.restart_pods(within=minutes(3))
        given.evict_pods(within=minutes(3))
    given.assert_no_failed_requests(of_at_least=enough)


def slow_clients(production: Environment) -> None:
    """They reach no pod: the router has a request's whole body before it sends it on."""
    given, began = _single_version(production)
    with given.slow_clients(50):
        given.wait_for_requests(90 * usual_rate())
    given.assert_pods_stayed_ready(began)
    given.assert_no_failed_requests()


def redis_missing(production: Environment) -> None:
    """No request of a user needs it; what was to be e-mailed is, when it is back."""
    given, began = _single_version(production.configure(settings={"email": inbox.SMTP}))
    with given.redis_missing():
        given.wait_for_requests(60 * usual_rate())
    _assert_no_email_lost(given, began)


def redis_hanging(production: Environment) -> None:
    """The same, but it takes connections and answers nobody."""
    given, began = _single_version(production.configure(settings={"email": inbox.SMTP}))
    with given.hanging("redis-0"):
        given.wait_for_requests(60 * usual_rate())
    _assert_no_email_lost(given, began)


def _single_version(production: Environment) -> tuple[Given, float]:
    return under_load(production).wait_for_single_version(within=minutes(3)), time.time()


def _assert_no_email_lost(given: Given, began: float) -> None:
    given.assert_pods_stayed_ready(began)
    given.assert_no_failed_requests()
    given.assert_latency_at_most(_SLOWEST_ANSWER)
    # A task that Redis has lost is queued again after two minutes, by a beat that runs each minute.
    given.assert_each_email_sent_once(began, within=minutes(6))


def postgresql_hanging(production: Environment) -> None:
    """Nothing works without it: users get an error at once, and the release under way is not aborted."""
    release = release_good(production)
    release.wait_for_weight(5, within=minutes(1))
    began = time.time()
    with release.hanging("postgresql-0"):
        release.wait_for_requests(60 * usual_rate())
    ended = time.time()
    # As long as an abort would take: what failed in that minute is measured for two more.
    release.wait_for_requests(130 * usual_rate())
    release.assert_not_aborted()
    release.promote_in_full()
    release.wait_until_promoted(within=minutes(3))
    release.end_load(after=AFTER, of_at_least=LEAST)
    release.assert_failures_only_between(began, ended + 5)
    release.assert_latency_at_most(_SLOWEST_ANSWER)
    release.assert_pods_never_restarted()
