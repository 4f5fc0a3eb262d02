"""Releases that are worse than what users have and better than every limit, and a stable version that fails itself."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from drills.fixtures import images, inbox
from drills.fixtures.images import Recipe
from drills.load.scanners import Scanners
from drills.load.traffic import traffic
from drills.scenarios.scenario import (
    AT_ONCE,
    ROLLED_BACK,
    TO_VERDICT,
    WEIGHTS,
    Scenario,
    expect_abort,
    expect_no_canary,
    other_good,
    serving_now,
    under_load,
)
from drills.steps.assertions import LEAST, OF_A_RELEASE
from drills.steps.duration import minutes, seconds
from drills.steps.environment import Environment
from drills.steps.given import Given
from drills.steps.on_call import OnCall

# What the rollback's commit says where the comparison with the stable version has found it.
_COMPARED = "\n- regression: "
# The same of what a release may mean to change, for which its image is not quarantined.
_ANSWERS = "\n- answers: "
# Bad answers that are few: some of them must have come.
_RARE = minutes(6)
_STABLE = images.errors(share=0.08, version="1.60")
"""What a person has given everybody: one in 12 requests fails."""
# Looks at a gate before a person is asked: three minutes.
_FEW_LOOKS = {"analysis": {"count": 60}}


def worse(
    production: Environment,
    recipe: Recipe,
    *,
    within: timedelta = TO_VERDICT,
    weight: int = 5,
    failed: float = 0.0,
    quarantined: bool = True,
    only_compared: bool = True,
) -> None:
    """The watch of the comparison aborts it: `weight` is the most that it gets, `failed` the share of all requests.

    `only_compared`: no limit finds it as soon.
    """
    release = under_load(production).release(recipe)
    expect_abort(release, within=within, quarantined=quarantined, of_at_least=OF_A_RELEASE)
    if only_compared:
        release.assert_rollback_reason(_COMPARED if quarantined else _ANSWERS)
    release.assert_weight_at_most(weight)
    release.assert_error_rate_below(failed)


def refused_sign_ins(production: Environment, recipe: Recipe) -> None:
    """One request in 20 is a sign-in. The first step lasts until some of those have reached the release."""
    production.configure(settings={"strategy": {"stepDuration": "150s"}})
    given = production.serving(serving_now(production)).under(traffic(sign_ins=0.05))
    release = given.release(recipe)
    expect_abort(release, within=_RARE, quarantined=False, of_at_least=OF_A_RELEASE)
    release.assert_rollback_reason(_ANSWERS)
    release.assert_weight_at_most(20)
    # As many as there are sign-ins of a fifth of all users.
    release.assert_error_rate_below(0.01)


def no_metrics(production: Environment, recipe: Recipe) -> None:
    """Nothing is known of the release: it is held, somebody is told why, and it ends by a person."""
    production.configure(settings=_FEW_LOOKS | {"alerts": {"timeScale": inbox.TIME_SCALE}})
    given = under_load(production)
    on_call = OnCall(production, given)
    release = given.release(recipe)
    release.wait_for_first_canary_pod(within=minutes(2))
    on_call.fault_begins("the release's metrics are answered 500")
    on_call.wait_for_alert("ScrapeTargetDown")
    release.wait_until_undecided(within=minutes(6))
    release.assert_not_aborted()
    release.roll_back()
    release.wait_until_promoted(within=AT_ONCE)
    release.assert_weights(5)
    release.assert_no_failed_requests()


# --- beside a stable version that fails 8 % of the requests


def repaired(production: Environment) -> None:
    """A good hotfix gets through."""
    given = _under_failing(production)
    release = given.release(other_good(given))
    release.wait_until_promoted(within=minutes(5))
    release.assert_weights(*WEIGHTS)
    release.assert_failures_only_of(given.stable)


def worse_hotfix(production: Environment, recipe: Recipe) -> None:
    """One that fails every request is aborted at once, whatever the stable version does."""
    release = _under_failing(production).release(recipe)
    release.wait_for_weight(5, within=AT_ONCE)
    # By the limit as well, as long as the stable version has not failed for long enough to excuse that.
    expect_abort(release, within=seconds(30))
    release.assert_weight_at_most(5)
    # The stable version's own 8 %, and for half a minute 5 % of the others.
    release.assert_error_rate_below(0.1, of_at_least=LEAST)


def equal_hotfix(production: Environment, recipe: Recipe) -> None:
    """One that fails as many is neither promoted nor aborted, until a good one takes its place."""
    production.configure(settings=_FEW_LOOKS)
    given = _under_failing(production)
    held = given.release(recipe)
    held.wait_until_undecided(within=_RARE)
    held.assert_weights(5)
    held.assert_not_aborted()
    release = given.release(other_good(given))
    release.wait_until_promoted(within=minutes(5))
    release.assert_error_rate_below(0.1, of_at_least=LEAST)


def _under_failing(production: Environment) -> Given:
    """A person has given everybody a version that fails."""
    # Built before there is load. Users sign up at the version before: this one would fail some of that.
    images.image(_STABLE)
    given = under_load(production)
    failing = given.release(_STABLE)
    failing.wait_for_weight(5, within=AT_ONCE)
    failing.promote_in_full()
    failing.wait_until_promoted(within=minutes(3))
    return given.after(failing)


# --- strangers


def scanners_beside_outage(production: Environment, recipe: Recipe) -> None:
    """One in 25 who ask is a user, whom the release answers 500: the strangers' 404s excuse none of that."""
    given = production.serving(serving_now(production)).under(traffic(1))
    with given.extra_load(Scanners(24)):
        release = given.release(recipe)
        # As without them: three failed requests at 5 % of one a second take a minute.
        expect_no_canary(release, within=minutes(4))
        release.wait_for_automatic_rollback(within=ROLLED_BACK, quarantined=True)
        release.wait_until_promoted(within=AT_ONCE)
    release.assert_weight_at_most(5)
    release.assert_error_rate_below(0.005, of_at_least=LEAST, after=0)


