"""The proof matrix: everything that a release may be or meet, each as a story with its ending."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import pairwise

from cluster import addresses, kyverno
from drills.fixtures import attestations, bootstrap, images, inbox, local, settings, signing
from drills.fixtures.images import Recipe
from drills.load.traffic import traffic, usual_rate
from drills.steps.story import Environment, Given, When, minutes, seconds

WEIGHTS = (5, 20, 50, 100)
GOOD = ("1.0", "1.1")
# A release is watched for some seconds after its end, so that a failure at the very end is seen.
AFTER = 200
# Fewer requests in all would show little.
LEAST = 1_000
# What a good release sees in 100 s at 40/s. Back after 12 s at 5 % is 0.5 % of all only if users stay as long as that.
OF_A_RELEASE = 4_000
# For pods that never get ready: a minute for progress, of which a good release needs half.
IMPATIENT = {"web": {"progressDeadlineSeconds": 60}}
NEVER_READY = minutes(3)
USUAL = minutes(3)
AT_ONCE = minutes(1)
# From the abort to Git, by the guard.
HEALED = seconds(10)
# What nobody waits longer for, whatever hangs.
PATIENCE = seconds(3.5)
# The guard goes its round every quarter of a minute.
TOLD = seconds(40)


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    play: Callable[[Environment], None]
    strategy: str = "canary"
    router: str = "traefik"
    admission: bool = False
    """Kyverno is there, and asks whatever starts whether it is signed as soon as the scenario wants that."""

    @property
    def additions(self) -> set[str]:
        """What it needs besides `up`: `python -m cluster <addition>`."""
        wanted = {"istio": self.router == "istio", "kyverno": self.admission}
        return {name for name, is_wanted in wanted.items() if is_wanted}


def good(production: Environment) -> None:
    when = _released_well(production)
    arrives(when, within=minutes(4))
    when.weights_seen_are(*WEIGHTS)
    when.health_was_asked_of_it()
    when.people_are_told(f"production: {when.image.version} is fully promoted", within=TOLD)
    _nobody_felt_it(when)


def errors(production: Environment) -> None:
    when = _rolled_back(production, images.errors(), of_at_least=OF_A_RELEASE)
    when.weight_was_never_above(5)
    stable = production.stable.version if production.stable else "?"
    when.people_are_told(f"production: {when.image.version} failed, rolled back to {stable}", within=TOLD)
    _felt_by(when, below=0.005)
    when.weight_was_back_at_zero(within=seconds(12))


def errors_unhurried(production: Environment) -> None:
    """The same with the times that the chart has by itself, which a large cluster keeps."""
    unhurried = settings.values(settings.CHART)["analysis"]
    # Whether the image is asked about is the environment's own word.
    production.settings = {"analysis": {key: unhurried[key] for key in unhurried if key != "security"}}
    when = _rolled_back(production, images.errors())
    when.weight_was_never_above(5)
    _felt_by(when, below=0.02)
    when.weight_was_back_at_zero(within=seconds(60))


def few_errors(production: Environment) -> None:
    """The gate looks longer than usual: 5 % of 40/s is so little that after 100 looks 1 release in 15 is undecided."""
    production.settings = {"analysis": {"count": 250}}
    when = _rolled_back(production, images.errors(share=0.1, version="1.2-some"), within=minutes(12))
    _felt_by(when, below=0.01)


def bursts(production: Environment) -> None:
    when = _rolled_back(production, images.bursts())
    _felt_by(when, below=0.01)


def slow(production: Environment) -> None:
    when = _rolled_back(production, images.slow())
    when.weight_was_never_above(5)
    _nobody_felt_it(when)


def stray_error(production: Environment) -> None:
    when = _given(production).released(images.stray_error())
    arrives(when, within=minutes(4))
    when.weights_seen_are(*WEIGHTS)
    when.requests_go_on(AFTER)
    when.failures_are(exactly=1)


def crash_loop(production: Environment) -> None:
    production.settings = IMPATIENT
    _never_there(_given(production).released(images.crash_loop()))


def never_ready(production: Environment) -> None:
    production.settings = IMPATIENT
    _never_there(_given(production).released(images.never_ready()))


def sick(production: Environment) -> None:
    """Its pods become ready, get users, and are not ready any more: more than 5 failed health checks in a row."""
    when = _rolled_back(production, images.sick())
    when.weight_was_never_above(5)
    _felt_by(when, below=0.02)


def good_settings(production: Environment) -> None:
    given = _given(production)
    when = given.released_again(settings.with_settings("production", {"logLevel": "WARNING"}))
    arrives(when, within=minutes(4))
    when.weights_seen_are(*WEIGHTS)
    _nobody_felt_it(when)


def bad_settings(production: Environment) -> None:
    """Web pods of this release get less memory than they need to start; they are never ready."""
    given = _given(production)
    memory = {"requests": {"memory": "32Mi"}, "limits": {"memory": "48Mi"}}
    too_little = settings.merged(IMPATIENT, {"web": {"resources": memory}})
    revision = settings.with_settings("production", too_little, file=settings.LOCAL_SETTINGS)
    _never_there(given.released_again(revision), blamed=False)


def bad_migration(production: Environment) -> None:
    when = _given(production).released(images.bad_migration())
    when.migration_fails(within=minutes(3))
    _back(when, within=minutes(1))
    when.no_pod_was_started()
    _nobody_felt_it(when)


def missing_image(production: Environment) -> None:
    """Somebody writes a release file by hand whose image the registry does not have."""
    when = _given(production).released_by_hand(images.missing())
    _back(when, healed_within=minutes(2), within=minutes(1))
    when.no_pod_was_started()
    _nobody_felt_it(when)


def vulnerable(production: Environment) -> None:
    """A good image, but for the critical vulnerability that its signed scan result tells of."""
    _never_released(_given(production).released(images.vulnerable()))


def unscanned(production: Environment) -> None:
    """A good image of which nobody has signed a scan result: it waits for one for a minute, and is not to blame."""
    _never_released(_given(production).released(images.unscanned()), blamed=False)


def unlisted(production: Environment) -> None:
    """A good image of which nobody has signed what is in it, where no Kyverno asks: the question `security` does."""
    _never_released(_given(production).released(images.unlisted(version="1.43")), blamed=False)


def unsigned(production: Environment) -> None:
    """Nobody has signed it, so the cluster lets nothing of it start, not even its migration."""
    _not_let_in(production, images.good("1.40"), because="not signed by the pipeline")


def without_sbom(production: Environment) -> None:
    """It is signed, but nobody has signed what is in it."""
    recipe = images.unlisted(version="1.41")
    signing.sign(images.image(recipe), sbom=False)
    _not_let_in(production, recipe, because="no signed list of what is in it")


def signed(production: Environment) -> None:
    """What the pipeline's commands have signed is let in, and released like any other.

    The question `security` reads the same list of what is in it: the drill `unlisted` shows it without one.
    """
    given = _given(production)
    recipe = images.unlisted(version="1.42")
    with _only_signed(given, images.image(recipe)):
        when = given.released(recipe)
        arrives(when, within=minutes(6))
    when.weights_seen_are(*WEIGHTS)
    _nobody_felt_it(when)


def prometheus_down(production: Environment) -> None:
    when = _released_well(production)
    when.weight_is(5, within=minutes(1))
    with when.prometheus_down():
        when.rollout_is("Degraded", within=minutes(3))
    when.weight_is(0, within=seconds(10))
    _back(when, blamed=False)
    _nobody_felt_it(when)


def argocd_down(production: Environment) -> None:
    when = _given(production).released(images.errors())
    when.weight_is(5, within=minutes(1))
    with when.argocd_down():
        when.rollout_is("Degraded", within=minutes(2))
        when.weight_is(0, within=seconds(10))
        when.healed(within=HEALED, blamed=True)
    arrives(when, within=minutes(3))
    _felt_by(when, below=0.005)


def git_down(production: Environment) -> None:
    """Nobody can heal Git while its server is away, and the guard that saw why is gone when it is back."""
    when = _given(production).released(images.errors())
    when.weight_is(5, within=minutes(1))
    with when.git_down():
        when.rollout_is("Degraded", within=minutes(2))
        when.weight_is(0, within=seconds(10))
        when.guard_deleted()
    _back(when, healed_within=minutes(1), within=minutes(2), of_at_least=OF_A_RELEASE)
    _felt_by(when, below=0.005)


def router_lies(production: Environment) -> None:
    """The router says 5 % and sends the canary nothing: it is held, until a person aborts it."""
    with production.canary_bypassed():
        when = _released_well(production)
        when.weight_is(5, within=minutes(1))
        when.requests_go_on(2_000)
        when.weights_seen_are(5)
        when.aborted_by_hand()
        when.rollout_is("Degraded", within=AT_ONCE)
        _back(when, blamed=False)
    when.no_new_steps_were_taken()
    _nobody_felt_it(when)


def left_by_hand(production: Environment) -> None:
    """A person takes a release back in its middle: its users are not kept waiting for Argo CD's sync."""
    when = _released_well(production)
    when.weight_is(20, within=minutes(2))
    when.left_by_hand()
    # Of a release in which nothing has changed, the guard looks into Git every 5 s; writing and reading take their own.
    when.rollout_is("Degraded", within=seconds(15))
    when.weight_is(0, within=seconds(1))
    when.is_taken_back()
    arrives(when, within=AT_ONCE)
    _nobody_felt_it(when)


