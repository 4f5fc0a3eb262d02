"""Requests, under the names that dashboards and verdicts ask for."""

import sys
from http import HTTPStatus
from itertools import count
from typing import Any

from django.http import HttpRequest, HttpResponse
from django_prometheus.middleware import (  # type: ignore[import-untyped]
    Metrics,
    PrometheusBeforeMiddleware,
)
from django_prometheus.utils import Time, TimeSince  # type: ignore[import-untyped]
from prometheus_client import Counter, Histogram

from crm.http.endpoint import UNMATCHED, endpoint_of, is_probe

# Seconds. 2.0 is the edge at which a request is too slow, exactly; those of the analysis `regression` are here too.
LATENCY_EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
STARTING_REQUESTS = 20
"""What a process answers first takes longer: modules, connections and caches are not there yet."""
EMPTY_BYTES = 16
"""An answer of at most so many bytes says nothing: `{}`, `[]`, `null`, nothing."""
SIGN_IN = frozenset({"auth-token", "auth-token-refresh"})
"""Their credentials are in the body."""


class RequestMetricFamilies(Metrics):  # type: ignore[misc]
    """Only ours: django-prometheus' own take the method as it comes, so that strangers could make series.

    `caller` is `stranger` for what says nothing about users, and `starting` is `true` for a process's first requests;
    both are empty otherwise, which is no label at all for Prometheus.
    """

    def register(self) -> None:
        self.requests: Counter = self.register_metric(
            Counter, "django_requests", "Requests answered.", ["method", "endpoint", "status", "caller"]
        )
        self.duration: Histogram = self.register_metric(
            Histogram,
            "django_request_duration_seconds",
            "Time from a request to its answer.",
            ["method", "endpoint", "caller", "starting"],
            buckets=LATENCY_EDGES,
        )
        self.empty: Counter = self.register_metric(
            Counter,
            "django_empty_answers",
            f"Requests answered 200 with a body of at most {EMPTY_BYTES} bytes.",
            ["method", "endpoint"],
        )
        # There from the start: a version without any such series does not count them, and is not compared.
        self.empty.labels("GET", UNMATCHED)


class RequestMetrics(PrometheusBeforeMiddleware):  # type: ignore[misc]
    metrics_cls = RequestMetricFamilies

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._order = count()

    def process_request(self, request: HttpRequest) -> None:
        request.started = Time()  # type: ignore[attr-defined]

    def process_response(self, request: Any, response: HttpResponse) -> HttpResponse:
        method = request.method if request.method in METHODS else "OTHER"
        endpoint, status = endpoint_of(request), response.status_code
        caller = "stranger" if is_strangers(request, endpoint, status) else ""
        self.metrics.requests.labels(method, endpoint, str(status), caller).inc()
        starting = "true" if self._is_starting(request) else ""
        self.metrics.duration.labels(method, endpoint, caller, starting).observe(TimeSince(request.started))
        if status == HTTPStatus.OK and method != "HEAD" and _length(response) <= EMPTY_BYTES:
            self.metrics.empty.labels(method, endpoint).inc()
        return response

    def _is_starting(self, request: HttpRequest) -> bool:
        """Whether it is one of the process's first; the kubelet's own do not count, and come before any user's."""
        return not is_probe(request) and next(self._order) < STARTING_REQUESTS


def is_strangers(request: HttpRequest, endpoint: str, status: int) -> bool:
    """Whether a version answers it as any other would, so that it proves nothing about users; a failure always does."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return False
    anonymous = "Authorization" not in request.headers and endpoint not in SIGN_IN
    return (
        endpoint == UNMATCHED
        or request.method == "OPTIONS"
        or status == HTTPStatus.TOO_MANY_REQUESTS
        or (status == HTTPStatus.UNAUTHORIZED and anonymous)
    )


def _length(response: HttpResponse) -> int:
    """Bytes of the body; of one that is streamed as many as it may have."""
    return sys.maxsize if response.streaming else len(response.content)
