import socket
from pathlib import Path
from time import monotonic, time

import pytest
from billiard.einfo import ExceptionInfo
from celery.exceptions import Ignore, Reject, Retry, TimeLimitExceeded, WorkerLostError
from celery.worker.request import Request
from django.conf import settings
from django.db import connections
from django.http import HttpResponse
from django.test import Client, RequestFactory
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis
from rest_framework.test import APIClient

from config.celery import app
from crm.http.endpoint import UNMATCHED
from crm.metrics import beat, middleware, worker
from crm.metrics.cache import CountedCache
from crm.metrics.database_pool import DatabasePool
from crm.metrics.redis_state import RedisState

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parse(text: str) -> Samples:
    families = text_string_to_metric_families(text)
    samples = [sample for family in families for sample in family.samples]
    # An empty label is none, for Prometheus.
    return {(s.name, frozenset((k, v) for k, v in s.labels.items() if v)): s.value for s in samples}


def scrape(client: Client) -> Samples:
    return parse(client.get("/metrics").content.decode())


def value(samples: Samples, name: str, **labels: str) -> float:
    """Of a process's first requests and of all others."""
    both = ({**labels, "starting": "true"}, labels)
    return sum(samples.get((name, frozenset(each.items())), 0.0) for each in both)


def test_requests_are_counted_by_their_endpoint(api: APIClient, client: Client) -> None:
    before = scrape(client)
    api.get("/api/v1/deals/4711/")
    api.get("/api/v1/deals/4712/")
    after = scrape(client)
    for name, labels in (
        ("django_requests_total", {"status": "404"}),
        ("django_request_duration_seconds_count", {}),
        ("django_request_duration_seconds_bucket", {"le": "2.0"}),
    ):
        labels |= {"method": "GET", "endpoint": "deals-detail"}
        assert value(after, name, **labels) == value(before, name, **labels) + 2


def test_strangers_make_no_series(client: Client) -> None:
    scrape(client)
    before = len(scrape(client))
    for n in range(3):
        client.generic(f"HACK{n}", f"/{n}")
    after = scrape(client)
    strangers = {"method": "OTHER", "endpoint": "unmatched", "caller": "stranger"}
    assert value(after, "django_requests_total", status="404", **strangers) >= 3
    one_histogram = 13 + 2
    assert len(after) <= before + one_histogram + 1


def test_what_says_nothing_about_users_is_labelled(api: APIClient, client: Client) -> None:
    def asked(method: str, path: str, who: Client) -> dict[str, float]:
        before = scrape(client)
        who.generic(method, path, "{}", content_type="application/json")
        after = scrape(client)
        counted = {key: number for key, number in after.items() if number != before.get(key, 0)}
        requests = [dict(labels) for name, labels in counted if name == "django_requests_total"]
        durations = [dict(labels) for name, labels in counted if name.endswith("seconds_count")]
        (request,) = [each for each in requests if each["endpoint"] != "metrics"]
        (duration,) = [each for each in durations if each["endpoint"] != "metrics"]
        assert request.get("caller") == duration.get("caller")
        return {"status": int(request["status"]), "stranger": request.get("caller") == "stranger"}

    assert asked("GET", "/wp-login.php", client) == {"status": 404, "stranger": True}
    assert asked("OPTIONS", "/api/v1/deals/", api) == {"status": 200, "stranger": True}
    assert asked("GET", "/api/v1/deals/", client) == {"status": 401, "stranger": True}
    assert asked("GET", "/api/v1/deals/", api) == {"status": 200, "stranger": False}
    assert asked("GET", "/api/v1/deals/4711/", api) == {"status": 404, "stranger": False}
    assert asked("POST", "/api/v1/auth/token/", client) == {"status": 400, "stranger": False}
    wrong = Client(headers={"Authorization": "Bearer nonsense"})
    assert asked("GET", "/api/v1/deals/", wrong) == {"status": 401, "stranger": False}


@pytest.mark.parametrize(
    ("method", "status", "stranger"),
    [("GET", 429, True), ("OPTIONS", 500, False), ("GET", 503, False), ("GET", 200, False)],
)
def test_a_failure_is_never_a_strangers(method: str, status: int, stranger: bool, rf: RequestFactory) -> None:
    request = rf.generic(method, "/api/v1/deals/", headers={"Authorization": "Bearer x"})
    assert middleware.is_strangers(request, "deals-list", status) is stranger


@pytest.mark.parametrize(
    ("status", "content", "empty"), [(200, b"{}", 1), (200, b"[" * 17, 0), (201, b"", 0), (200, b"", 1)]
)
def test_empty_answers_are_counted(
    rf: RequestFactory, client: Client, status: int, content: bytes, empty: int
) -> None:
    def counted() -> float:
        return value(scrape(client), "django_empty_answers_total", method="GET", endpoint=UNMATCHED)

    before = counted()
    metrics = middleware.RequestMetrics(lambda _: HttpResponse(content, status=status))
    metrics(rf.get("/"))
    assert counted() - before == empty


def test_the_first_requests_of_a_process_are_labelled(rf: RequestFactory, client: Client) -> None:
    def counted() -> tuple[float, float]:
        labels = {"method": "PATCH", "endpoint": "unmatched", "caller": "stranger"}
        name, now = "django_request_duration_seconds_count", scrape(client)
        starting = frozenset({**labels, "starting": "true"}.items())
        return now.get((name, starting), 0.0), value(now, name, **labels)

    before = counted()
    process = middleware.RequestMetrics(lambda _: HttpResponse(status=404))
    for _ in range(50):
        process(rf.get("/health/ready/"))
    for _ in range(25):
        process(rf.patch("/"))
    first, all_of_them = (now - then for now, then in zip(counted(), before, strict=True))
    assert (first, all_of_them) == (20, 25)