def undone_by_hand(production: Environment) -> None:
    """`undo` changes the cluster and not Git, so Argo CD takes it back: only a commit takes a release back."""
    production.serving(serving_now(production))
    given = production.serving(other_good_version(production)).under(
        traffic()
    )  # so that there is something to go back to
    when = When(given.environment, given.stable)
    when.undone_by_hand(within=seconds(20))
    arrives(when, within=minutes(2))
    when.argocd_is_content(within=minutes(2))
    _nobody_felt_it(when)


def replaced(production: Environment) -> None:
    """Nothing is released: pods are replaced, and evicted as by a drain of their node, all the time."""
    enough = 10_000
    given = _given(production).alone(within=minutes(3))
    when = When(given.environment, given.stable)
    while when.requests_sent() < enough:
        when.pods_replaced(within=minutes(3))
        when.pods_evicted(within=minutes(3))
    when.load_goes_on(until_requests=enough + AFTER)
    when.no_request_failed(of_at_least=enough)


def controller_restarted(production: Environment) -> None:
    when = _released_well(production)
    when.weight_is(20, within=minutes(2))
    when.rollouts_controller_deleted()
    arrives(when, within=minutes(4))
    when.weights_seen_are(*WEIGHTS)
    _nobody_felt_it(when)


def pods_killed(production: Environment) -> None:
    when = _released_well(production)
    when.weight_is(20, within=minutes(2))
    when.canary_pod_deleted()
    when.stable_pod_deleted()
    arrives(when, within=minutes(4))
    _nobody_felt_it(when)


