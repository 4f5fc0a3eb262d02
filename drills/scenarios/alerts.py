"""The alerts' drills: a fault, the alert, its notification, the runbook's own commands, the end."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cluster import addresses, processes
from drills.fixtures import attestations, images, inbox, local_cluster, settings
from drills.fixtures.images import Recipe
from drills.fixtures.manifests import manifest
from drills.load.traffic import Traffic, traffic
from drills.scenarios.scenario import AT_ONCE, TO_VERDICT, Scenario, other_good, serving_now
from drills.steps.duration import minutes, seconds
from drills.steps.environment import Environment
from drills.steps.on_call import OnCall
from drills.steps.release import ReleaseAttempt
from monitoring.objectives import LIMITS

_FEW = traffic(10)
_REDIS = 'REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli'
_QUIET = minutes(15)
# Of the alerts that every platform has, and nobody is woken by.
_SWITCH = "DeadMansSwitch"
_TASKS = 150
_ENOUGH = 10_000
"""Requests of the quiet 15 minutes, none of which may fail."""

Play = Callable[..., None]
"""Takes whoever is on call, and the scenario's recipe if it has one."""


def redis_hangs(on_call: OnCall) -> None:
    """It takes connections and answers nobody; whoever is notified first does nothing, and the next one is notified."""
    on_call.fault_begins("Redis takes connections and answers nobody")
    _in_pod(on_call, "redis-0", "sh", "-c", f"{_REDIS} client pause 900000")
    on_call.wait_for_alert("RedisDown")
    on_call.wait_for_escalation("RedisDown")
    on_call.diagnose("RedisDown")
    on_call.mitigate("RedisDown", "kubectl rollout restart statefulset redis")
    on_call.wait_for_end("RedisDown")


def postgresql_hangs(on_call: OnCall) -> None:
    """It takes connections and answers nobody, so that no web pod is ready."""
    on_call.fault_begins("PostgreSQL takes connections and answers nobody")
    with local_cluster.hanging(on_call.environment.namespace, "postgresql-0"):
        on_call.wait_for_alert("CRMDown")
        on_call.wait_for_escalation("CRMDown")
        on_call.diagnose("CRMDown")
    on_call.fault_ends("PostgreSQL goes on")
    on_call.wait_for_end("CRMDown")


def budget_errors(on_call: OnCall, recipe: Recipe) -> None:
    """Everybody gets a version that answers 500; few ask, so that the slow windows end with the drill."""
    with on_call.user(every=4) as user:
        release = on_call.given.release(recipe)
        on_call.environment.wait_until(lambda _: bool(user.first_failed_at), TO_VERDICT, "a first 500")
        on_call.fault_begins("every answer is a 500", at=user.first_failed_at)
        on_call.wait_for_alert("HighErrorRate")
        on_call.wait_for_alert("AvailabilityBudgetBurn 1h", inhibited=True)
        on_call.diagnose("HighErrorRate")
        on_call.diagnose("AvailabilityBudgetBurn")
        on_call.mitigate("HighErrorRate", "delivery rollback production")
        _wait_for_rollback(on_call, release)
        _burns(on_call, "AvailabilityBudgetBurn")
    with on_call.strangers(300):
        on_call.wait_for_end("HighErrorRate", *_windows("AvailabilityBudgetBurn"))


def budget_slow(on_call: OnCall, recipe: Recipe) -> None:
    """Everybody gets a version that answers after 3 s; few ask."""
    with on_call.user(every=4) as user:
        release = on_call.given.release(recipe)
        on_call.environment.wait_until(
            lambda _: bool(user.first_failed_at), TO_VERDICT, "a first slow answer"
        )
        on_call.fault_begins("every answer takes 3 s", at=user.first_failed_at)
        on_call.wait_for_alert("LatencyBudgetBurn 1h")
        on_call.diagnose("LatencyBudgetBurn")
        on_call.mitigate("LatencyBudgetBurn", "delivery rollback production")
        _wait_for_rollback(on_call, release)
        _burns(on_call, "LatencyBudgetBurn")
    with on_call.strangers(150):
        on_call.wait_for_end(*_windows("LatencyBudgetBurn"))


