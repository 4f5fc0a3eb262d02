"""Is a release healthy where it has just been deployed? The CRM and Prometheus are asked, the cluster is not.

Argo Rollouts analyses a release while it has its share of the requests: one that fails 1 in 20 is aborted. This check
comes after that and is stricter, because it decides whether the next environment gets the release too.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx

from delivery import web
from delivery.errors import Refused

SLOWEST_P95 = 0.5
"""Seconds that 95 % of the requests may take; an edge of the application's histogram."""
MOST_FAILED = 0.01
"""The share of requests that may be answered 5xx."""
FEWEST = 300
"""Requests that a decision needs: with so many, a release that fails 3 % passes less than once in a hundred."""
_ROUND = 20
"""Requests in a row, of which each must be answered by the new version; and how many are sent between two queries."""
_PAUSE_SECONDS = 2.0
_TIMEOUT_SECONDS = 10.0
_MOST_BYTES = 1024 * 1024  # a page
# Health checks and scrapes are nobody's requests, as for the verdicts; the inner `max` as there.
_QUERY = (
    "sum(max by (namespace, pod, container_id, method, endpoint, status)"
    ' ({series}{{namespace="{namespace}", endpoint!~"health.*|metrics"{more}}})'
    " * on (namespace, pod) group_left max by (namespace, pod)"
    ' (crm_build_info{{namespace="{namespace}", version="{version}"}}))'
)


@dataclass(frozen=True)
class RequestCounts:
    """What the pods of one version have answered since they started."""

    requests: int
    failed: int
    slow: int
    """Those that took longer than SLOWEST_P95."""

    def __str__(self) -> str:
        return (
            f"of {self.requests} requests {_percent(self.failed, self.requests)} failed and"
            f" {_percent(self.slow, self.requests)} took longer than {1000 * SLOWEST_P95:.0f} ms"
        )


@dataclass(frozen=True)
class Prometheus:
    """Where Prometheus answers, and the token that it wants, if any."""

    address: str
    token: str = ""

    def counts(self, namespace: str, version: str) -> RequestCounts:
        """Raises Refused if Prometheus does not answer a number."""
        total = partial(self._sum, namespace, version)
        timed = total("django_request_duration_seconds_count")
        quick = total("django_request_duration_seconds_bucket", f', le="{SLOWEST_P95}"')
        return RequestCounts(
            requests=total("django_requests_total"),
            failed=total("django_requests_total", ', status=~"5.."'),
            # A scrape in between makes them differ by a few requests, which is no request that was too slow.
            slow=max(timed - quick, 0),
        )

    def _sum(self, namespace: str, version: str, series: str, more: str = "") -> int:
        query = _QUERY.format(series=series, namespace=namespace, version=version, more=more)
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            address = self.address.rstrip("/")
            found = web.query(address, query, seconds=_TIMEOUT_SECONDS, most=_MOST_BYTES, headers=headers)
            return round(float(found[0]["value"][1])) if found else 0
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError) as error:
            raise Refused(f"Prometheus at {self.address} does not answer: {error}.") from error


def refuse_bad(version: str, counts: RequestCounts) -> None:
    """Raises Refused if too many requests of a version were slow or failed."""
    if counts.failed >= MOST_FAILED * counts.requests:
        raise Refused(f"{version} must fail less than {100 * MOST_FAILED:g} % of its requests, but {counts}.")
    if counts.slow >= 0.05 * counts.requests:  # p95 is what 5 % are slower than
        raise Refused(
            f"{version} must have a p95 below {1000 * SLOWEST_P95:.0f} ms (less than 5 % slower), but {counts}."
        )


@dataclass(frozen=True)
class Verification:
    """Of one version in one namespace. `seconds`: to wait at most for the version, and again for enough requests."""

    crm: httpx.Client
    prometheus: Prometheus
    namespace: str
    version: str
    seconds: float
    sleep: Callable[[float], None] = time.sleep

    def run(self) -> str:
        """Wait until all users get the version, and check that it is healthy.

        Raises Refused if it is not served, is unhealthy, fails a request of the smoke test, has too few requests,
        or has a p95 or an error rate over its limit.
        """
        self._wait_for_it()
        self._smoke()
        counts = self._enough()
        refuse_bad(self.version, counts)
        return f"{self.version} is healthy: {counts}."

    def _wait_for_it(self) -> None:
        """During a canary both versions answer, so it is not there before a whole row of answers comes from it."""
        until = time.monotonic() + self.seconds
        while True:
            seen = {self._health() for _ in range(_ROUND)}
            if seen == {("ok", self.version)}:
                return
            if time.monotonic() > until:
                others = ", ".join(sorted(f"{version} ({status})" for status, version in seen))
                raise Refused(
                    f"{self.crm.base_url} does not answer as a healthy {self.version} after {self.seconds:.0f} s, but"
                    f" as {others}: see delivery status, and delivery history, if the guard rolled it back."
                )
            self.sleep(_PAUSE_SECONDS)

    def _get(self, path: str) -> httpx.Response:
        return web.get(self.crm, path, seconds=_TIMEOUT_SECONDS, most=_MOST_BYTES)

    def _health(self) -> tuple[str, str]:
        """What `/health/` answers: status and version."""
        try:
            answer = self._get("/health/").json()
            return str(answer["status"]), str(answer["version"])
        except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
            return type(error).__name__, "nothing"

    def _smoke(self) -> None:
        """Public pages are there, others are not."""
        for path, expected in (("/", 200), ("/api/v1/deals/", 401), ("/no-such-page/", 404)):
            try:
                status = self._get(path).status_code
            except httpx.HTTPError as error:
                raise Refused(f"The smoke test got no answer from {path}: {error}.") from error
            if status != expected:
                raise Refused(f"The smoke test expected {expected} from {path} and got {status}.")

    def _enough(self) -> RequestCounts:
        """Its request counts as soon as there are enough; where users are too few, requests for the first page help."""
        until = time.monotonic() + self.seconds
        while (counts := self.prometheus.counts(self.namespace, self.version)).requests < FEWEST:
            if time.monotonic() > until:
                raise Refused(
                    f"Prometheus knows of {counts.requests} requests to {self.version} in {self.namespace}, and"
                    f" {FEWEST} are needed: is it scraped there?"
                )
            for _ in range(_ROUND):
                # Prometheus counts what was answered, and how; what got no answer is not counted and sent again.
                with contextlib.suppress(httpx.HTTPError):
                    self._get("/")
            self.sleep(_PAUSE_SECONDS)
        return counts


def verify(address: str, prometheus: Prometheus, *, namespace: str, version: str, seconds: float) -> str:
    """Check that users get the version at this address, and that it is healthy. Raises Refused."""
    with web.client(**_reached(address)) as crm:
        return Verification(crm, prometheus, namespace, version, seconds).run()


def _reached(address: str) -> dict[str, Any]:
    """How a client gets there: below localhost is this machine (RFC 6761, 6.3), which not every resolver knows."""
    url = httpx.URL(address)
    if not url.host.endswith(".localhost"):
        return {"base_url": url}
    return {"base_url": url.copy_with(host="127.0.0.1"), "headers": {"Host": url.netloc.decode()}}


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %"