def newer_push(production: Environment) -> None:
    """A fix arrives while the release before it is on its way."""
    given = _given(production)
    given.released(images.errors(share=0.02, version="1.2-little")).weight_is(5, within=minutes(1))
    when = given.released(images.good(other_good_version(production)))
    arrives(when, within=minutes(4))
    _felt_by(when, below=0.005)


def rollback_past_replaced(production: Environment) -> None:
    """A person rolls a fix back that had replaced a bad release at 5 %: nobody gets that one."""
    given = _given(production)
    before = given.released(images.good(other_good_version(production)))
    # Through its gates, so that a rollback to it takes no steps.
    arrives(before, within=minutes(4))
    production.stable = before.image
    given.released(images.errors(share=0.02, version="1.2-little")).weight_is(5, within=minutes(1))
    when = given.released(images.good(other_good_version(production)))
    arrives(when, within=minutes(4))
    when.rolled_back_by_hand()
    arrives(when, within=minutes(1))
    production.still_serves(given.stable.version)
    _felt_by(when, below=0.005)


def revert_of_rollback(production: Environment) -> None:
    """Somebody reverts the guard's rollback: the cluster refuses the quarantined image, and Git is put back again."""
    given = _given(production)
    when = given.released(images.errors())
    when.rollout_is("Degraded", within=USUAL)
    when.healed(within=HEALED, blamed=True)
    arrives(when, within=AT_ONCE)
    when = given.reverted()
    when.healed(within=minutes(1), blamed=True)
    when.was_left_because("is not let in: ")
    when.argocd_is_content(within=minutes(2))
    when.weights_seen_are()
    _felt_by(when, below=0.005)


def revert_without_guard(production: Environment) -> None:
    """Nobody is there but Argo CD: a bad release that everybody has is reverted in a web page, and that arrives."""
    given = _given(production)
    when = given.released(images.errors(share=0.02, version="1.2-little"))
    when.weight_is(5, within=minutes(1))
    when.promoted_in_full_by_hand()
    arrives(when, within=minutes(3))
    with when.guard_down():
        back = given.reverted('Revert "release 1.2-little" (#12)')
        arrives(back, within=minutes(5))
    back.requests_go_on(AFTER)
    production.still_serves(given.stable.version)
    _felt_by(back, below=0.02)


def rollback_to_missing_image(production: Environment) -> None:
    """A rollback to an image that the registry has deleted: the stable version keeps serving, and Git is put back."""
    # What is deleted is of no use to a later run.
    old = images.good(f"1.{time.time():.0f}")
    given = production.serving(old).under(traffic())
    newer = given.released(images.good(GOOD[0]))
    newer.weight_is(5, within=minutes(2))
    newer.promoted_in_full_by_hand()
    arrives(newer, within=minutes(2))
    production.stable = newer.image
    images.deleted(images.image(old))
    when = given.rolled_back_to(images.image(old))
    when.healed(within=minutes(3), blamed=False)
    arrives(when, within=AT_ONCE)
    when.people_are_told(
        f"production: {old.version} failed, rolled back to {given.stable.version}", within=TOLD
    )
    _nobody_felt_it(when)


def abort_without_stable_pod(production: Environment) -> None:
    """A stable pod is missing while a release is aborted: Argo Rollouts keeps its 20 %, and the guard ends that."""
    when = _released_well(production)
    when.weight_is(20, within=minutes(2))
    with when.stable_pod_missing():
        when.aborted_by_hand()
        when.rollout_is("Degraded", within=AT_ONCE)
        when.healed(within=HEALED, blamed=False)
        when.requests_go_on(1_000)
    arrives(when, within=minutes(2))
    when.canary_service_was_left_alone()
    when.users_lost_it(within=seconds(5))
    _felt_by(when, below=0.005)


def abort_without_guard(production: Environment) -> None:
    """The same while there is no guard: what Argo Rollouts does by itself."""
    when = _released_well(production)
    when.weight_is(20, within=minutes(2))
    with when.guard_down(), when.stable_pod_missing():
        when.aborted_by_hand()
        when.rollout_is("Degraded", within=AT_ONCE)
        when.requests_go_on(1_200)
    _back(when, blamed=False, healed_within=minutes(2))
    when.users_lost_it(within=minutes(2))


def rollback_without_guard(production: Environment) -> None:
    """The guard is away and a migration fails, again and again: a rollback arrives all the same, if late."""
    given = _given(production)
    when = given.released(images.bad_migration())
    with when.guard_down():
        when.migration_fails(within=minutes(3))
        when.rolled_back_by_hand()
        # Argo CD tries the failing sync for ten minutes (decision 0033), and then has what Git names.
        when.argocd_is_content(within=minutes(12))
    _nobody_felt_it(when)


