"""Each alert: a story in which it fires, one in which it stays silent, and one without data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from monitoring.objectives import BURNS, OBJECTIVES, Objective
from tests.monitoring.promtool import Alerts, Story

SWITCH = "DeadMansSwitch"
# With nothing to be seen the CRM is down, for all that anybody knows.
WITHOUT_DATA = ("BeatSilent", "CRMDown", SWITCH, "MetricsSourceAbsent", "WorkerLost")


SERVED = {"namespace": "traefik", "cn": "x", "sans": "api.example.com,crm.example.com"}


def healthy(about: str = "a healthy platform") -> Story:
    """Everything that the rules ask for, for two hours: 20 requests a second."""
    story = Story(about)
    for pod in ("web-1", "web-2"):
        story.requests("0+6x240", endpoint="health-ready", pod=pod)
        story.requests("0+300x240", pod=pod).takes("0+300x240", "0+300x240", pod=pod)
        story.has("up", "1x240", container="web", pod=pod, rollouts_pod_template_hash="old")
        story.has("db_pool_wait_seconds_total", "0x240", pod=pod).has(
            "db_pool_request_errors_total", "0x240", pod=pod
        )
        story.has("django_request_duration_seconds_sum", "0+9x240", endpoint="deals-list", pod=pod)
        story.has("redis_cache_hits_total", "0+6x240", pod=pod).has(
            "redis_cache_misses_total", "0x240", pod=pod
        )
        uses(story, pod, cpu="0+3.75x240", memory=400)  # 125m of 250m
    story.has("up", "1x240", container="worker", pod="worker-1").has(
        "up", "1x240", container="beat", pod="beat-1"
    )
    story.has("celery_beat_last_tick_timestamp_seconds", "0+30x240", pod="beat-1")
    story.has("redis_up", "1x240", pod="beat-1")
    story.has("celery_queue_length", "3x240", queue="crm").has(
        "celery_queue_oldest_seconds", "1x240", queue="crm"
    )
    story.has("certmanager_certificate_expiration_timestamp_seconds", "2592000x240", name="crm-tls")
    story.has("traefik_tls_certs_not_after", "2592000x240", **SERVED)
    story.has(
        "traefik_service_requests_total", "0+600x240", service="crm-production-crm-stable-http@kubernetescrd"
    )
    story.has("rollout_info", "1x240", name="crm", phase="Completed")
    story.has(
        "delivery_guard_last_look_timestamp_seconds", "0+30x240", namespace="argocd", environment="production"
    )
    return story.has(
        "argocd_app_info",
        "1x240",
        namespace="argocd",
        name="crm-production",
        sync_status="Synced",
        health_status="Healthy",
    )


def uses(story: Story, pod: str, *, cpu: str, memory: int, quota: str | None = None) -> Story:
    """As cAdvisor tells it, of the pod's control group and of its only container; memory in MiB of 640."""
    for container in ("", "web"):
        labels = {"pod": pod, "container": container}
        story.has("container_cpu_usage_seconds_total", cpu, **labels)
        story.has("container_spec_cpu_shares", "256x240", **labels)
        story.has("container_memory_working_set_bytes", f"{memory * 2**20}x240", **labels)
        story.has("container_spec_memory_limit_bytes", f"{640 * 2**20}x240", **labels)
        if quota:
            story.has("container_cpu_cfs_throttled_periods_total", quota, **labels)
            story.has("container_cpu_cfs_periods_total", "0+300x240", **labels)
    return story


@dataclass(frozen=True)
class Case:
    """A change of the healthy platform, and whether the alert fires so many minutes later."""

    alert: str
    about: str
    change: Callable[[Story], object]
    fires: bool
    after: float = 60


def _gone(*names: str) -> Callable[[Story], object]:
    def change(story: Story) -> None:
        for name in names:
            story.without(name)

    return change


def _errors(bad: str, good: str) -> Callable[[Story], object]:
    return lambda story: story.without("django_requests_total").requests(bad, status="500").requests(good)