def pool_exhausted(on_call: OnCall, recipe: Recipe) -> None:
    """Everybody gets a version whose requests wait for connections to the database."""
    release = on_call.given.release(recipe)
    on_call.environment.wait_until(
        lambda _: on_call.environment.answering_version() == release.image.version,
        TO_VERDICT,
        "an answer of the release",
    )
    on_call.fault_begins("requests hoard the connections to the database")
    on_call.wait_for_alert("DatabasePoolExhausted")
    on_call.diagnose("DatabasePoolExhausted")
    on_call.mitigate("DatabasePoolExhausted", "delivery rollback production")
    _wait_for_rollback(on_call, release)
    on_call.wait_for_end("DatabasePoolExhausted")


def worker_gone(on_call: OnCall) -> None:
    """Somebody scales the worker to nothing while Argo CD is away, and tasks are queued."""
    with on_call.given.argocd_down():  # so that what is changed in the cluster alone stays changed
        on_call.fault_begins("the worker is scaled to nothing")
        _scale(on_call, "crm-worker", 0)
        code = f"from crm.notifications.tasks import *\nfor _ in range({_TASKS}): send_overdue_emails.delay()"
        shell = ("python", "manage.py", "shell", "--no-imports", "--command")
        _in_pod(on_call, _a_web_pod(on_call), *shell, code)
        on_call.wait_for_alert("WorkerLost")
        on_call.wait_for_alert("QueueTooLong", inhibited=True)
        on_call.wait_for_alert("QueueTooOld", inhibited=True)
        for rule in ("WorkerLost", "QueueTooLong", "QueueTooOld"):
            on_call.diagnose(rule)
        on_call.mitigate("WorkerLost", "kubectl scale deployment crm-worker")
        on_call.wait_for_end("WorkerLost", "QueueTooLong", "QueueTooOld")


def beats(on_call: OnCall) -> None:
    """Somebody scales beat to nothing, and then to two, while Argo CD is away."""
    with on_call.given.argocd_down():
        on_call.fault_begins("beat is scaled to nothing")
        _scale(on_call, "crm-beat", 0)
        on_call.respond_to("BeatSilent", "kubectl scale deployment crm-beat")
        on_call.fault_begins("beat is scaled to two")
        _scale(on_call, "crm-beat", 2)
        on_call.respond_to("BeatDoubled", "kubectl scale deployment crm-beat")


def cache_emptied(on_call: OnCall) -> None:
    """Somebody empties the cache again and again, and it is asked."""
    service = f"http://crm-stable.{on_call.environment.namespace}.svc/probe/"
    asking = (
        "import time, urllib.request\n"
        f"asked = urllib.request.Request({service!r}, headers={{'X-CRM-Probe': '1'}})\n"
        "while True:\n"
        "    urllib.request.urlopen(asked).read()\n"
        "    time.sleep(0.2)"
    )
    emptying = f"while :; do {_REDIS} -n 1 flushdb; sleep 0.2; done"
    with (
        _meanwhile(on_call, _a_web_pod(on_call), "python", "-c", asking),
        _meanwhile(on_call, "redis-0", "sh", "-c", emptying),
    ):
        on_call.fault_begins("somebody empties the cache again and again")
        on_call.respond_to("RedisHitRateLow", "kubectl exec")
    _in_pod(on_call, "redis-0", "sh", "-c", f"{_REDIS} acl setuser default +flushdb +flushall")