def odd_bytes(production: Environment) -> None:
    """Release files of dev that nobody can read stop neither the guard nor production."""
    given = _given(production)
    with production.beside("dev") as dev:
        dev.serving(serving_now(dev))
        for name, content in ODD_BYTES.items():
            settings.push_bytes("dev/release.yaml", content, f"a release file with {name}")
        dev.argocd_complains(within=minutes(1))
        when = given.released(images.good(other_good_version(production)))
        arrives(when, within=minutes(4))
        when.weights_seen_are(*WEIGHTS)
        when.guard_was_never_restarted()
        listed = dev.deliver("history", "dev", "--json", "-n", str(len(ODD_BYTES)))
        if listed.count('"problem": "') != len(ODD_BYTES):
            production.fail(f"{len(ODD_BYTES)} problems in delivery history", listed)
        dev.deliver("rollback", "dev")
        dev.argocd_looks_again()
        dev.argocd_complains_no_more(within=minutes(1))
    _nobody_felt_it(when)


_NINE_TIMES = (f"{name}: &{name} [{','.join([f'*{of}'] * 9)}]" for of, name in pairwise("abcdefghi"))
ODD_BYTES = {
    "a Latin-1 letter": 'strategy: "caf\xe9"\n'.encode("latin-1"),
    "a NUL": b"revision: \x00\n",
    "a date as version": b"image: {version: 2026-45-01}\n",
    "a YAML bomb": "\n".join(["a: &a [x,x,x,x,x,x,x,x,x]", *_NINE_TIMES]).encode(),
    "5 MB": b"# " + b"x" * 5_000_000 + b"\n",
}


def frozen_push(production: Environment) -> None:
    """A push by hand during a freeze is put back with the reason; a revert made in a web page stays."""
    given = _given(production)
    when = given.released(images.good(other_good_version(production)))
    arrives(when, within=minutes(4))
    production.stable = when.image
    production.deliver("freeze", production.name, "--until", "2199-01-01", "--reason", "a drill")
    try:
        pushed = given.released_by_hand(images.image(images.errors(share=0.02, version="1.2-little")))
        pushed.healed(within=seconds(30), blamed=False)
        pushed.was_left_because("freeze: production is frozen until 2199-01-01")
        arrives(pushed, within=minutes(1))
        back = given.rolled_back_to(
            images.image(images.good(other_good_version(production))), "Revert it (#13)"
        )
        # With its steps, where it was promoted without its gates.
        arrives(back, within=minutes(5))
        # The guard looks into Git every 5 s.
        back.requests_go_on(1_000)
        back.is_in_git()
    finally:
        production.deliver("thaw", production.name, "--reason", "the drill is over")
    _nobody_felt_it(back)


def autoscaler_in_bake(production: Environment) -> None:
    """Both versions stand at full size for minutes, and the autoscaler adds no pod for that."""
    production.settings = {
        # One version uses less than 80 % of it; with that as a target both together want more pods (decision 0035).
        "web": {"resources": {"requests": {"memory": "128Mi"}}},
        "autoscaling": {"minReplicas": 2, "maxReplicas": 8},
        "analysis": {"bake": "10m"},
        "strategy": {"bake": True},
    }
    given = production.serving(serving_now(production)).under(traffic())
    when = given.released(images.good(other_good_version(production)))
    when.weight_is(100, within=minutes(5))
    when.requests_go_on(10_000)
    when.replicas_were_never_above(2)
    when.promoted_in_full_by_hand()
    arrives(when, within=minutes(2))
    _nobody_felt_it(when)


def worker_only(production: Environment) -> None:
    """Web pods of this release are well; its worker fails every task, a won deal's mail among them."""
    _nobody_felt_it(_rolled_back(production, images.failing_tasks()))


def hoarding(production: Environment) -> None:
    """Every answer is good and fast enough, and for most of its time waits for a connection to the database."""
    # Such a share is judged after two minutes of it.
    production.settings = {"strategy": {"stepDuration": "150s"}}
    when = _rolled_back(production, images.hoarding(), within=minutes(5))
    when.weight_was_never_above(5)
    _nobody_felt_it(when)


def slow_clients(production: Environment) -> None:
    """They reach no pod: the router has a request's whole body before it sends it on."""
    given = _given(production).alone(within=minutes(3))
    when = When(production, given.stable)
    began = time.time()
    with when.slow_clients(50):
        when.requests_go_on(90 * usual_rate())
    when.pods_were_ready(began)
    _nobody_felt_it(when)


def redis_missing(production: Environment) -> None:
    """No request of a user needs it; what was to be e-mailed is, when it is back."""
    when, began = _sending_mail(production)
    with when.redis_missing():
        when.requests_go_on(60 * usual_rate())
    _no_mail_is_lost(when, began)


def redis_hanging(production: Environment) -> None:
    """The same, but it takes connections and answers nobody."""
    when, began = _sending_mail(production)
    with when.hanging("redis-0"):
        when.requests_go_on(60 * usual_rate())
    _no_mail_is_lost(when, began)


def _sending_mail(production: Environment) -> tuple[When, float]:
    production.settings = {"email": inbox.SMTP}
    given = _given(production).alone(within=minutes(3))
    began = time.time()
    return When(production, given.stable), began


def _no_mail_is_lost(when: When, began: float) -> None:
    when.pods_were_ready(began)
    _nobody_felt_it(when)
    when.no_answer_took_longer(than=PATIENCE)
    # A task that Redis has lost is queued again after two minutes, by a beat that looks each minute.
    when.every_mail_was_sent_once(began, within=minutes(6))


