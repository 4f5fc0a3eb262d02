"""Good and bad releases by the canary: what its analyses, its deadline or Kubernetes itself decide about them."""

from __future__ import annotations

from drills.fixtures import images, settings
from drills.fixtures.images import Recipe
from drills.scenarios.scenario import (
    AT_ONCE,
    ROLLED_BACK,
    TO_VERDICT,
    WEIGHTS,
    expect_no_canary,
    expect_rollback,
    other_good,
    release_bad,
    release_good,
    serving_now,
    under_load,
)
from drills.steps.assertions import AFTER, LEAST, OF_A_RELEASE
from drills.steps.duration import minutes, seconds
from drills.steps.environment import Environment
from drills.steps.release import ReleaseAttempt

# For pods that never get ready: a minute for progress, of which a good release needs half.
_SHORT_DEADLINE = {"web": {"progressDeadlineSeconds": 60}}
_NEVER_READY = minutes(3)
# The guard's maintenance loop runs every quarter of a minute.
_NOTIFIED = seconds(40)


def good(production: Environment) -> None:
    release = release_good(production)
    release.wait_until_promoted(within=minutes(4))
    release.assert_weights(*WEIGHTS)
    release.assert_health_of_release()
    release.wait_for_notification(f"production: {release.image.version} is fully promoted", within=_NOTIFIED)
    release.assert_no_failed_requests()


def errors(production: Environment, recipe: Recipe) -> None:
    release = release_bad(production, recipe, of_at_least=OF_A_RELEASE)
    release.assert_weight_at_most(5)
    before = release.before.version
    release.wait_for_notification(
        f"production: {release.image.version} failed, rolled back to {before}", within=_NOTIFIED
    )
    release.assert_error_rate_below(0.005)
    release.assert_weight_back_at_zero(within=seconds(12))


def errors_unhurried(production: Environment, recipe: Recipe) -> None:
    """The same with the times that the chart has by itself, which a large cluster keeps."""
    unhurried = settings.values(settings.CHART)["analysis"]
    # Whether the image is asked about is the environment's own setting.
    production.configure(
        settings={"analysis": {key: unhurried[key] for key in unhurried if key != "security"}}
    )
    release = release_bad(production, recipe)
    release.assert_weight_at_most(5)
    release.assert_error_rate_below(0.02, of_at_least=LEAST)
    release.assert_weight_back_at_zero(within=seconds(60))


def few_errors(production: Environment, recipe: Recipe) -> None:
    """The gate measures longer: 5 % of 40/s is so little that after 100 measurements 1 release in 15 is undecided."""
    production.configure(settings={"analysis": {"count": 250}})
    release = release_bad(production, recipe, within=minutes(12))
    release.assert_error_rate_below(0.01, of_at_least=LEAST)


def bursts(production: Environment, recipe: Recipe) -> None:
    release_bad(production, recipe).assert_error_rate_below(0.01, of_at_least=LEAST)


def slow(production: Environment, recipe: Recipe) -> None:
    release = release_bad(production, recipe)
    release.assert_weight_at_most(5)
    release.assert_no_failed_requests()


def stray_error(production: Environment, recipe: Recipe) -> None:
    release = under_load(production).release(recipe)
    release.wait_until_promoted(within=minutes(4))
    release.assert_weights(*WEIGHTS)
    release.wait_for_requests(AFTER)
    release.assert_failed_requests(exactly=1)


def sick(production: Environment, recipe: Recipe) -> None:
    """Its pods become ready, get users, and are not ready any more: more than 5 failed health checks in a row."""
    release = release_bad(production, recipe)
    release.assert_weight_at_most(5)
    release.assert_error_rate_below(0.02, of_at_least=LEAST)


def lost_writes(production: Environment, recipe: Recipe) -> None:
    """Every answer is a success, and nothing is kept."""
    release_bad(production, recipe, within=minutes(5)).assert_no_failed_requests()


def worker_only(production: Environment, recipe: Recipe) -> None:
    """Web pods of this release are well; its worker fails every task, a won deal's mail among them."""
    release_bad(production, recipe).assert_no_failed_requests()


def hoarding(production: Environment, recipe: Recipe) -> None:
    """Every answer is good and fast enough, and for most of its time waits for a connection to the database."""
    # Such a share is judged after two minutes of it.
    production.configure(settings={"strategy": {"stepDuration": "150s"}})
    release = release_bad(production, recipe, within=minutes(5))
    release.assert_weight_at_most(5)
    release.assert_no_failed_requests()


def no_traffic(production: Environment) -> None:
    """At night nobody asks anything: synthetic traffic is all that a verdict can go by."""
    given = production.serving(serving_now(production))
    release = given.release(other_good(given))
    release.wait_until_promoted(within=minutes(8))
    release.assert_weights(*WEIGHTS)


def no_traffic_errors(production: Environment, recipe: Recipe) -> None:
    release = production.serving(serving_now(production)).release(recipe)
    expect_no_canary(release, within=minutes(3))
    release.assert_weight_at_most(5)
    release.wait_for_automatic_rollback(within=ROLLED_BACK, quarantined=True)
    release.wait_until_promoted(within=AT_ONCE)


# --- never ready, or refused


def never_ready(production: Environment, recipe: Recipe) -> None:
    production.configure(settings=_SHORT_DEADLINE)
    _expect_never_ready(under_load(production).release(recipe))


def bad_migration(production: Environment, recipe: Recipe) -> None:
    release = under_load(production).release(recipe)
    release.wait_for_failed_migration(within=minutes(3))
    expect_rollback(release)
    release.assert_no_pod_started()
    release.assert_no_failed_requests()


def missing_image(production: Environment) -> None:
    """Somebody writes a release file by hand whose image the registry does not have."""
    release = under_load(production).release_by_hand(images.missing())
    expect_rollback(release, in_git_within=minutes(2))
    release.assert_no_pod_started()
    release.assert_no_failed_requests()


# --- only settings change


def good_settings(production: Environment) -> None:
    given = under_load(production)
    release = given.release_settings(settings.with_settings("production", {"logLevel": "WARNING"}))
    release.wait_until_promoted(within=minutes(4))
    release.assert_weights(*WEIGHTS)
    release.assert_no_failed_requests()


def bad_settings(production: Environment) -> None:
    """Web pods of this release get less memory than they need to start; they are never ready."""
    given = under_load(production)
    memory = {"requests": {"memory": "32Mi"}, "limits": {"memory": "48Mi"}}
    too_little = settings.merged(_SHORT_DEADLINE, {"web": {"resources": memory}})
    revision = settings.with_settings("production", too_little, file=settings.LOCAL_SETTINGS)
    _expect_never_ready(given.release_settings(revision), quarantined=False)


def wrong_redis(production: Environment) -> None:
    """Its web pods are ready and answer every request, but look for Redis where there is none, as its worker does."""
    given = under_load(production)
    wrong = settings.with_text(
        "charts/crm/templates/config/_config.tpl", "^redis-host: .*", "redis-host: redis.invalid"
    )
    release = given.release_settings(wrong)
    expect_no_canary(release, within=TO_VERDICT)
    expect_rollback(release, quarantined=False)  # the image is the one that serves
    release.assert_weight_at_most(50)
    release.assert_no_failed_requests()


def _expect_never_ready(release: ReleaseAttempt, *, quarantined: bool = True) -> None:
    """Argo Rollouts aborts it, or the guard does where that was forgotten (decision 0023)."""
    expect_rollback(release, in_git_within=_NEVER_READY, quarantined=quarantined)
    release.assert_weights()
    release.assert_no_failed_requests()