def _many_small_failures(story: Story) -> None:
    """The guide's alert has its threshold per series, so it never fired."""
    story.without("django_requests_total")
    for endpoint in ("deals-list", "deals-detail", "contacts-list", "companies-list"):
        story.requests("0+1.2x240", status="500", endpoint=endpoint)


def _one_of_four(story: Story) -> None:
    for pod, values in (("web-3", "0+6x240"), ("web-4", "9x240")):
        story.requests(values, endpoint="health-ready", pod=pod)
    story.has("up", "0x240", container="web", pod="web-4")


CASES = (
    Case(
        "CRMDown",
        "no pod is ready",
        lambda s: s.without("django_requests_total").requests("9x240", endpoint="health-ready"),
        True,
        3,
    ),
    Case("CRMDown", "every target has vanished", _gone("django_requests_total", "up"), True, 3),
    Case("CRMDown", "one pod of four is down", _one_of_four, False),
    Case("HighErrorRate", "every request fails, four a minute", _errors("0+2x240", "0x240"), True, 15),
    Case("HighErrorRate", "four endpoints fail, each of them rarely asked", _many_small_failures, True, 15),
    Case("HighErrorRate", "4.9 % of the requests fail", _errors("0+29.4x240", "0+570.6x240"), False),
    Case("HighErrorRate", "5.1 % of the requests fail", _errors("0+30.6x240", "0+569.4x240"), True),
    Case(
        "HighErrorRate",
        "one of three requests a minute fails at night",
        _errors("0+0.5x240", "0+1x240"),
        False,
    ),
    Case(
        "HighErrorRate",
        "probes and health checks fail, which no user sees",
        lambda s: s.requests("0+900x240", status="500", endpoint="probe").requests(
            "0+900x240", status="503", endpoint="health-ready"
        ),
        False,
    ),
    Case(
        "HighCPUUsage",
        "the pods use 90 % of their request: more than 1.2 times 70 %",
        lambda s: [uses(s, pod, cpu="0+6.75x240", memory=400) for pod in ("web-1", "web-2")],
        True,
    ),
    Case(
        "HighCPUUsage",
        "the pods use 83 % of their request",
        lambda s: [uses(s, pod, cpu="0+6.2x240", memory=400) for pod in ("web-1", "web-2")],
        False,
    ),
    Case(
        "HighCPUUsage",
        "a limit holds a pod back 30 % of the time",
        lambda s: uses(s, "worker-1", cpu="0+1x240", memory=100, quota="0+90x240"),
        True,
    ),
    Case(
        "HighCPUUsage",
        "a limit holds a pod back 20 % of the time",
        lambda s: uses(s, "worker-1", cpu="0+1x240", memory=100, quota="0+60x240"),
        False,
    ),
    Case(
        "HighCPUUsage",
        "for five minutes",
        lambda s: [uses(s, pod, cpu="0+15x10 150+3.75x230", memory=400) for pod in ("web-1", "web-2")],
        False,
        8,
    ),
    Case(
        "HighMemoryUsage", "91 % of the limit", lambda s: uses(s, "web-1", cpu="0+3.75x240", memory=583), True
    ),
    Case(
        "HighMemoryUsage",
        "89 % of the limit",
        lambda s: uses(s, "web-1", cpu="0+3.75x240", memory=570),
        False,
    ),
    Case(
        "HighMemoryUsage",
        "a pod without a limit",
        lambda s: s.has("container_memory_working_set_bytes", "9e9x240", pod="x").has(
            "container_spec_memory_limit_bytes", "0x240", pod="x"
        ),
        False,
    ),
    Case(
        "DatabasePoolExhausted",
        "requests wait a fifth of their time",
        lambda s: s.has("db_pool_wait_seconds_total", "0+4x240", pod="web-1"),
        True,
    ),
    Case(
        "DatabasePoolExhausted",
        "a connection was not given in time",
        lambda s: s.has("db_pool_request_errors_total", "0+1x240", pod="web-1"),
        True,
    ),
    Case(
        "DatabasePoolExhausted",
        "requests wait a twentieth of their time",
        lambda s: s.has("db_pool_wait_seconds_total", "0+0.9x240", pod="web-1"),
        False,
    ),
    Case("RedisDown", "it does not answer", lambda s: s.has("redis_up", "0x240", pod="beat-1"), True),
    Case(
        "RedisDown",
        "it was away for a minute",
        lambda s: s.has("redis_up", "0 0 1x238", pod="beat-1"),
        False,
        3,
    ),
    Case(
        "RedisHitRateLow",
        "two look-ups of three find nothing",
        lambda s: [s.has("redis_cache_misses_total", "0+12x240", pod=pod) for pod in ("web-1", "web-2")],
        True,
    ),
    Case(
        "RedisHitRateLow",
        "a third finds nothing",
        lambda s: [s.has("redis_cache_misses_total", "0+3x240", pod=pod) for pod in ("web-1", "web-2")],
        False,
    ),
    Case(
        "RedisHitRateLow",
        "hardly anything is looked up",
        lambda s: [
            s.has("redis_cache_hits_total", "0x240", pod=pod).has(
                "redis_cache_misses_total", "0+1x240", pod=pod
            )
            for pod in ("web-1", "web-2")
        ],
        False,
    ),
    Case(
        "QueueTooLong", "101 tasks wait", lambda s: s.has("celery_queue_length", "101x240", queue="crm"), True
    ),
    Case(
        "QueueTooLong",
        "100 tasks wait",
        lambda s: s.has("celery_queue_length", "100x240", queue="crm"),
        False,
    ),
    Case(
        "QueueTooOld",
        "one has been waiting for 301 s",
        lambda s: s.has("celery_queue_oldest_seconds", "301x240", queue="crm"),
        True,
    ),
    Case(
        "QueueTooOld",
        "one has been waiting for 299 s",
        lambda s: s.has("celery_queue_oldest_seconds", "299x240", queue="crm"),
        False,
    ),
    Case(
        "WorkerLost",
        "it cannot be scraped",
        lambda s: s.has("up", "0x240", container="worker", pod="worker-1"),
        True,
    ),
    Case(
        "WorkerLost",
        "one of two is there",
        lambda s: s.has("up", "0x240", container="worker", pod="worker-2"),
        False,
    ),
    Case(
        "BeatSilent",
        "it stopped ticking",
        lambda s: s.has("celery_beat_last_tick_timestamp_seconds", "0+30x10 300x230", pod="beat-1"),
        True,
    ),
    Case(
        "BeatSilent",
        "it ticks, and is scraped every 30 s",
        lambda s: s.has("celery_beat_last_tick_timestamp_seconds", "-25+30x240", pod="beat-1"),
        False,
    ),
    Case("BeatSilent", "it is gone", _gone("celery_beat_last_tick_timestamp_seconds"), True),
    Case("BeatDoubled", "two run", lambda s: s.has("up", "1x240", container="beat", pod="beat-2"), True),
    Case(
        "BeatDoubled",
        "one is replaced by another",
        lambda s: s.has("up", "1x3 stale", container="beat", pod="beat-2"),
        False,
    ),
    Case(
        "CertificateExpiresSoon",
        "9 days are left",
        lambda s: s.has("certmanager_certificate_expiration_timestamp_seconds", "777600x240", name="crm-tls"),
        True,
        62,
    ),
    Case(
        "CertificateExpiresSoon",
        "Traefik serves one that has 9 days left",
        lambda s: s.without("certmanager_certificate_expiration_timestamp_seconds").has(
            "traefik_tls_certs_not_after", "777600x240", **SERVED
        ),
        True,
        62,
    ),
    Case(
        "CertificateExpiresSoon",
        "that of another host expires",
        lambda s: s.has(
            "traefik_tls_certs_not_after",
            "777600x240",
            namespace="traefik",
            cn="x",
            sans="crm.staging.example.com",
        ),
        False,
        62,
    ),
    Case(
        "ScrapeTargetDown",
        "one of two pods cannot be scraped",
        lambda s: s.has("up", "0x240", container="web", pod="web-2"),
        True,
    ),
    Case(
        "ScrapeTargetDown",
        "for five minutes",
        lambda s: s.has("up", "0x10 1x230", container="web", pod="web-2"),
        False,
    ),
    *(
        Case("MetricsSourceAbsent", f"nobody scrapes {metric}", _gone(metric), True, 20)
        for metric in (
            "rollout_info",
            "argocd_app_info",
            "container_cpu_usage_seconds_total",
            "container_spec_memory_limit_bytes",
            "certmanager_certificate_expiration_timestamp_seconds",
            "traefik_tls_certs_not_after",
            "delivery_guard_last_look_timestamp_seconds",
        )
    ),
    Case("MetricsSourceAbsent", "for ten minutes", _gone("rollout_info"), False, 10),
    Case(
        "MetricsSourceAbsent",
        "the guard has been silent since half an hour, of which GuardSilent tells",
        lambda s: _guard(s, "0+30x60 stale"),
        False,
    ),
    Case(
        "MetricsSourceAbsent",
        "Argo Rollouts knows other environments only",
        lambda s: s.without("rollout_info").has(
            "rollout_info", "1x240", namespace="crm-dev", name="crm", phase="Completed"
        ),
        True,
        20,
    ),
    Case("DeadMansSwitch", "a healthy platform", lambda _: None, True),
    Case(
        "RolloutStuck", "it progresses for more than half an hour", lambda s: _phase(s, "Progressing"), True
    ),
    Case(
        "RolloutStuck",
        "its namespace was overwritten by the scrape",
        lambda s: s.has(
            "rollout_info",
            "1x240",
            namespace="argo-rollouts",
            exported_namespace="crm-production",
            name="crm",
            phase="Timeout",
        ),
        True,
    ),
    Case(
        "RolloutStuck",
        "another environment's",
        lambda s: s.has("rollout_info", "1x240", namespace="crm-dev", name="crm", phase="Progressing"),
        False,
    ),
    Case("RolloutPausedTooLong", "it waits for more than an hour", lambda s: _phase(s, "Paused"), True, 65),
    Case("RolloutPausedTooLong", "it waits for 50 minutes", lambda s: _phase(s, "Paused"), False, 50),
    Case("RolloutAborted", "Git still names it", lambda s: _phase(s, "Abort"), True),
    Case(
        "RolloutAborted", "the guard was there after 30 s", lambda s: _phase(s, "Abort", "1 1 stale"), False
    ),
    Case(
        "ImageQuarantined",
        "half an hour ago",
        lambda s: s.has(
            "delivery_quarantined_timestamp_seconds",
            "1800x240",
            namespace="argocd",
            environment="production",
            version="1.2",
        ),
        True,
    ),
    Case(
        "ImageQuarantined",
        "more than an hour ago",
        lambda s: s.has(
            "delivery_quarantined_timestamp_seconds",
            "1800x240",
            namespace="argocd",
            environment="production",
            version="1.2",
        ),
        False,
        95,
    ),
    Case(
        "ImageQuarantined",
        "in another environment",
        lambda s: s.has(
            "delivery_quarantined_timestamp_seconds",
            "1800x240",
            namespace="argocd",
            environment="dev",
            version="1.2",
        ),
        False,
    ),
    Case("GuardSilent", "its last look is ten minutes old", lambda s: _guard(s, "0+30x10 300x230"), True, 20),
    Case("GuardSilent", "it is gone", lambda s: _guard(s, "0+30x10 stale"), True, 20),
    Case("GuardSilent", "there was none", _gone("delivery_guard_last_look_timestamp_seconds"), False),
    Case("ArgoCDOutOfSync", "for an hour", lambda s: _application(s, "OutOfSync", "Healthy"), True),
    Case("ArgoCDOutOfSync", "for ten minutes", lambda s: _application(s, "OutOfSync", "Healthy"), False, 10),
    Case("ArgoCDDegraded", "for an hour", lambda s: _application(s, "Synced", "Degraded"), True),
    Case(
        "ArgoCDDegraded",
        "a rollout takes its time",
        lambda s: _application(s, "Synced", "Progressing"),
        False,
    ),
)