def postgresql_hanging(production: Environment) -> None:
    """Nothing works without it: users are told so at once, and the release under way is not to blame."""
    when = _released_well(production)
    when.weight_is(5, within=minutes(1))
    began = time.time()
    with when.hanging("postgresql-0"):
        when.requests_go_on(60 * usual_rate())
    ended = time.time()
    # As long as an abort would take: what failed in that minute is looked at for two more.
    when.requests_go_on(130 * usual_rate())
    when.was_not_aborted()
    when.promoted_in_full_by_hand()
    arrives(when, within=minutes(3))
    when.load_ends(after=AFTER, of_at_least=LEAST)
    when.requests_failed_only_between(began, ended + 5)
    when.no_answer_took_longer(than=PATIENCE)
    when.pods_were_never_restarted()


def wrong_redis(production: Environment) -> None:
    """Its web pods are ready and answer every request, but look for Redis where there is none, as its worker does."""
    given = _given(production)
    wrong = settings.with_text(
        "charts/crm/templates/config/_config.tpl", "^redis-host: .*", "redis-host: redis.invalid"
    )
    when = given.released_again(wrong)
    when.rollout_is("Degraded", within=USUAL)
    when.weight_is(0, within=seconds(10))
    _back(when, blamed=False)  # the image is the one that serves
    when.weight_was_never_above(50)
    _nobody_felt_it(when)


def lost_writes(production: Environment) -> None:
    """Every answer is a success, and nothing is kept."""
    _nobody_felt_it(_rolled_back(production, images.lost_writes(), within=minutes(5)))


def no_traffic(production: Environment) -> None:
    """At night nobody asks anything: the prober's requests are all that a verdict can go by."""
    production.serving(serving_now(production))
    when = Given(production).released(images.good(other_good_version(production)))
    arrives(when, within=minutes(8))
    when.weights_seen_are(*WEIGHTS)


def no_traffic_errors(production: Environment) -> None:
    production.serving(serving_now(production))
    when = Given(production).released(images.errors())
    when.rollout_is("Degraded", within=minutes(3))
    when.weight_is(0, within=seconds(10))
    when.weight_was_never_above(5)
    when.healed(within=HEALED, blamed=True)
    arrives(when, within=AT_ONCE)
    when.argocd_is_content(within=minutes(2))


def sync_at_5(production: Environment) -> None:
    when = _released_well(production)
    when.weight_is(5, within=minutes(1))
    when.synced_by_hand()
    arrives(when, within=minutes(4))
    when.weights_seen_are(*WEIGHTS)
    _nobody_felt_it(when)


def blue_green(production: Environment) -> None:
    """Users keep the version before until the preview has been judged; then all have the new one at once."""
    given = _given(production)
    before = given.released(images.good(other_good_version(production)))
    # Through its gates, so that the rollback at the end asks nothing.
    arrives(before, within=minutes(5))
    production.stable = before.image
    when = given.released(images.good(other_good_version(production)))
    when.previewed(within=minutes(2))
    arrives(when, within=minutes(5))
    when.weights_seen_are(100)
    when.rolled_back_by_hand()
    arrives(when, within=AT_ONCE)
    _nobody_felt_it(when)


def blue_green_refused(production: Environment, recipe: Recipe) -> None:
    """The preview's own requests tell: no user ever has it."""
    when = _rolled_back(production, recipe, within=minutes(4))
    when.weights_seen_are()
    _nobody_felt_it(when)


def ab_test(production: Environment) -> None:
    """Users who send x-user-group: beta have the new version and nobody else has, until a person decides."""
    serves = serving_now(production)
    given = production.serving(serves).under(traffic(beta=1)).alone(within=minutes(3))
    when = given.released(images.good(other_good_version(production)))
    when.waits_for_approval(within=minutes(3))
    window = when.stays_so(2_000)
    when.approved()
    arrives(when, within=minutes(4))
    when.requests_go_on(AFTER)
    when.only_beta_had_it(window, of_at_least=400)
    when.no_request_failed(of_at_least=3_000)


def ab_test_refused(production: Environment, recipe: Recipe) -> None:
    """Only the group beta, a quarter of the requests here, feels it, and only until the verdict."""
    given = production.serving(serving_now(production)).under(traffic(beta=1))
    when = _taken_back(given.released(recipe), within=USUAL)
    _felt_by(when, below=0.08)
    when.only_beta_felt_it()


def ab_test_lost_wins(production: Environment) -> None:
    """Users of the group beta, half of all here, win no deals any more; everything else of theirs is well."""
    given = production.serving(serving_now(production)).under(traffic(beta=2))
    _nobody_felt_it(_taken_back(given.released(images.lost_wins()), within=minutes(5)))


def rolling_update(production: Environment) -> None:
    when = _released_well(production)
    arrives(when, within=minutes(3))
    _nobody_felt_it(when)


def rolling_update_felt(production: Environment, recipe: Recipe) -> None:
    """Nothing is asked: everybody has the bad version until a person takes it back, for which one command does."""
    when = _given(production).released(recipe)
    arrives(when, within=minutes(3))
    when.requests_go_on(AFTER)
    when.rolled_back_by_hand()
    arrives(when, within=AT_ONCE)
    when.argocd_is_content(within=minutes(2))


