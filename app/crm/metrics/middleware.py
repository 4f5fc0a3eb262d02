"""Requests, under the names that dashboards and verdicts ask for."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django_prometheus.middleware import (  # type: ignore[import-untyped]
    Metrics,
    PrometheusBeforeMiddleware,
)
from django_prometheus.utils import Time, TimeSince  # type: ignore[import-untyped]
from prometheus_client import Counter, Histogram

from crm.http.endpoint import endpoint_of

# Seconds. 2.0 is the edge at which a request is too slow, exactly.
LATENCY_EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


class RequestMetricFamilies(Metrics):  # type: ignore[misc]
    """Only ours: django-prometheus' own take the method as it comes, so that strangers could make series."""

    def register(self) -> None:
        self.requests: Counter = self.register_metric(
            Counter, "django_requests", "Requests answered.", ["method", "endpoint", "status"]
        )
        self.duration: Histogram = self.register_metric(
            Histogram,
            "django_request_duration_seconds",
            "Time from a request to its answer.",
            ["method", "endpoint"],
            buckets=LATENCY_EDGES,
        )


class RequestMetrics(PrometheusBeforeMiddleware):  # type: ignore[misc]
    metrics_cls = RequestMetricFamilies

    def process_request(self, request: HttpRequest) -> None:
        request.started = Time()  # type: ignore[attr-defined]

    def process_response(self, request: Any, response: HttpResponse) -> HttpResponse:
        method = request.method if request.method in METHODS else "OTHER"
        endpoint = endpoint_of(request)
        self.metrics.requests.labels(method, endpoint, str(response.status_code)).inc()
        self.metrics.duration.labels(method, endpoint).observe(TimeSince(request.started))
        return response