def _phase(story: Story, phase: str, values: str = "1x240") -> None:
    story.without("rollout_info").has("rollout_info", values, name="crm", phase=phase)


def _guard(story: Story, values: str) -> None:
    story.has(
        "delivery_guard_last_look_timestamp_seconds", values, namespace="argocd", environment="production"
    )


def _application(story: Story, sync: str, health: str) -> None:
    story.without("argocd_app_info")
    story.has(
        "argocd_app_info",
        "1x240",
        namespace="argocd",
        name="crm-production",
        sync_status=sync,
        health_status=health,
    )


def _story(case: Case) -> Story:
    story = healthy(f"{case.alert}: {case.about}")
    case.change(story)
    return story.fires(*([case.alert] if case.fires else []), after=case.after)


@pytest.mark.parametrize("alert", sorted({case.alert for case in CASES}))
def test_it_fires_and_stays_silent(alerts: Alerts, alert: str) -> None:
    alerts.check(*(_story(case) for case in CASES if case.alert == alert), only=alert)


def test_a_healthy_platform_fires_nothing_but_the_dead_mans_switch(alerts: Alerts) -> None:
    alerts.check(healthy().fires(SWITCH, after=15).fires(SWITCH, after=120))


def test_without_data_only_those_fire_that_ask_for_somebody_to_look(alerts: Alerts) -> None:
    alerts.check(Story("nothing at all").fires(*WITHOUT_DATA, after=120))