def autoscaled(production: Environment) -> None:
    """While the canary has 50 %, a rush makes the autoscaler add pods, and its end takes them away again."""
    # 100m a pod; the usual five minutes before pods are taken away would only make the drill longer.
    small = {
        "targetCPUUtilizationPercentage": 250,
        "minReplicas": 2,
        "maxReplicas": 4,
        "scaleDownAfterSeconds": 30,
    }
    production.settings = {"strategy": {"approval": True}, "autoscaling": small}
    given = production.serving(serving_now(production)).under(traffic(10))
    when = given.released(images.good(other_good_version(production)))
    when.waits_for_approval(within=minutes(8))
    # A canary's pods use CPU to start, for which the autoscaler may have added some: only the rush shall be the reason.
    when.replicas_are(2, within=minutes(4))
    with when.rush(traffic(60)):
        when.replicas_are(4, within=minutes(3))
        when.weight_is(50, within=seconds(1))
        # The usual ones, without the rush's: 100 s with all pods.
        when.requests_go_on(1_000)
    when.replicas_are(2, within=minutes(4))
    when.approved()
    arrives(when, within=minutes(4))
    when.weights_seen_are(*WEIGHTS)
    when.no_request_failed(of_at_least=3_000)


def autoscaling_begins(production: Environment) -> None:
    """A fixed number of pods becomes the autoscaler's under load, and fixed again: nobody loses a pod by that."""
    production.settings = {"autoscaling": {"enabled": False}, "web": {"replicas": 4}}
    given = production.serving(serving_now(production)).under(traffic())
    given.replicas_are(4, within=minutes(2))
    begun = settings.with_settings(
        "production", {"autoscaling": {"minReplicas": 3, "maxReplicas": 6}}, file=settings.LOCAL_SETTINGS
    )
    when = given.released_again(begun)
    arrives(when, within=minutes(2))
    # Two autoscaler's looks and more: it may want fewer than 4 pods, and no fewer than its own 3.
    when.requests_go_on(LEAST)
    when.replicas_were_never_below(3)
    when = given.taken_back()
    arrives(when, within=minutes(2))
    when.requests_go_on(LEAST)
    when.replicas_were_never_below(3)
    _nobody_felt_it(when)


def shares(production: Environment, hold: str, requests: int) -> None:
    """Each step gets its share of the requests, also after a sync in its middle, and 100 % waits for a person."""
    production.settings = {"strategy": {"stepDuration": hold, "approval": True}}
    given = production.serving(serving_now(production)).under(traffic(100, looks=0.6))
    when = given.released(images.good(other_good_version(production)))
    when.weight_is(20, within=minutes(5))
    when.requests_go_on(1_000)
    when.synced_by_hand()
    when.waits_for_approval(within=minutes(8))
    when.approved()
    arrives(when, within=minutes(5))
    when.canary_shares_are(WEIGHTS, within_points=1.5, of_at_least=requests)
    _nobody_felt_it(when)


def promoted(production: Environment) -> None:
    """Released to dev only: the guard brings it to staging after a soak, and a person to production."""
    # What staging has had is not promoted to it again, so the version is a new one each time.
    new = images.good(f"1.{time.time():.0f}")
    image = images.image(new)
    bootstrap.install(promotions=("dev>staging=20s",))
    given = _given(production)
    try:
        with production.beside("dev") as dev, production.beside("staging") as staging:
            dev.serving(new)
            staging.is_given(image, within=minutes(8))
    finally:
        bootstrap.install()
    when = given.promoted_from("staging")
    arrives(when, within=minutes(4))
    when.weights_seen_are(*WEIGHTS)
    _nobody_felt_it(when)


def pipeline(production: Environment) -> None:
    """From dev to production and back by the commands of the workflows, one after the other."""
    given = production.serving(serving_now(production))
    # What an environment has had is not released to it again, so the version is a new one each time.
    image = images.image(images.good(f"1.{time.time():.0f}"))

    def verified(environment: Environment) -> None:
        # Of the CRM's addresses the one that nobody has to sign in for.
        address = f"http://{local.api_host(environment.name)}:{addresses.HTTP_PORT}"
        environment.make("verify", ENVIRONMENT=environment.name, URL=address, PROMETHEUS=addresses.PROMETHEUS)

    with production.beside("dev") as dev, production.beside("staging") as staging:
        dev.make("release", IMAGE=image.reference, ENVIRONMENT="dev")
        verified(dev)
        staging.make("promote", SOURCE="dev", ENVIRONMENT="staging")
        verified(staging)
        # Few users, because two more environments run beside them.
        when = given.under(traffic(20)).made("promote", SOURCE="staging", ENVIRONMENT="production")
        verified(production)
        arrives(when, within=minutes(2))
        when.weights_seen_are(*WEIGHTS)
        when = given.made("rollback", ENVIRONMENT="production", REASON="a drill", FROM=image.version)
        # What was there before may have been promoted without its gates, and takes its steps then.
        arrives(when, within=minutes(5))
        verified(production)
    _nobody_felt_it(when)


def strategies_switched(production: Environment) -> None:
    """The same load sees one strategy after the other."""
    given = _given(production)
    for strategy in ("blue-green", "ab-test", "rolling-update", "canary"):
        production.strategy = strategy
        production.serving(other_good_version(production))
        when = When(given.environment, given.stable)
        when.requests_go_on(AFTER)
    _nobody_felt_it(when)


