"""Where every metric comes from that the rules read, and which alert fires when nobody scrapes it.

A rule over a metric that is not there answers nothing, which looks like health. MetricsSourceAbsent is made from this
list (rules/parts.yaml), and tests/monitoring/test_sources.py finds every metric of the rules and analyses in it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """Words in capitals are those that the chart puts values in the places of."""

    name: str
    """As the alert's label `source` has it."""
    monitor: str
    """What has it scraped: a monitor of the chart, of the guard, or of argocd/platform/monitors.yaml."""
    metrics: tuple[str, ...]
    """All that is read of it."""
    always: tuple[str, ...] = ()
    """What it has as long as it is scraped. Empty: `covered_by`."""
    expected: str = "1"
    """1 where an environment has to have it, 0 where it has no need of it."""
    covered_by: str = ""
    """An alert of its own that fires without data too."""


_ROLLOUT = 'rollout_info{namespace="NAMESPACE"} or rollout_info{exported_namespace="NAMESPACE"}'
_OF_PODS = '{namespace="NAMESPACE", pod!=""}'

SOURCES = (
    Source(
        "the web pods",
        "crm",
        (
            "up",
            "django_requests_total",
            "django_request_duration_seconds_bucket",
            "django_request_duration_seconds_count",
            "django_request_duration_seconds_sum",
            "db_pool_wait_seconds_total",
            "db_pool_request_errors_total",
            "redis_cache_hits_total",
            "redis_cache_misses_total",
            "deals_created_total",
            "deal_conversions_total",
            "sign_ins_total",
        ),
        covered_by="CRMDown",
    ),
    Source(
        "the worker",
        "crm",
        ("celery_tasks_started_total", "celery_tasks_failed_total"),
        covered_by="WorkerLost",
    ),
    Source(
        "beat",
        "crm",
        (
            "celery_beat_last_tick_timestamp_seconds",
            "celery_queue_length",
            "celery_queue_oldest_seconds",
            "redis_up",
        ),
        covered_by="BeatSilent",
    ),
    Source("Argo Rollouts", "argo-rollouts", ("rollout_info",), (_ROLLOUT,)),
    Source("Argo CD", "argocd", ("argocd_app_info",), ('argocd_app_info{name="NAMESPACE"}',), "HAS_ARGO_CD"),
    # Once there was one, GuardSilent fires.
    Source(
        "the guard",
        "delivery-guard",
        ("delivery_guard_last_look_timestamp_seconds", "delivery_quarantined_timestamp_seconds"),
        ('last_over_time(delivery_guard_last_look_timestamp_seconds{environment="ENVIRONMENT"}[1d])',),
        "HAS_GUARD",
    ),
    # Those of the processor's quota exist for containers with a limit alone.
    Source(
        "the kubelet",
        "kubelet",
        (
            "container_cpu_usage_seconds_total",
            "container_spec_cpu_shares",
            "container_memory_working_set_bytes",
            "container_spec_memory_limit_bytes",
            "container_cpu_cfs_periods_total",
            "container_cpu_cfs_throttled_periods_total",
        ),
        (
            f"container_cpu_usage_seconds_total{_OF_PODS}",
            f"container_spec_cpu_shares{_OF_PODS}",
            f"container_memory_working_set_bytes{_OF_PODS}",
            f"container_spec_memory_limit_bytes{_OF_PODS}",
        ),
    ),
    Source(
        "cert-manager",
        "cert-manager",
        ("certmanager_certificate_expiration_timestamp_seconds",),
        ('certmanager_certificate_expiration_timestamp_seconds{namespace="NAMESPACE"}',),
        "HAS_ISSUER",
    ),
    Source(
        "Traefik",
        "traefik",
        ("traefik_tls_certs_not_after",),
        ('traefik_tls_certs_not_after{sans!=""}',),
        "HAS_CERTIFICATE",
    ),
)