REGRESSIONS = (
    Scenario(
        "Every creation of a deal is a 500, and nothing else",
        # All that a canary of 5 % can fail: 8 % are creations.
        partial(worse, failed=0.004),
        images.errors(method="POST", endpoint="deals-list", version="1.61"),
        called="creations",
    ),
    Scenario(
        "8 POSTs in 100 are a 500",
        # 30 % are POSTs, of which a canary of 20 % has a fifth.
        partial(worse, within=_RARE, weight=20, failed=0.005),
        images.errors(share=0.08, method="POST", version="1.62"),
        called="some-posts",
    ),
    Scenario(
        "One team of four gets nothing but 500",
        # 1.25 % while the canary has 5 %, which is a fraction of the drill.
        partial(worse, failed=0.005, only_compared=False),
        images.errors_of_team(),
        called="one-team",
    ),
    Scenario(
        "5 answers in 100 take 6 s",
        partial(worse, within=_RARE, weight=20),
        images.slow(seconds=6.0, share=0.05, version="1.63"),
        called="some-slow",
    ),
    Scenario(
        "Every answer takes 0.3 s more",
        partial(worse),
        images.slow(seconds=0.3, version="1.64"),
        called="slower",
    ),
    Scenario(
        "Web pods end in 1 POST of 10",
        # What an ended pod was answering, and POSTs while the canary has no other: the router sends only GETs again.
        partial(worse, within=_RARE, weight=20, failed=0.02),
        images.exits(),
        called="exits",
    ),
    Scenario(
        "Lists are empty behind a 200",
        partial(worse, quarantined=False),
        images.empty_lists(),
        called="empty-lists",
    ),
    Scenario(
        "The addresses of deals are gone",
        # Like an outage, found some requests later.
        partial(worse, failed=0.01, quarantined=False),
        images.lost_routes(),
        called="lost-routes",
    ),
    Scenario("Nobody can sign in", refused_sign_ins, images.refused_sign_ins()),
    Scenario("The release's metrics cannot be read", no_metrics, images.no_metrics()),
    Scenario("Stable fails 8 %: a good hotfix", repaired),
    Scenario("Stable fails 8 %: every answer of the hotfix is a 500", worse_hotfix, images.errors()),
    Scenario(
        "Stable fails 8 %, and so does the hotfix",
        equal_hotfix,
        images.errors(share=0.08, version="1.65"),
    ),
    Scenario("Scanners beside a release that answers 500", scanners_beside_outage, images.errors()),
)
"""Part of the matrix: docs/results/proof.md."""
