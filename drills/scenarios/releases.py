"""The proof matrix, which is everything that a release may be or meet, and the extended suite."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from drills.fixtures import images
from drills.fixtures.images import Recipe
from drills.scenarios import git_changes, outages, strategies, supply_chain, upgrade, verdicts
from drills.scenarios.regressions import REGRESSIONS
from drills.scenarios.scenario import Scenario
from drills.steps.environment import Environment

_ERRORS, _SLOW = images.errors(), images.slow()
# So few that a release with it may be promoted.
_FEW_ERRORS = images.errors(share=0.02, version="1.2-little")


def _bad(strategy: str, title: str, play: Callable[[Environment, Recipe], None]) -> tuple[Scenario, ...]:
    """A release that answers 500 and a slow one, by that strategy."""
    return tuple(
        Scenario(f"{title}: {what}", play, recipe, strategy, called=f"{strategy}-{kind}")
        for kind, what, recipe in (
            ("errors", "every answer is a 500", _ERRORS),
            ("slow", "every answer takes 3 s", _SLOW),
        )
    )


MATRIX = (
    Scenario("A good release", verdicts.good),
    Scenario("Every answer is a 500", verdicts.errors, _ERRORS),
    Scenario("1 answer in 10 is a 500", verdicts.few_errors, images.errors(share=0.1, version="1.2-some")),
    Scenario("Errors come in bursts", verdicts.bursts, images.bursts()),
    Scenario("Every answer takes 3 s", verdicts.slow, _SLOW),
    Scenario("A good release with one single 500", verdicts.stray_error, images.stray_error()),
    Scenario("Web pods end while they start", verdicts.never_ready, images.crash_loop(), called="crash-loop"),
    Scenario("Web pods live and are never ready", verdicts.never_ready, images.never_ready()),
    Scenario("Web pods become ready, and then are not any more", verdicts.sick, images.sick()),
    Scenario("Only settings change, for the good", verdicts.good_settings),
    Scenario("Only settings change, to too little memory", verdicts.bad_settings),
    Scenario("The database refuses a migration", verdicts.bad_migration, images.bad_migration()),
    Scenario("The image does not exist", verdicts.missing_image),
    Scenario(
        "The scan found a critical vulnerability",
        partial(supply_chain.rejected, quarantined=True),
        images.vulnerable(),
        called="vulnerable",
    ),
    Scenario("Nobody has scanned the image", supply_chain.rejected, images.unscanned(), called="unscanned"),
    Scenario("Prometheus is down in the middle of a good release", outages.prometheus_down),
    Scenario("Argo CD is down while a release answers 500", outages.argocd_down, _ERRORS),
    Scenario(
        "The Git server is down while a release answers 500, and the guard ends", outages.git_down, _ERRORS
    ),
    Scenario("Argo Rollouts restarts at 20 %", outages.controller_restarted),
    Scenario("A canary and a stable pod are deleted at 20 %", outages.pods_killed),
    Scenario("A newer release is pushed at 5 %", git_changes.newer_push, _FEW_ERRORS),
    Scenario("The autoscaler adds and takes pods in the middle of a canary", strategies.autoscaled),
    Scenario("The automatic rollback is reverted in Git", git_changes.revert_of_rollback, _ERRORS),
    Scenario(
        "A fix is rolled back past what it had replaced", git_changes.rollback_past_replaced, _FEW_ERRORS
    ),
    Scenario("A stable pod is missing while a release is aborted", outages.abort_without_stable_pod),
    Scenario("Release files of another environment that nobody can read", git_changes.odd_bytes),
    Scenario("A push by hand during a freeze, and a revert", git_changes.frozen_push, _FEW_ERRORS),
    Scenario("Argo CD syncs at 5 %", git_changes.sync_at_5),
    Scenario("Only the worker's tasks fail", verdicts.worker_only, images.failing_tasks()),
    Scenario("Writes are lost behind a 200", verdicts.lost_writes, images.lost_writes()),
    *REGRESSIONS,
    Scenario("A good release without users' requests", verdicts.no_traffic),
    Scenario("A release that answers 500, without users' requests", verdicts.no_traffic_errors, _ERRORS),
    Scenario("Blue-green: a good release", strategies.blue_green, strategy="blue-green"),
    *_bad("blue-green", "Blue-green", strategies.blue_green_bad),
    Scenario("A/B: a good release", strategies.ab_test, strategy="ab-test"),
    *_bad("ab-test", "A/B", strategies.ab_test_bad),
    Scenario("Rolling update: a good release", strategies.rolling_update, strategy="rolling-update"),
    *_bad("rolling-update", "Rolling update", strategies.rolling_update_bad),
)
"""What a release may be or meet, by each strategy: docs/results/proof.md."""
EXTENDED = (
    Scenario(
        "Nobody has signed what is in it, without Kyverno",
        supply_chain.rejected,
        images.unlisted(version="1.43"),
        called="unlisted",
    ),
    Scenario("Nobody has signed the image", supply_chain.unsigned, images.good("1.40"), admission=True),
    Scenario(
        "Nobody has signed what is in the image",
        supply_chain.without_sbom,
        images.unlisted(version="1.41"),
        admission=True,
    ),
    Scenario(
        "Only signed images may start, and it is signed",
        supply_chain.signed,
        images.unlisted(version="1.42"),
        admission=True,
    ),
    Scenario("Every answer is a 500, with production's times", verdicts.errors_unhurried, _ERRORS),
    Scenario("Requests wait for connections to the database", verdicts.hoarding, images.hoarding()),
    Scenario("50 clients send a byte a second", outages.slow_clients),
    Scenario("Redis is away for a minute", outages.redis_missing),
    Scenario("Redis hangs for a minute", outages.redis_hanging),
    Scenario("PostgreSQL hangs for a minute of a release", outages.postgresql_hanging),
    Scenario("Only settings change, to a wrong address of Redis", verdicts.wrong_redis),
    Scenario("The router sends the canary nothing, a person aborts", outages.router_lies),
    Scenario("A person rolls a release back at 20 %", git_changes.rollback_by_hand, called="left-by-hand"),
    Scenario("The guard is away, and a release is reverted", git_changes.revert_without_guard, _FEW_ERRORS),
    Scenario("A rollback to an image that is deleted", git_changes.rollback_to_missing_image),
    Scenario("Both versions run at full size for minutes", strategies.autoscaler_in_bake),
    Scenario(
        "The guard is away, and a failing migration is rolled back",
        outages.rollback_without_guard,
        images.bad_migration(),
    ),
    Scenario("The guard and a stable pod are away while a release is aborted", outages.abort_without_guard),
    Scenario("A person undoes a release in the cluster alone", git_changes.undone_by_hand),
    Scenario("All pods are replaced and evicted", outages.replaced),
    Scenario(
        "A/B: the group beta wins no deals", strategies.ab_test_lost_wins, images.lost_wins(), "ab-test"
    ),
    Scenario("One strategy after the other", strategies.switch),
    Scenario("A fixed number of pods becomes the autoscaler's", strategies.autoscaling_begins),
    Scenario("From dev to production and back by the pipeline's commands", git_changes.pipeline),
    Scenario("From dev to staging by itself, to production by a person", git_changes.promoted),
    Scenario("The platform is upgraded from the base commit's charts and guard", upgrade.upgrade, _ERRORS),
    *(
        Scenario(
            f"{title}: each step's share of the requests",
            partial(strategies.shares, step_duration=step_duration, requests=requests),
            router=router,
            called=name,
        )
        for name, title, router, step_duration, requests in (
            ("shares", "Traefik", "traefik", "40s", 4_000),
            ("shares-nginx", "nginx annotations", "nginx", "40s", 4_000),
            ("shares-istio", "Istio", "istio", "100s", 10_000),
        )
    ),
    *(
        Scenario(f"{title}: A/B", strategies.ab_test, None, "ab-test", router, called=f"ab-test-{router}")
        for router, title in (("nginx", "nginx annotations"), ("istio", "Istio"))
    ),
)
"""What is promised beside that, of routers, people and times: docs/results/extended.md."""