def _burning(objective: str, share: float, hours: int) -> Story:
    """A hundred requests every 30 s, this share of them bad."""
    values, bad = hours * 120, 100 * share
    story = Story(f"{objective}: {100 * share:.3f} % are bad")
    if objective == "availability":
        return story.requests(f"0+{bad}x{values}", status="500").requests(f"0+{100 - bad}x{values}")
    return story.takes(f"0+{100 - bad}x{values}", f"0+100x{values}")


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: objective.name)
def test_a_budget_that_burns_fires_by_how_fast(alerts: Alerts, objective: Objective) -> None:
    name, budget = objective.name, objective.budget
    alert = f"{name.capitalize()}BudgetBurn"
    stories = []
    # The arithmetic is the same, and stories of hours take their time: once for each rate, and once for each objective.
    for number, burn in enumerate(BURNS if name == "availability" else BURNS[:1]):
        slower = [f"{alert} {each.long}" for each in BURNS[number:]]
        # Slightly faster than this burn rate: it fires, and all slower ones do.
        stories.append(_burning(name, 1.02 * burn.rate * budget, 5).fires(*slower, after=5 * 60))
        stories.append(_burning(name, 0.98 * burn.rate * budget, 5).fires(*slower[1:], after=5 * 60))
    alerts.check(*stories, only=alert)


def test_the_short_window_ends_a_budgets_alert_long_before_the_long_one_forgets(alerts: Alerts) -> None:
    story = Story("bad for ten minutes, then well")
    story.requests("0+50x20 1000x240", status="500").requests("0+50x20 1000+100x240")
    fast, slow = (f"AvailabilityBudgetBurn {burn.long}" for burn in BURNS[:2])
    assert (BURNS[0].short, BURNS[1].short) == ("5m", "30m")
    story.fires(fast, after=10).fires(slow, after=25).fires(after=50)
    alerts.check(story, only="AvailabilityBudgetBurn")


def test_every_alert_has_its_stories(alerts: Alerts) -> None:
    burns = {
        f"{objective.name.capitalize()}BudgetBurn {burn.long}" for objective in OBJECTIVES for burn in BURNS
    }
    fire = {case.alert for case in CASES if case.fires} | burns
    silent = {case.alert for case in CASES if not case.fires} | burns | {SWITCH}
    assert set(alerts.names) == fire == silent