def test_there_are_no_created_series_and_business_metrics_start_at_zero(client: Client) -> None:
    text = client.get("/metrics").content.decode()
    assert not [line for line in text.splitlines() if line.startswith("# TYPE") and "_created gauge" in line]
    for event in ("user_registrations", "sign_ins", "deals_created"):
        assert f"\n{event}_total " in text
    assert "# TYPE deal_conversions_total counter" in text
    assert '\ncrm_build_info{version="1.2.3"} 1.0' in text


def test_the_pool_is_described(
    django_db_setup: None, django_db_blocker: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    pooled = connections["default"].copy(alias="pooled")
    pooled.settings_dict["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 3, "timeout": 2}
    monkeypatch.setattr("crm.metrics.database_pool.connections", {"default": pooled})
    registry = CollectorRegistry()
    registry.register(DatabasePool())
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        try:
            pooled.ensure_connection()
            samples = parse(generate_latest(registry).decode())
        finally:
            pooled.close()
            pooled.close_pool()  # type: ignore[attr-defined]
    assert value(samples, "db_pool_max") == 3
    assert value(samples, "db_pool_requests_total") >= 1
    assert value(samples, "db_pool_waiting") == 0


def test_the_queue_its_length_and_its_oldest_task(servers: object) -> None:
    registry = CollectorRegistry()
    registry.register(RedisState(settings.CELERY_BROKER_URL, queues=("crm", "other")))
    app.control.purge()
    for age in (30, 0):  # the oldest first
        queued_at = {"queued_at": time() - age} if age else {}
        app.send_task("crm.notifications.tasks.send_email", [0], headers=queued_at)
    samples = parse(generate_latest(registry).decode())
    assert value(samples, "redis_up") == 1
    assert value(samples, "celery_queue_length", queue="crm") == 2
    assert 30 <= value(samples, "celery_queue_oldest_seconds", queue="crm") < 40
    for name in ("celery_queue_length", "celery_queue_oldest_seconds"):
        assert samples[name, frozenset({("queue", "other")})] == 0
    app.control.purge()


def test_a_redis_that_hangs_is_told_before_a_scrape_gives_up() -> None:
    """Prometheus waits as long as its interval, 2 s in the local cluster."""
    registry = CollectorRegistry()
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        registry.register(RedisState(f"redis://127.0.0.1:{hanging.getsockname()[1]}", queues=("crm",)))
        before = monotonic()
        samples = parse(generate_latest(registry).decode())
    assert samples == {("redis_up", frozenset()): 0}
    assert monotonic() - before < 1.5


def test_without_redis_nothing_is_said_about_the_queue() -> None:
    registry = CollectorRegistry()
    registry.register(RedisState("redis://127.0.0.1:1", queues=("crm",)))
    samples = parse(generate_latest(registry).decode())
    assert samples == {("redis_up", frozenset()): 0}


def test_the_caches_hits_and_misses_are_counted_and_nobody_elses(servers: object, client: Client) -> None:
    counted = CountedCache(f"{settings.REDIS_URL}/1", {})
    before = scrape(client)
    assert counted.get("no-such-key", "instead") == "instead"
    counted.set("key", None)
    assert counted.get("key", "instead") is None
    assert counted.get_many(["key", "no-such-key", "nor-this"]) == {"key": None}
    with Redis.from_url(settings.CELERY_BROKER_URL) as queue:
        assert queue.llen("no such queue") == 0
    after = scrape(client)
    for name, more in (("hits", 2), ("misses", 3)):
        series = f"redis_cache_{name}_total"
        assert value(after, series) == value(before, series) + more


def test_beat_stays_alive_while_it_waits_for_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alive = tmp_path / "beat-alive"
    monkeypatch.setattr(beat, "BEAT_ALIVE", alive)
    scheduler = beat.LivingScheduler(app, lazy=True)
    scheduler.tick()
    assert alive.exists()
    alive.unlink()

    class Unreachable:
        def ensure_connection(self, errback: object, interval_max: float) -> None:
            assert interval_max < 10
            errback(ConnectionRefusedError(), interval_max)  # type: ignore[operator]

    monkeypatch.setattr(beat.LivingScheduler, "connection", Unreachable())
    scheduler._ensure_connected()
    assert alive.exists()


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        (ValueError(), 1),
        (WorkerLostError(), 1),
        (TimeLimitExceeded(90), 1),
        (Retry(exc=ValueError()), 0),
        (Ignore(), 0),
        (Reject(), 0),
    ],
)
def test_what_counts_as_a_failed_task(error: Exception, failed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(Request, "on_failure", lambda _self, *arguments: told.append(arguments))
    monkeypatch.setattr(worker.CountedRequest, "task_name", "a.task", raising=False)
    counter = worker.FAILED.labels("a.task")
    before = counter._value.get()
    try:
        raise error
    except type(error):
        worker.CountedRequest.__new__(worker.CountedRequest).on_failure(ExceptionInfo())
    assert counter._value.get() == before + failed
    assert len(told) == 1, "Celery does its own part"
