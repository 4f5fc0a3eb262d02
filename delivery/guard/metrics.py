"""The guard's metrics for Prometheus.

Its own begin at 0 with each start, which `increase` and `rate` allow for. Those of what was delivered are read from Git
and the cluster, so they go on after a restart where they were.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from delivery.gitops.dora import Performance

REGISTRY = CollectorRegistry()

RECONCILIATIONS = Counter(
    "delivery_guard_reconciliations",
    "Reconciliations of an environment, by their result: done or failed.",
    ["environment", "result"],
    registry=REGISTRY,
)
# By this name the alert GuardSilent knows it, also in the charts of revisions that release files pin.
LAST_RECONCILIATION = Gauge(
    "delivery_guard_last_look_timestamp_seconds",
    "When an environment was last reconciled without an error.",
    ["environment"],
    registry=REGISTRY,
)
ROLLBACKS = Counter(
    "delivery_automatic_rollbacks",
    "Rollbacks that the guard made, and whether the image was quarantined.",
    ["environment", "quarantined"],
    registry=REGISTRY,
)
SYNTHETIC_REQUESTS = Counter(
    "delivery_guard_synthetic_requests",
    "Synthetic requests, by the version that was asked and its answer's status (or none).",
    ["environment", "version", "answer"],
    registry=REGISTRY,
)


class DeliveryMetrics(Collector):
    """How well is delivered, by environment; `lead_seconds` only where something was released and promoted in full."""

    def __init__(self) -> None:
        self.performances: dict[str, Performance] = {}
        self.lead_seconds: dict[str, float] = {}
        self.quarantined: dict[tuple[str, str], float] = {}
        """When (Unix time) a version failed in an environment."""

    def collect(self) -> Iterator[Metric]:
        where = ["environment"]
        deployments = CounterMetricFamily(
            "delivery_deployments", "Releases and promotions in Git; rollbacks do not count.", labels=where
        )
        failed = CounterMetricFamily(
            "delivery_failed_deployments",
            "Those that a rollback followed, by a person or automatic.",
            labels=where,
        )
        restored = SummaryMetricFamily(
            "delivery_time_to_restore_seconds",
            "How long failed ones were in Git until their rollback.",
            labels=where,
        )
        for name, performance in list(self.performances.items()):
            deployments.add_metric([name], len(performance.deployments))
            failed.add_metric([name], performance.failed)
            seconds = [each.total_seconds() for each in performance.restored]
            restored.add_metric([name], count_value=len(seconds), sum_value=sum(seconds))
        lead = GaugeMetricFamily(
            "delivery_lead_time_seconds", "From the commit of what runs to its full promotion.", labels=where
        )
        for name, seconds_of_one in list(self.lead_seconds.items()):
            lead.add_metric([name], seconds_of_one)
        quarantined = GaugeMetricFamily(
            "delivery_quarantined_timestamp_seconds",
            "When a quarantined image failed.",
            labels=[*where, "version"],
        )
        for where_and_what, since in list(self.quarantined.items()):
            quarantined.add_metric(where_and_what, since)
        yield from (deployments, failed, restored, lead, quarantined)


DELIVERY = DeliveryMetrics()
REGISTRY.register(DELIVERY)