def guard_gone(on_call: OnCall, recipe: Recipe) -> None:
    """There is no guard when a release is aborted: a person does what it would have done."""
    gone = on_call.fault_begins("the guard is scaled to nothing")
    with on_call.given.guard_down():
        release = on_call.given.release(recipe)
        release.wait_for_rollout("Degraded", within=TO_VERDICT)
        on_call.fault_begins("a release is aborted, and Git still names it")
        on_call.wait_for_alert("RolloutAborted")
        on_call.wait_for_alert("ArgoCDDegraded", inhibited=True)
        on_call.diagnose("RolloutAborted", without=("job/crm-migrate",))
        on_call.diagnose("ArgoCDDegraded")
        on_call.mitigate("RolloutAborted", "delivery rollback production")
        _wait_for_rollback(on_call, release)
        on_call.wait_for_end("RolloutAborted", "ArgoCDDegraded")
        on_call.wait_for_alert("GuardSilent", of=gone)
        on_call.diagnose("GuardSilent", without=("kubectl logs",))
        on_call.mitigate("GuardSilent", "kubectl scale deployment delivery-guard")
        on_call.wait_for_end("GuardSilent")


def quarantined(on_call: OnCall, recipe: Recipe) -> None:
    """A release fails because of its image; a person finds that the image was not to blame."""
    release = on_call.given.release(recipe)
    release.wait_for_rollout("Degraded", within=TO_VERDICT)
    release.wait_for_automatic_rollback(within=seconds(10), quarantined=True)
    on_call.fault_begins("the guard quarantines an image")
    on_call.respond_to("ImageQuarantined", "delivery unquarantine", **{"sha256:…": release.image.digest})
    release.wait_for_rollout("Healthy", within=AT_ONCE)


def approval_forgotten(on_call: OnCall) -> None:
    release = on_call.given.release(other_good(on_call.given))
    release.wait_for_approval_step(within=minutes(4))
    on_call.fault_begins("a release waits for its approval")
    on_call.respond_to("RolloutPausedTooLong", "kubectl argo rollouts promote")
    release.wait_until_promoted(within=TO_VERDICT)


def stuck(on_call: OnCall, recipe: Recipe) -> None:
    """Its deadline is two minutes here, so that the alert comes before the abort."""
    on_call.fault_begins("pods of a release do not become ready")
    release = on_call.given.release(recipe)
    on_call.respond_to("RolloutStuck", "delivery rollback production")
    _wait_for_rollback(on_call, release)


def unrendered(on_call: OnCall) -> None:
    """Settings are released that the chart refuses."""
    refused = settings.merged(on_call.environment.settings, {"routing": {"provider": "none"}})
    on_call.fault_begins("settings are released that the chart refuses")
    release = on_call.given.release_settings(
        settings.with_settings(on_call.environment.name, refused, file=settings.LOCAL_SETTINGS)
    )
    on_call.wait_for_alert("ArgoCDOutOfSync")
    on_call.diagnose("ArgoCDOutOfSync")
    on_call.mitigate("ArgoCDOutOfSync", "delivery rollback production")
    on_call.mitigate("ArgoCDOutOfSync", "kubectl annotate application crm")
    on_call.wait_for_end("ArgoCDOutOfSync")
    _wait_for_rollback(on_call, release)


def processor_held_back(on_call: OnCall) -> None:
    """One web pod computes all the time, against the limit that this drill gives it."""
    busy = "import os\nos.fork()\nwhile True: pass"
    with _meanwhile(on_call, _a_web_pod(on_call), "python", "-c", busy):
        on_call.fault_begins("one web pod computes all the time")
        on_call.respond_to("HighCPUUsage", "kubectl argo rollouts restart crm")


def memory_full(on_call: OnCall) -> None:
    """One web pod takes memory up to 95 % of its limit, and keeps it."""
    pod = _a_web_pod(on_call)
    limit, used = (
        _value(f'max({series}{{pod="{pod}"}})')
        for series in ("container_spec_memory_limit_bytes", "container_memory_working_set_bytes")
    )
    hog = f"import time\ntaken = b'x' * {0.95 * limit - used:.0f}\ntime.sleep(3600)"
    with _meanwhile(on_call, pod, "python", "-c", hog):
        on_call.fault_begins("one web pod takes 95 % of its memory")
        on_call.respond_to("HighMemoryUsage", "kubectl argo rollouts restart crm")