def _bad(strategy: str, play: Callable[[Environment, Recipe], None]) -> tuple[Scenario, ...]:
    """A release that answers 500 and a slow one, by that strategy."""
    called = {"blue-green": "Blue-green", "ab-test": "A/B", "rolling-update": "Rolling update"}[strategy]
    kinds = (
        ("errors", "every answer is a 500", images.errors()),
        ("slow", "every answer takes 3 s", images.slow()),
    )

    def played(recipe: Recipe) -> Callable[[Environment], None]:
        return lambda production: play(production, recipe)

    return tuple(
        Scenario(f"{strategy}-{kind}", f"{called}: {what}", played(recipe), strategy)
        for kind, what, recipe in kinds
    )


MATRIX = (
    Scenario("good", "A good release", good),
    Scenario("errors", "Every answer is a 500", errors),
    Scenario("few-errors", "1 answer in 10 is a 500", few_errors),
    Scenario("bursts", "Errors come in bursts", bursts),
    Scenario("slow", "Every answer takes 3 s", slow),
    Scenario("stray-error", "A good release with one single 500", stray_error),
    Scenario("crash-loop", "Web pods end while they start", crash_loop),
    Scenario("never-ready", "Web pods live and are never ready", never_ready),
    Scenario("sick", "Web pods become ready, and then are not any more", sick),
    Scenario("good-settings", "Only settings change, for the good", good_settings),
    Scenario("bad-settings", "Only settings change, to too little memory", bad_settings),
    Scenario("bad-migration", "The database refuses a migration", bad_migration),
    Scenario("missing-image", "The image does not exist", missing_image),
    Scenario("vulnerable", "The scan result tells of a critical vulnerability", vulnerable),
    Scenario("unscanned", "Nobody has scanned the image", unscanned),
    Scenario("prometheus-down", "Prometheus is down in the middle of a good release", prometheus_down),
    Scenario("argocd-down", "Argo CD is down while a release answers 500", argocd_down),
    Scenario("git-down", "The Git server is down while a release answers 500, and the guard dies", git_down),
    Scenario("controller-restarted", "Argo Rollouts restarts at 20 %", controller_restarted),
    Scenario("pods-killed", "A canary and a stable pod die at 20 %", pods_killed),
    Scenario("newer-push", "A newer release is pushed at 5 %", newer_push),
    Scenario("autoscaled", "The autoscaler adds and takes pods in the middle of a canary", autoscaled),
    Scenario("revert-of-rollback", "The guard's rollback is reverted in Git", revert_of_rollback),
    Scenario(
        "rollback-past-replaced", "A fix is rolled back past what it had replaced", rollback_past_replaced
    ),
    Scenario(
        "abort-without-stable-pod",
        "A stable pod is missing while a release is aborted",
        abort_without_stable_pod,
    ),
    Scenario("odd-bytes", "Release files of another environment that nobody can read", odd_bytes),
    Scenario("frozen-push", "A push by hand during a freeze, and a revert", frozen_push),
    Scenario("sync-at-5", "Argo CD syncs at 5 %", sync_at_5),
    Scenario("worker-only", "Only the worker's tasks fail", worker_only),
    Scenario("lost-writes", "Writes are lost behind a 200", lost_writes),
    Scenario("no-traffic", "A good release while nobody asks anything", no_traffic),
    Scenario("no-traffic-errors", "A release that answers 500 while nobody asks anything", no_traffic_errors),
    Scenario("blue-green", "Blue-green: a good release", blue_green, "blue-green"),
    *_bad("blue-green", blue_green_refused),
    Scenario("ab-test", "A/B: a good release", ab_test, "ab-test"),
    *_bad("ab-test", ab_test_refused),
    Scenario("rolling-update", "Rolling update: a good release", rolling_update, "rolling-update"),
    *_bad("rolling-update", rolling_update_felt),
)
"""What a release may be or meet, by each strategy: docs/results/proof.md."""
EXTENDED = (
    Scenario("unlisted", "Nobody has signed what is in it, without Kyverno", unlisted),
    Scenario("unsigned", "Nobody has signed the image", unsigned, admission=True),
    Scenario("without-sbom", "Nobody has signed what is in the image", without_sbom, admission=True),
    Scenario("signed", "Only signed images may start, and it is signed", signed, admission=True),
    Scenario("errors-unhurried", "Every answer is a 500, with production's times", errors_unhurried),
    Scenario("hoarding", "Requests wait for connections to the database", hoarding),
    Scenario("slow-clients", "50 clients send a byte a second", slow_clients),
    Scenario("redis-missing", "Redis is away for a minute", redis_missing),
    Scenario("redis-hanging", "Redis hangs for a minute", redis_hanging),
    Scenario("postgresql-hanging", "PostgreSQL hangs for a minute of a release", postgresql_hanging),
    Scenario("wrong-redis", "Only settings change, to a wrong address of Redis", wrong_redis),
    Scenario("router-lies", "The router sends the canary nothing, a person aborts", router_lies),
    Scenario("left-by-hand", "A person takes a release back at 20 %", left_by_hand),
    Scenario("revert-without-guard", "The guard is away, and a release is reverted", revert_without_guard),
    Scenario(
        "rollback-to-missing-image", "A rollback to an image that is deleted", rollback_to_missing_image
    ),
    Scenario("autoscaler-in-bake", "Both versions stand at full size for minutes", autoscaler_in_bake),
    Scenario(
        "rollback-without-guard",
        "The guard is away, and a failing migration is rolled back",
        rollback_without_guard,
    ),
    Scenario(
        "abort-without-guard",
        "The guard and a stable pod are away while a release is aborted",
        abort_without_guard,
    ),
    Scenario("undone-by-hand", "A person undoes a release in the cluster alone", undone_by_hand),
    Scenario("replaced", "All pods are replaced and evicted", replaced),
    Scenario("ab-test-lost-wins", "A/B: the group beta wins no deals", ab_test_lost_wins, "ab-test"),
    Scenario("switch", "One strategy after the other", strategies_switched),
    Scenario("autoscaling-begins", "A fixed number of pods becomes the autoscaler's", autoscaling_begins),
    Scenario("pipeline", "From dev to production and back by the pipeline's commands", pipeline),
    Scenario("promoted", "From dev to staging by itself, to production by a person", promoted),
    Scenario("shares", "Each step's share of the requests", partial(shares, hold="40s", requests=4_000)),
    *(
        Scenario(f"shares-{router}", f"{called}: each step's share", play, router=router)
        for router, called, play in (
            ("nginx", "nginx annotations", partial(shares, hold="40s", requests=4_000)),
            ("istio", "Istio", partial(shares, hold="100s", requests=10_000)),
        )
    ),
    *(
        Scenario(f"ab-test-{router}", f"{called}: A/B", ab_test, "ab-test", router)
        for router, called in (("nginx", "nginx annotations"), ("istio", "Istio"))
    ),
)
"""What is promised beside that, of routers, people and times: docs/results/extended.md."""


