"""The prober: asks both versions where users are too few to tell, so that a release at night is judged as by day.

A probe is GET /probe/ at a version's own Service, with a mark (docs/decisions/0022). Probes are sent only while a gate
of the Rollout waits for its answer and Prometheus says that users hardly ask the new version. The pods that answer
count them, and they are judged with the users' requests; here is only counted what came back.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx

from delivery import web
from delivery.errors import Refused
from delivery.guard import metrics
from delivery.guard.liveness import LOOK_SECONDS, Liveness
from delivery.guard.rollback_loop import tell
from delivery.kubernetes.client import Object, is_moving

LOG = logging.getLogger(__name__)
VERSIONS = ("canary", "stable")
_EVERY_SECONDS = 2.0
# What users have to ask the new version, in requests a second. At this rate the 123 that prove it fine take two
# minutes; a canary with 5 % of 50 requests/s has 2.5.
_ENOUGH = 1.0
# Users get so long to come to a new version before they are missed, and so long is looked back.
_WINDOW_SECONDS = 30
# From one probe of a version to the next: 123 take 25 s.
_PACE_SECONDS = 0.2
# A request is too slow after 2 s; what is given up after this still counts in the pod that answers it later.
_TIMEOUT_SECONDS = 5.0
_MOST_BYTES = 64 * 1024  # a number, or a page that is none
# Of one release and version. A gate waits for an hour at most, which is 18,000; this is for one that never ends.
MOST = 20_000
# A new connection each time, so that every pod of a version gets its share of them.
_HEADERS = {"X-CRM-Probe": "1", "Connection": "close"}
_ASKED_IN_VAIN = "none"
_WAITING = ("", "Pending", "Running")
_FIRST_ERROR = 500


class Cluster(Protocol):
    def rollout(self, environment: str) -> Object | None:
        """Raises Refused."""


def at_its_service(name: str, environment: str, version: str) -> str:
    """`name`: the Rollout's, by which the chart names its Services too."""
    return f"http://{name}-{version}.crm-{environment}.svc/probe/"


def users_query(environment: str, pod_hash: str) -> str:
    """PromQL: what users ask a version, in requests a second.

    Nothing where one of them was answered badly in the last two minutes: then users tell more than probes, whose
    successes would water down what they say.
    """
    users = (
        f'namespace="crm-{environment}", rollouts_pod_template_hash="{pod_hash}", '
        'endpoint!~"health.*|metrics|probe"'
    )

    def lately(metric: str, more: str = "") -> str:
        """A series that was not there two minutes ago had 0, which `increase` does not know."""
        now = f"{metric}{{{users}{more}}}"
        return f"((sum({now}) or vector(0)) - (sum({now} offset 2m) or vector(0)))"

    rate = f"sum(rate(django_requests_total{{{users}}}[{_WINDOW_SECONDS}s])) or vector(0)"
    failed = lately("django_requests_total", ', status=~"5.."')
    answered = lately("django_request_duration_seconds_count")
    in_time = lately("django_request_duration_seconds_bucket", ', le="2.0"')
    return f"({rate}) unless on () ({failed} > 0 or {answered} - {in_time} > 0)"


@dataclass
class _Release:
    """A version on its way, and what both were sent for its sake."""

    pod_hash: str
    name: str
    since: float = field(default_factory=time.monotonic)
    sent: Counter[str] = field(default_factory=Counter)
    unknown: set[str] = field(default_factory=set)
    """The versions that do not know what a probe is."""
    told: bool = False
    rest: threading.Event = field(default_factory=threading.Event)
    senders: dict[str, threading.Thread] = field(default_factory=dict)


