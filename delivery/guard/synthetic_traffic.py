"""Synthetic traffic for both versions where users are too few for a verdict: a release at night is judged as by day.

A synthetic request is GET /probe/ at a version's own Service, with a header (docs/decisions/0022). They are sent only
while a gate of the Rollout waits for its answer and Prometheus says that users hardly ask the new version. The pods
that answer count them, and they are judged with the users' requests; here is only counted what came back.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import httpx

from delivery import web
from delivery.errors import Refused
from delivery.guard import metrics
from delivery.guard.liveness import RECONCILE_SECONDS, Liveness, repeating
from delivery.guard.log import Log
from delivery.kubernetes.client import Cluster
from delivery.kubernetes.rollout import RolloutStatus

VERSIONS = ("canary", "stable")
_PART = "synthetic traffic"
_EVERY_SECONDS = 2.0
# What users have to ask the new version, in requests a second. At this rate the 123 that prove it fine take two
# minutes; a canary with 5 % of 50 requests/s has 2.5.
_ENOUGH = 1.0
# Users get so long to come to a new version before they are missed, and so far back goes the query.
_WINDOW_SECONDS = 30
# From one request to a version to the next: 123 take 25 s.
_PACE_SECONDS = 0.2
# A request is too slow after 2 s; what is given up after this still counts in the pod that answers it later.
_TIMEOUT_SECONDS = 5.0
_MOST_BYTES = 64 * 1024  # a number, or a page that is none
# Of one release and version. A gate waits for an hour at most, which is 18,000; this is for one that never ends.
MOST = 20_000
# A new connection each time, so that every pod of a version gets its share of them.
_HEADERS = {"X-CRM-Probe": "1", "Connection": "close"}
_NO_ANSWER = "none"
_FIRST_ERROR = 500


def at_its_service(name: str, environment: str, version: str) -> str:
    """`name`: the Rollout's, by which the chart names its Services too."""
    return f"http://{name}-{version}.crm-{environment}.svc/probe/"


def users_query(environment: str, pod_hash: str) -> str:
    """PromQL: what users ask a version, in requests a second.

    Nothing where one of them was answered badly in the last two minutes: then users prove more than synthetic
    requests, whose successes would water that down.
    """
    users = (
        f'namespace="crm-{environment}", rollouts_pod_template_hash="{pod_hash}", '
        'endpoint!~"health.*|metrics|probe", caller=""'
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

    name: str
    """The Rollout's."""
    pod_hash: str
    since: float = field(default_factory=time.monotonic)
    sent: Counter[str] = field(default_factory=Counter)
    unsupported: set[str] = field(default_factory=set)
    """The versions that do not know synthetic requests."""
    logged: bool = False
    pause: threading.Event = field(default_factory=threading.Event)
    senders: dict[str, threading.Thread] = field(default_factory=dict)


@dataclass
class SyntheticTraffic:
    """`prometheus`: its address; `url`: where a version of an environment is asked."""

    cluster: Cluster
    environments: Sequence[str]
    prometheus: str
    log: Log = field(default_factory=Log)
    url: Callable[[str, str, str], str] = at_its_service
    patience: float = _WINDOW_SECONDS
    liveness: Liveness = field(default_factory=Liveness)
    _releases: dict[str, _Release] = field(default_factory=dict)

    @contextmanager
    def running(self, stopped: threading.Event) -> Iterator[None]:
        """In a thread of its own as long as this lasts."""
        try:
            with repeating(_PART, self.run_once, _EVERY_SECONDS, stopped):
                yield
        finally:
            for release in self._releases.values():
                release.pause.set()

    def run_once(self) -> None:
        for environment in self.environments:
            self.liveness.expect(_PART, RECONCILE_SECONDS)
            self.log.attempt(f"{environment}: {_PART}", partial(self.reconcile, environment))

    def reconcile(self, environment: str) -> str:
        """Begin or end to send where that is needed. Returns why, once a release."""
        try:
            rollout = self.cluster.rollout(environment)
        except Refused:
            # The rollback loop logs it.
            if environment in self._releases:
                self._releases[environment].pause.set()
            return ""
        release = self._on_its_way(environment, rollout)
        if rollout is None or release is None:
            return ""
        missed = time.monotonic() - release.since >= self.patience
        if not (missed and rollout.gate_waits and self._users_are_too_few(environment, release.pod_hash)):
            release.pause.set()
            return ""
        self._begin(environment, release)
        if release.logged:
            return ""
        release.logged = True
        return "users hardly ask the new version, so synthetic requests do"

    def _on_its_way(self, environment: str, rollout: RolloutStatus | None) -> _Release | None:
        known = self._releases.get(environment)
        moving = rollout if rollout and rollout.is_moving and not rollout.aborted else None
        if known and not (moving and known.pod_hash == moving.newest_hash):
            known.pause.set()
            del self._releases[environment]
        if moving and moving.gate_waits and environment not in self._releases:
            self._releases[environment] = _Release(moving.name, moving.newest_hash)
        return self._releases.get(environment)

    def _users_are_too_few(self, environment: str, pod_hash: str) -> bool:
        """Not if Prometheus cannot be asked: then nothing that is sent could be judged."""
        try:
            found = web.query(
                self.prometheus,
                users_query(environment, pod_hash),
                seconds=_TIMEOUT_SECONDS,
                most=_MOST_BYTES,
                trust_env=False,
            )
            rate = float(found[0]["value"][1])
        except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError):
            return False
        return not math.isnan(rate) and rate < _ENOUGH

    def _begin(self, environment: str, release: _Release) -> None:
        release.pause.clear()
        for version in VERSIONS:
            sender = release.senders.get(version)
            if sender is None or not sender.is_alive():
                sender = threading.Thread(
                    target=self._send, args=(environment, version, release), name=_PART, daemon=True
                )
                release.senders[version] = sender
                sender.start()

    def _send(self, environment: str, version: str, release: _Release) -> None:
        """Send to a version, one request at a time, until the pause."""
        url = self.url(release.name, environment, version)
        with web.client(headers=_HEADERS, trust_env=False) as client:
            while (
                release.sent[version] < MOST
                and version not in release.unsupported
                and not release.pause.is_set()
            ):
                started = time.monotonic()
                release.sent[version] += 1
                answer = _asked(client, url)
                metrics.SYNTHETIC_REQUESTS.labels(environment, version, answer).inc()
                # An older version answers 404, for instance, and more of those would count as requests that went well.
                if answer not in (_NO_ANSWER, "200") and int(answer) < _FIRST_ERROR:
                    release.unsupported.add(version)
                    self.log.write(
                        f"{environment}: {version} answers a synthetic request with {answer}, so it gets no more"
                    )
                release.pause.wait(max(0.0, started + _PACE_SECONDS - time.monotonic()))


def _asked(client: httpx.Client, url: str) -> str:
    try:
        return str(web.get(client, url, seconds=_TIMEOUT_SECONDS, most=_MOST_BYTES).status_code)
    except httpx.HTTPError:
        return _NO_ANSWER