def certificate_old(on_call: OnCall) -> None:
    """The router serves a certificate of the CRM's host that ends in five days."""
    environment, desk = on_call.environment, on_call.desk()
    host = f"crm.{environment.name}.localhost"
    route = manifest("tls-route", host=host, namespace=environment.namespace)
    _certificate(desk, host, days=5)
    here = f"--namespace={environment.namespace}"
    files = (f"--cert={desk}/tls.crt", f"--key={desk}/tls.key")
    local_cluster.output(["kubectl", "create", "secret", "tls", "crm-tls", here, *files])
    try:
        on_call.fault_begins("the router serves a certificate that ends in five days")
        local_cluster.output(["kubectl", "apply", "--filename", "-"], stdin=route)
        on_call.wait_for_alert("CertificateExpiresSoon")
        # Here nobody runs cert-manager.
        on_call.diagnose("CertificateExpiresSoon", without=("certificaterequest", "describe certificate"))
        _certificate(desk, host, days=90)
        on_call.mitigate("CertificateExpiresSoon", "kubectl create secret tls crm-tls")
        on_call.wait_for_end("CertificateExpiresSoon")
    finally:
        local_cluster.output(["kubectl", "delete", "--filename", "-"], stdin=route)
        local_cluster.output(["kubectl", "delete", "secret", "crm-tls", here])


def pod_frozen(on_call: OnCall) -> None:
    """One web pod's server is stopped, not ended: it keeps its connections and answers nobody."""
    freeze = (
        "import os, pathlib, signal\n"
        "for each in pathlib.Path('/proc').glob('[0-9]*'):\n"
        "    pid = int(each.name)\n"
        "    if pid not in (1, os.getpid()) and b'gunicorn' in (each / 'cmdline').read_bytes():\n"
        "        os.kill(pid, signal.SIGSTOP)"
    )
    on_call.fault_begins("one web pod answers nobody")
    _in_pod(on_call, _a_web_pod(on_call), "python", "-c", freeze)
    on_call.respond_to("ScrapeTargetDown", "kubectl argo rollouts restart crm")


def source_gone(on_call: OnCall) -> None:
    """Somebody deletes the monitor by which Prometheus finds Argo Rollouts."""
    on_call.fault_begins("nobody scrapes Argo Rollouts")
    local_cluster.output(["kubectl", "delete", "podmonitor", "argo-rollouts", "--namespace=monitoring"])
    on_call.respond_to("MetricsSourceAbsent", "kubectl apply")


def alertmanager_hangs(on_call: OnCall) -> None:
    """Whoever waits for the heartbeat is the only one who notices."""
    (pid,) = [
        pid
        for pid, words in processes.command_lines()
        if words.split(" ")[0].rpartition("/")[2] in {"alertmanager", "prometheus-alertmanager"}
    ]
    on_call.fault_begins("Alertmanager hangs")
    subprocess.run(["kill", "-STOP", str(pid)], check=True)
    on_call.wait_for_missing_heartbeat(for_seconds=10)
    on_call.diagnose(_SWITCH)
    on_call.mitigate(_SWITCH, "kubectl delete pod alertmanager-alertmanager-0")
    on_call.wait_for_heartbeat_again()


def quiet(production: Environment) -> None:
    """Fifteen minutes under load and with a good release, no waiting time shortened: no notification comes."""
    given = production.serving(serving_now(production))
    _empty_quarantine(production)
    _restart_prometheus(production)
    on_call = OnCall(production, given, time_scale=1)
    on_call.wait_for_heartbeat()
    began = time.time()

    def passed(share: float) -> None:
        until = began + share * _QUIET.total_seconds()
        production.wait_until(lambda _: time.time() > until, _QUIET, "time to pass")

    # Twice, because nobody stays signed in for longer.
    with given.extra_load(Traffic(20)):
        given.release(other_good(given)).wait_until_promoted(within=minutes(7))
        passed(0.5)
    with given.extra_load(Traffic(20)):
        passed(1)
        fired = _fired(production, time.time() - began)
        scrape = _scrape_seconds(production, time.time() - began)
    if fired != {_SWITCH}:
        production.fail(f"{_SWITCH} alone to fire in {_QUIET}", ", ".join(sorted(fired)) or "nothing")
    notified = on_call.notified_of(began)
    if notified:
        production.fail("no notification", ", ".join(sorted(notified)))
    production.log(f"in {time.time() - began:.0f} s only {_SWITCH} fired, without a notification")
    if scrape > LIMITS.scrape_seconds:
        production.fail(f"a scrape of a pod to take {LIMITS.scrape_seconds} s", f"{scrape:.3f} s")
    production.log(f"half of the scrapes of a pod took at most {1000 * scrape:.0f} ms")
    sent = production.record()
    if len(sent) < _ENOUGH or sent.failed:
        production.fail(f"{_ENOUGH} good answers", f"{len(sent.failed)} of {len(sent)} failed")


