"""What a scenario is, and the steps that many of them share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from drills.fixtures import images
from drills.fixtures.images import Recipe
from drills.load.traffic import traffic
from drills.steps.assertions import AFTER, LEAST
from drills.steps.duration import minutes, seconds
from drills.steps.environment import Environment
from drills.steps.given import Given
from drills.steps.release import ReleaseAttempt

WEIGHTS = (5, 20, 50, 100)
GOOD = ("1.0", "1.1")
TO_VERDICT = minutes(3)
AT_ONCE = minutes(1)
# From the abort to Git, by the guard.
ROLLED_BACK = seconds(10)


@dataclass(frozen=True)
class Scenario:
    title: str
    play: Callable[..., None]
    """Takes the environment, and the recipe if there is one."""
    recipe: Recipe | None = None
    """The image that it releases besides the GOOD versions; it is built before the first scenario begins."""
    strategy: str = "canary"
    router: str = "traefik"
    admission: bool = False
    """Kyverno is there, and asks whatever starts whether it is signed as soon as the scenario wants that."""

    called: str = ""
    """Its name, where that is not its function's."""

    @property
    def name(self) -> str:
        return self.called or self.play.__name__.replace("_", "-")

    @property
    def additions(self) -> set[str]:
        """What it needs besides `up`: `python -m cluster <addition>`."""
        wanted = {"istio": self.router == "istio", "kyverno": self.admission}
        return {name for name, is_wanted in wanted.items() if is_wanted}

    def run(self, environment: Environment) -> None:
        self.play(environment, *([self.recipe] if self.recipe else ()))


def under_load(production: Environment) -> Given:
    """A good version serves everybody, under load."""
    return production.serving(serving_now(production)).under(traffic())


def serving_now(production: Environment) -> str:
    """The good version that serves already, if one does."""
    serves = production.answering_version()
    return serves if serves in GOOD else GOOD[0]


def other_good(given: Given) -> Recipe:
    """The good version that does not serve now."""
    return images.good(next(version for version in GOOD if version != given.stable.version))


def release_good(production: Environment) -> ReleaseAttempt:
    given = under_load(production)
    return given.release(other_good(given))


def release_bad(
    production: Environment, recipe: Recipe, *, within: timedelta = TO_VERDICT, of_at_least: int = LEAST
) -> ReleaseAttempt:
    """A release that its analysis rejects."""
    release = under_load(production).release(recipe)
    expect_abort(release, within=within, of_at_least=of_at_least)
    return release


def expect_abort(
    release: ReleaseAttempt, *, within: timedelta, quarantined: bool = True, of_at_least: int = LEAST
) -> None:
    """The release aborts itself, and the guard rolls it back in Git."""
    expect_no_canary(release, within=within)
    expect_rollback(release, quarantined=quarantined, of_at_least=of_at_least)
    release.assert_no_new_steps()
    release.assert_canary_service_stable()


def expect_no_canary(release: ReleaseAttempt, *, within: timedelta) -> None:
    release.wait_for_rollout("Degraded", within=within)
    release.wait_for_weight(0, within=seconds(10))


def expect_rollback(
    release: ReleaseAttempt,
    *,
    quarantined: bool = True,
    in_git_within: timedelta = ROLLED_BACK,
    within: timedelta = AT_ONCE,
    of_at_least: int = LEAST,
) -> None:
    """The guard rolls the release back in Git, and the version before is there for everybody."""
    release.wait_for_automatic_rollback(within=in_git_within, quarantined=quarantined)
    release.wait_for_rollout("Healthy", within=within)
    # Users have it back; worker and beat, which Argo CD waits for, start sooner without them.
    release.end_load(after=AFTER, of_at_least=of_at_least)
    release.wait_for_argocd(within=minutes(2))