def _given(production: Environment) -> Given:
    """A good version serves everybody, under load."""
    return production.serving(serving_now(production)).under(traffic())


def serving_now(production: Environment) -> str:
    """The good version that serves already, if one does."""
    serves = production.answering_version()
    return serves if serves in GOOD else GOOD[0]


def other_good_version(production: Environment) -> str:
    """The good version that does not serve now."""
    stable = production.stable.version if production.stable else ""
    return next(version for version in GOOD if version != stable)


def _released_well(production: Environment) -> When:
    given = _given(production)
    return given.released(images.good(other_good_version(production)))


def _rolled_back(
    production: Environment, recipe: Recipe, *, within: timedelta = USUAL, of_at_least: int = LEAST
) -> When:
    return _taken_back(_given(production).released(recipe), within=within, of_at_least=of_at_least)


def _taken_back(when: When, *, within: timedelta, of_at_least: int = LEAST) -> When:
    """The release aborts itself, and the guard puts the one before back in Git."""
    when.rollout_is("Degraded", within=within)
    when.weight_is(0, within=seconds(10))
    _back(when, of_at_least=of_at_least)
    when.no_new_steps_were_taken()
    when.canary_service_was_left_alone()
    return when


def _never_released(when: When, *, blamed: bool = True) -> None:
    """It is refused before it has a web pod, so no user can have it."""
    when.rollout_is("Degraded", within=USUAL)
    _back(when, blamed=blamed)
    when.weights_seen_are()
    when.no_pod_was_started()
    _nobody_felt_it(when)


def _not_let_in(production: Environment, recipe: Recipe, *, because: str) -> None:
    given = _given(production)
    with _only_signed(given):
        when = given.released(recipe)
        _back(when, healed_within=minutes(1), blamed=False)
    when.was_left_because(because)
    when.weights_seen_are()
    when.no_pod_was_started()
    _nobody_felt_it(when)


@contextmanager
def _only_signed(given: Given, *others: images.Image) -> Iterator[None]:
    """From now on nothing starts that is not signed; what serves and these others are."""
    for image in (given.stable, *others):
        signing.sign(image)
    given.environment.done("action", "only what is signed may start")
    kyverno.admit_only(attestations.public_key())
    try:
        yield
    finally:
        kyverno.admit_all()
        given.environment.done("action", "everything may start again")


def _never_there(when: When, *, blamed: bool = True) -> None:
    """Its pods are never ready: Argo Rollouts aborts it, or the guard does where that was forgotten (decision 0023)."""
    _back(when, healed_within=NEVER_READY, blamed=blamed)
    when.weights_seen_are()
    _nobody_felt_it(when)


def _back(
    when: When,
    *,
    blamed: bool = True,
    healed_within: timedelta = HEALED,
    within: timedelta = AT_ONCE,
    of_at_least: int = LEAST,
) -> None:
    when.healed(within=healed_within, blamed=blamed)
    when.rollout_is("Healthy", within=within)
    # Users have it back; worker and beat, which Argo CD waits for, start sooner without them.
    when.load_ends(after=AFTER, of_at_least=of_at_least)
    when.argocd_is_content(within=minutes(2))


def arrives(when: When, *, within: timedelta) -> None:
    """The Rollout has it, and Argo CD is content with that."""
    when.rollout_is("Healthy", within=within)
    when.argocd_is_content(within=minutes(2))


def _nobody_felt_it(when: When) -> None:
    when.load_ends(after=AFTER, of_at_least=LEAST)
    when.no_request_failed(of_at_least=LEAST)


def _felt_by(when: When, *, below: float) -> None:
    """Not more than that share of the requests failed."""
    when.load_ends(after=AFTER, of_at_least=OF_A_RELEASE)
    when.failed_requests_are(below=below)