# --- how


def _drill(
    play: Play, *, load: Traffic | None = _FEW, changed: dict[str, Any] | None = None, forgetful: bool = False
) -> Callable[..., None]:
    """With waiting times divided by the receiver's factor.

    `changed`: more of the settings. `forgetful`: Prometheus begins anew, so that a few bad requests weigh enough.
    """

    @wraps(play)
    def played(production: Environment, *recipe: Recipe) -> None:
        production.configure(
            settings=settings.merged({"alerts": {"timeScale": inbox.TIME_SCALE}}, changed or {})
        )
        given = production.serving(serving_now(production))
        _empty_quarantine(production)
        if forgetful:
            _restart_prometheus(production)
        if load:
            given.under(load)
        on_call = OnCall(production, given)
        on_call.wait_for_heartbeat()
        play(on_call, *recipe)

    return played


def _windows(rule: str) -> list[str]:
    return [f"{rule} {window}" for window in ("1h", "6h", "1d", "3d")]


def _burns(on_call: OnCall, rule: str) -> None:
    """The slower windows' alerts, which are inhibited while the fastest fires."""
    for name in _windows(rule)[1:]:
        on_call.wait_for_alert(name, inhibited=True)


def _wait_for_rollback(on_call: OnCall, release: ReleaseAttempt) -> None:
    """A command of the runbook has rolled the release back: the version before arrives."""
    environment = on_call.environment
    release.expect_rollback()
    release.wait_until_promoted(within=minutes(2))
    environment.log(f"{environment.answering_version()} answers again")


def _empty_quarantine(production: Environment) -> None:
    """There would still be notifications of what the drills before have brought into quarantine."""
    for digest in production.quarantine():
        production.deliver("unquarantine", digest, "--reason", "a drill begins anew")


def _restart_prometheus(production: Environment) -> None:
    """A new Prometheus that has seen this environment for a few scrapes."""
    deleted_at = time.time()
    production.kubectl("delete", "pod", "prometheus-prometheus-0", "--namespace=monitoring", seconds=120)
    up = f'up{{namespace="{production.namespace}"}}'
    query = f"min(timestamp({up})) and count({up}) > 3"
    production.wait_until(
        lambda _: _value(query) > deleted_at, minutes(3), "a new Prometheus that has asked all pods"
    )


def _value(query: str) -> float:
    """The first value that Prometheus answers; 0 if it answers none."""
    try:
        found = _series(query)
    except httpx.HTTPError:
        return 0.0
    return found[0][1] if found else 0.0


def _fired(production: Environment, for_seconds: float) -> set[str]:
    query = (
        "count by (alertname) (max_over_time("
        f'ALERTS{{alertstate="firing", namespace="{production.namespace}"}}[{for_seconds:.0f}s]))'
    )
    return {metric["alertname"] for metric, _ in _series(query)}


def _scrape_seconds(production: Environment, for_seconds: float) -> float:
    """What half of the scrapes of a pod took at most, of the pod with the longest; of those that are there."""
    here = f'{{namespace="{production.namespace}"}}'
    scrapes = f"quantile_over_time(0.5, scrape_duration_seconds{here}[{for_seconds:.0f}s])"
    return max(value for _, value in _series(f"{scrapes} and on (pod) up{here} == 1"))