@dataclass
class Prober:
    """`prometheus`: its address; `url`: where a version of an environment is asked."""

    cluster: Cluster
    environments: Sequence[str]
    prometheus: str
    tell: Callable[[str], None] = tell
    url: Callable[[str, str, str], str] = at_its_service
    patience: float = _WINDOW_SECONDS
    liveness: Liveness = field(default_factory=Liveness)
    _releases: dict[str, _Release] = field(default_factory=dict)
    _failed: dict[str, str] = field(default_factory=dict)

    def watch(self, stopped: threading.Event) -> None:
        """Look at all environments until stopped; what breaks it stops the guard too, which is then started anew."""
        try:
            while not stopped.is_set():
                for environment in self.environments:
                    self.liveness.expect("prober", LOOK_SECONDS)
                    self._try(environment)
                stopped.wait(_EVERY_SECONDS)
        finally:
            for release in self._releases.values():
                release.rest.set()
            stopped.set()

    def _try(self, environment: str) -> None:
        try:
            self.look(environment)
        except Exception as error:
            # Nobody expected it; the other environments are looked at all the same.
            if repr(error) != self._failed.get(environment):
                self._failed[environment] = repr(error)
                LOG.exception("probes of %s:", environment)

    def look(self, environment: str) -> None:
        """Look at one environment, and begin or end to probe where that is needed."""
        try:
            rollout = self.cluster.rollout(environment) or {}
        except Refused:
            # The guard tells of it.
            if environment in self._releases:
                self._releases[environment].rest.set()
            return
        status = rollout.get("status") or {}
        release = self._on_its_way(environment, rollout)
        if release is None:
            return
        missed = time.monotonic() - release.since >= self.patience
        if missed and _a_gate_waits(status) and self._users_are_too_few(environment, release.pod_hash):
            self._begin(environment, release)
        else:
            release.rest.set()

    def _on_its_way(self, environment: str, rollout: Object) -> _Release | None:
        status = rollout.get("status") or {}
        known = self._releases.get(environment)
        pod_hash = status["currentPodHash"] if is_moving(status) and not status.get("abort") else None
        if known and known.pod_hash != pod_hash:
            known.rest.set()
            del self._releases[environment]
        if pod_hash and _a_gate_waits(status) and environment not in self._releases:
            self._releases[environment] = _Release(pod_hash, rollout["metadata"]["name"])
        return self._releases.get(environment)

    def _users_are_too_few(self, environment: str, pod_hash: str) -> bool:
        """Not if Prometheus cannot be asked: then nothing that is sent could be judged."""
        try:
            with web.client(trust_env=False) as client:
                answer = web.get(
                    client,
                    f"{self.prometheus}/api/v1/query",
                    params={"query": users_query(environment, pod_hash)},
                    seconds=_TIMEOUT_SECONDS,
                    most=_MOST_BYTES,
                )
            found: Any = answer.raise_for_status().json()["data"]["result"][0]["value"][1]
            rate = float(found)
        except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError):
            return False
        return not math.isnan(rate) and rate < _ENOUGH

    def _begin(self, environment: str, release: _Release) -> None:
        release.rest.clear()
        if not release.told:
            release.told = True
            self.tell(f"{environment}: users hardly ask the new version, so probes do")
        for version in VERSIONS:
            sender = release.senders.get(version)
            if sender is None or not sender.is_alive():
                sender = threading.Thread(
                    target=self._send, args=(environment, version, release), name="prober", daemon=True
                )
                release.senders[version] = sender
                sender.start()

    def _send(self, environment: str, version: str, release: _Release) -> None:
        """Probe a version, one request at a time, until there is rest."""
        url = self.url(release.name, environment, version)
        with web.client(headers=_HEADERS, trust_env=False) as client:
            while (
                release.sent[version] < MOST and version not in release.unknown and not release.rest.is_set()
            ):
                started = time.monotonic()
                release.sent[version] += 1
                answer = _asked(client, url)
                metrics.PROBES.labels(environment, version, answer).inc()
                if _is_strange(answer):
                    release.unknown.add(version)
                    self.tell(f"{environment}: {version} answers a probe with {answer}, so it gets no more")
                release.rest.wait(max(0.0, started + _PACE_SECONDS - time.monotonic()))


@contextmanager
def probing(prober: Prober, stopped: threading.Event) -> Iterator[None]:
    """Watch in a thread of its own as long as this lasts."""
    watching = threading.Thread(target=prober.watch, args=(stopped,), name="prober", daemon=True)
    watching.start()
    try:
        yield
    finally:
        stopped.set()
        watching.join()


def _asked(client: httpx.Client, url: str) -> str:
    try:
        return str(web.get(client, url, seconds=_TIMEOUT_SECONDS, most=_MOST_BYTES).status_code)
    except httpx.HTTPError:
        return _ASKED_IN_VAIN


def _is_strange(answer: str) -> bool:
    """A version without probes answers 404, for instance, and more of those would count as requests that went well."""
    return answer not in (_ASKED_IN_VAIN, "200") and int(answer) < _FIRST_ERROR


def _a_gate_waits(status: Object) -> bool:
    """Whether a question of a step, or before or after blue-green's switch, is being asked. A pause asks nothing."""
    canary, blue_green = status.get("canary") or {}, status.get("blueGreen") or {}
    # The first step asks about the image, before the new version has a pod that could be asked.
    first = status.get("currentStepIndex") == 0
    runs = (
        None if first else canary.get("currentStepAnalysisRunStatus"),
        blue_green.get("prePromotionAnalysisRunStatus"),
        blue_green.get("postPromotionAnalysisRunStatus"),
    )
    return any(run and run.get("status", "") in _WAITING for run in runs)