def _series(query: str) -> list[tuple[dict[str, str], float]]:
    """Each series that Prometheus answers with, and its value."""
    answer = httpx.get(f"{addresses.PROMETHEUS}/api/v1/query", params={"query": query}, timeout=10)
    found = answer.raise_for_status().json()["data"]["result"]
    return [(each["metric"], float(each["value"][1])) for each in found]


def _scale(on_call: OnCall, deployment: str, replicas: int) -> None:
    here = f"--namespace={on_call.environment.namespace}"
    on_call.environment.kubectl("scale", "deployment", deployment, here, f"--replicas={replicas}")


def _a_web_pod(on_call: OnCall) -> str:
    seen = on_call.environment.wait_until(
        lambda seen: any(pod.ready for pod in seen.pods), minutes(1), "a web pod"
    )
    return next(pod.name for pod in seen.pods if pod.ready)


def _exec(on_call: OnCall, pod: str, command: Sequence[str]) -> list[str]:
    return ["kubectl", "exec", f"--namespace={on_call.environment.namespace}", pod, "--", *command]


def _in_pod(on_call: OnCall, pod: str, *command: str) -> None:
    local_cluster.output(_exec(on_call, pod, command))


@contextmanager
def _meanwhile(on_call: OnCall, pod: str, *command: str) -> Iterator[None]:
    """The command runs in the pod as long as this lasts, or until the pod ends."""
    # Bounded by itself too: the end of kubectl does not always end what it has begun.
    bounded = ("timeout", "900", *command)
    with subprocess.Popen(_exec(on_call, pod, bounded), stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL) as it:
        try:
            yield
        finally:
            it.terminate()


def _certificate(folder: Path, host: str, *, days: int) -> None:
    """tls.crt and tls.key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(attestations.in_pem(key))


# A limit that a server's start does not run into, and two busy loops do.
_LIMITED = {"web": {"resources": {"limits": {"cpu": "1"}}}}

ALERTS = (
    Scenario("Redis hangs, and nobody acknowledges", _drill(redis_hangs)),
    Scenario("PostgreSQL hangs, and nobody acknowledges", _drill(postgresql_hangs)),
    Scenario("No worker, and 150 tasks", _drill(worker_gone)),
    Scenario("No beat, and two", _drill(beats)),
    Scenario("The cache is emptied again and again", _drill(cache_emptied, load=None)),
    Scenario("Requests hoard connections", _drill(pool_exhausted), images.hoarding(), "rolling-update"),
    Scenario(
        "A release is aborted while there is no guard", _drill(guard_gone, load=traffic()), images.errors()
    ),
    Scenario("An image is quarantined", _drill(quarantined, load=traffic()), images.errors()),
    Scenario(
        "A release waits for a person",
        _drill(approval_forgotten, load=traffic(), changed={"strategy": {"approval": True}}),
    ),
    Scenario("A release does not come to an end", _drill(stuck), images.never_ready()),
    Scenario("Argo CD cannot render a release", _drill(unrendered)),
    Scenario("A web pod runs into its CPU limit", _drill(processor_held_back, changed=_LIMITED)),
    Scenario("A web pod runs out of memory", _drill(memory_full)),
    Scenario("A certificate expires soon", _drill(certificate_old)),
    Scenario("A web pod answers nobody", _drill(pod_frozen)),
    Scenario("Nobody scrapes Argo Rollouts", _drill(source_gone)),
    Scenario("Alertmanager hangs", _drill(alertmanager_hangs)),
    Scenario(
        "Everybody has a version that answers 500",
        _drill(budget_errors, load=None, forgetful=True),
        images.errors(),
        "rolling-update",
    ),
    Scenario(
        "Everybody has a version that answers after 3 s",
        _drill(budget_slow, load=None, forgetful=True),
        images.slow(),
        "rolling-update",
    ),
    Scenario("15 minutes without a fault", quiet),
)
"""Each alert's own fault, and none: docs/results/alerts.md."""
