"""The real processes on real servers, which are stopped and started under them."""

import contextlib
import json
import os
import re
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone
from rest_framework_simplejwt.tokens import AccessToken

from config.celery import app
from config.gunicorn import BODY_SECONDS
from crm.authentication.models import User
from crm.deals.models import Deal, Pipeline, Stage
from crm.deals.services import create_deal
from crm.notifications.models import Email
from crm.notifications.services import SEND_EMAIL
from testing.ports import free_port
from testing.processes import Role
from testing.servers import Server

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def checks(self) -> dict[str, str]:
        return dict(json.loads(self.text)["checks"])


class Web:
    def __init__(self, role: Role, port: int, metrics_port: int) -> None:
        self.role = role
        self.port = port
        self.metrics_port = metrics_port

    def ask(
        self,
        path: str,
        method: str = "GET",
        body: Any = None,
        user: User | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        http = self.asked(path, method, body, user, headers)
        try:
            answer: HTTPResponse = http.getresponse()
            return Answer(answer.status, dict(answer.headers), answer.read().decode())
        finally:
            http.close()

    def asked(
        self,
        path: str,
        method: str,
        body: Any,
        user: User | None,
        headers: dict[str, str] | None = None,
    ) -> HTTPConnection:
        """A connection on which a request was sent, and nobody waits for the answer yet."""
        http = HTTPConnection("127.0.0.1", self.port, timeout=15)
        sent = {"Content-Type": "application/json"} | (headers or {})
        if user:
            sent["Authorization"] = f"Bearer {AccessToken.for_user(user)}"
        http.request(method, path, json.dumps(body) if body else None, sent)
        return http

    def probe(self) -> int:
        return self.ask("/probe/", headers={"Host": "canary.internal", "X-CRM-Probe": "1"}).status

    def metric(self, series: str) -> float:
        """The value of a series, 0 if it is not there; of all callers, a process's first requests among them."""
        scraped = re.sub(r'caller="\w*",|,starting="\w*"', "", self.ask("/metrics").text)
        lines = [line.rsplit(" ", 1) for line in scraped.splitlines()]
        return sum(float(value) for name, value in lines if name == series)

    def status(self, path: str) -> int:
        try:
            return self.ask(path).status
        except OSError:
            return 0


def environment(directory: Path) -> dict[str, str]:
    return {"DB_NAME": connection.settings_dict["NAME"], "TMPDIR": str(directory), "WEB_THREADS": "4"}


@contextmanager
def web_in(directory: Path, **settings: str) -> Iterator[Web]:
    port = free_port()
    settings |= {"PORT": str(port), "METRICS_PORT": str(free_port())}
    with Role("http", environment(directory) | settings, directory / "web.log") as role:
        web = Web(role, port, int(settings["METRICS_PORT"]))
        role.wait_until(lambda: web.status("/health/live/") == 200)
        yield web


@pytest.fixture(scope="module")
def web(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with web_in(tmp_path_factory.mktemp("web")) as web:
        yield web


def test_an_outage_is_a_503_where_it_matters_and_ends(web: Web, servers: Any) -> None:
    if not (servers.postgres and servers.redis):
        pytest.skip("the servers were given and must not be stopped")
    outages: list[tuple[Server, str, int, int]] = [
        (servers.redis, "redis", 200, 500),
        (servers.postgres, "database", 503, 503),
    ]
    web.role.wait_until(lambda: web.status("/health/ready/") == 200)
    assert web.probe() == 200
    for server, name, ready, probed in outages:
        paths = {"/health/live/": 200, "/health/ready/": ready, "/health/": 503, "/api/v1/pipelines/": 401}
        connections.close_all()
        server.stop()
        try:
            answers = {path: web.ask(path) for path in paths}
            assert web.probe() == probed
        finally:
            server.start()
        assert {path: answer.status for path, answer in answers.items()} == paths
        assert answers["/health/ready/"].checks == {"database": "ok" if ready == 200 else "unavailable"}
        assert answers["/health/"].checks[name] == "unavailable"
        for answer in answers.values():
            assert answer.headers["X-CRM-Version"] == "1.2.3"
            assert "127.0.0.1" not in answer.text
        web.role.wait_until(lambda: web.status("/health/ready/") == 200)


def test_whoever_asks_about_health_may_have_a_new_connection_each_time(web: Web) -> None:
    assert web.ask("/health/ready/").headers["Connection"] == "keep-alive"
    assert web.ask("/health/ready/", headers={"Connection": "close"}).headers["Connection"] == "close"


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "application/json; a*=bogus'x'%41"),
        ("/", "application/json; charset*=us-ascii''%00"),
        ("/?dora@example.com=1", "application/json; charset=zlib"),
        ("/?dora@example.com=%ff", "application/json; charset=undefined"),
        ("/?dora@example.com=%ff", "application/json; charset=idna"),
    ],
)
def test_what_cannot_be_read_is_an_error_like_every_other(web: Web, path: str, content_type: str) -> None:
    series = 'django_requests_total{endpoint="root",method="GET",status="400"}'
    before, written = web.metric(series), len(web.role.output())
    answer = web.ask(path, headers={"Content-Type": content_type})
    assert answer.status == 400
    error = json.loads(answer.text)["error"]
    assert error["code"] == "bad_request"
    assert error["request_id"] == answer.headers["X-Request-ID"]
    assert answer.headers["X-CRM-Version"] == "1.2.3"
    assert web.metric(series) == before + 1
    assert '"level": "INFO"' in web.role.output()[written:]
    assert '"level": "ERROR"' not in web.role.output()[written:]
    assert "dora" not in web.role.output()


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "PATH_INFO"])
def test_no_header_is_taken_for_the_path(web: Web, name: str) -> None:
    answer = web.ask("/", headers={name: "/metrics"})
    assert (answer.status, json.loads(answer.text)["name"]) == (200, "CRM")


def test_of_many_strangers_at_once_exactly_as_many_are_let_in_as_may(web: Web) -> None:
    """Nothing is in front of this process, so whom a header names is a stranger's word."""

    def sign_up(n: int) -> Answer:
        forged = {"X-Forwarded-For": f"192.0.2.{n}"}
        return web.ask("/api/v1/auth/register/", "POST", {"username": ""}, headers=forged)

    with ThreadPoolExecutor(20) as many:
        answers = list(many.map(sign_up, range(60)))
    assert [answer.status for answer in answers].count(400) == 20
    refused = [answer for answer in answers if answer.status == 429]
    assert len(refused) == 40
    assert all(0 < int(answer.headers["Retry-After"]) <= 3600 for answer in refused)


def test_a_request_that_is_none_is_logged_without_its_words(web: Web) -> None:
    with socket.create_connection(("127.0.0.1", web.port), timeout=15) as client:
        client.sendall(b"GET /?dora@example.com as HTTP/1.1\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400 ")
    web.role.wait_until(lambda: "Invalid request from ip=127.0.0.1" in web.role.output())
    assert "dora" not in web.role.output()


def test_a_body_in_chunks_is_read(web: Web, alice: User) -> None:
    def patched(*chunks: bytes) -> Answer:
        http = HTTPConnection("127.0.0.1", web.port, timeout=15)
        sent = {"Content-Type": "application/json", "Authorization": f"Bearer {AccessToken.for_user(alice)}"}
        try:
            http.request("PATCH", "/api/v1/users/me/", iter(chunks), sent, encode_chunked=True)
            answer = http.getresponse()
            return Answer(answer.status, dict(answer.headers), answer.read().decode())
        finally:
            http.close()

    answer = patched(b'{"first_name":', b' "Alice"}')
    assert (answer.status, json.loads(answer.text)["first_name"]) == (200, "Alice")
    assert patched(b"{").status == 400
    assert patched(*[b" " * 2**20] * 3).status == 413


@pytest.mark.parametrize("framing", ["Content-Length: 100\r\n", "Transfer-Encoding: chunked\r\n"])
def test_who_leaves_while_sending_is_no_failure_of_ours(web: Web, framing: str) -> None:
    """By a reset, as from a router that gives up."""
    failed = 'django_requests_total{endpoint="auth-register",method="POST",status="%s"}'
    before = {status: web.metric(failed % status) for status in (400, 500)}
    with socket.create_connection(("127.0.0.1", web.port), timeout=15) as client:
        head = f"POST /api/v1/auth/register/ HTTP/1.1\r\nHost: localhost\r\n{framing}"
        client.sendall(head.encode() + b"Content-Type: application/json\r\n\r\n5\r\n{")
        time.sleep(0.3)  # a thread has begun to read
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    web.role.wait_until(lambda: web.metric(failed % 400) > before[400])
    assert web.metric(failed % 500) == before[500]


def test_slow_bodies_hold_a_pod_for_no_longer_than_they_may(web: Web, alice: User) -> None:
    """As many as there are threads, each of which goes on sending; a router that buffers sends none of them."""
    head = b"POST /api/v1/auth/register/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    began = time.monotonic()
    with contextlib.ExitStack() as slow:
        clients = [
            slow.enter_context(socket.create_connection(("127.0.0.1", web.port), timeout=15))
            for _ in range(4)
        ]
        for client in clients:
            client.sendall(head + b"Content-Length: 100\r\n\r\n{")
        ended = threading.Event()

        def drip() -> None:
            while not ended.wait(0.5):
                for client in clients:
                    with contextlib.suppress(OSError):
                        client.sendall(b" ")

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert web.ask("/api/v1/deals/", user=alice).status == 200
        finally:
            ended.set()
            dripping.join()
        assert time.monotonic() - began < BODY_SECONDS + 2
        for client in clients:
            assert client.recv(100).startswith(b"HTTP/1.1 400 ")


def test_a_deal_is_won_while_redis_is_away(web: Web, servers: Any, alice: User, sales: Pipeline) -> None:
    if not servers.redis:
        pytest.skip("the server was given and must not be stopped")
    won = Stage.objects.get(pipeline=sales, is_won=True)
    body = {"title": "Big", "pipeline": sales.pk, "stage": won.pk, "amount": "9"}
    servers.redis.stop()
    try:
        started = time.monotonic()
        status = web.ask("/api/v1/deals/", "POST", body, user=alice).status
        took = time.monotonic() - started
    finally:
        servers.redis.start()
    assert status == 201
    assert took < 2
    assert Email.objects.get().status == Email.Status.READY  # beat queues it again, two minutes later


def test_a_deal_is_won_while_redis_hangs(web: Web, servers: Any, alice: User, sales: Pipeline) -> None:
    if not servers.redis:
        pytest.skip("the server was given and must not be stopped")
    won = Stage.objects.get(pipeline=sales, is_won=True)
    body = {"title": "Big", "pipeline": sales.pk, "stage": won.pk, "amount": "9"}
    assert web.ask("/api/v1/deals/", "POST", body, user=alice).status == 201  # and a connection is there
    with servers.redis.hanging():
        started = time.monotonic()
        assert web.ask("/api/v1/deals/", "POST", body, user=alice).status == 201
        assert time.monotonic() - started < 3.5
        started = time.monotonic()
        assert web.status("/health/") == 503
        assert time.monotonic() - started < 3.5
    assert Email.objects.filter(status=Email.Status.READY).count() == 2


def test_a_hanging_database_holds_nobody(web: Web, servers: Any, alice: User) -> None:
    """At four times as many requests as there are threads; those behind wait for no time-out of their own."""
    if not servers.postgres:
        pytest.skip("the server was given and must not be stopped")

    def timed(_: int = 0) -> tuple[int, float]:
        started = time.monotonic()
        status = web.ask("/api/v1/deals/", user=alice).status
        return status, time.monotonic() - started

    with ThreadPoolExecutor(16) as users:
        assert {status for status, _ in users.map(timed, range(16))} == {200}
        with servers.postgres.hanging():
            for _ in range(3):
                answers = list(users.map(timed, range(16)))
                assert {status for status, _ in answers} == {503}
                assert max(took for _, took in answers) < 3.5, answers
        is_back = time.monotonic()
        web.role.wait_until(lambda: timed()[0] == 200)
        assert time.monotonic() - is_back < 5
        web.role.wait_until(lambda: {status for status, _ in users.map(timed, range(16))} == {200})
        assert time.monotonic() - is_back < 5


def test_a_process_without_empty_answers_counts_them_all_the_same(tmp_path: Path) -> None:
    with web_in(tmp_path) as web:
        scraped = web.ask("/metrics").text
    assert '\ndjango_empty_answers_total{endpoint="unmatched",method="GET"} 0.0\n' in scraped


def test_threads_count_every_request_once(web: Web, alice: User, sales: Pipeline) -> None:
    def create(n: int) -> tuple[int, bool]:
        body = {"title": f"Deal {n}", "pipeline": sales.pk, "amount": "1.00"}
        started = time.monotonic()
        status = web.ask("/api/v1/deals/", "POST", body, user=alice).status
        return status, time.monotonic() - started < 2

    duration = "django_request_duration_seconds"
    series = (
        'django_requests_total{endpoint="deals-list",method="POST",status="201"}',
        duration + '_count{endpoint="deals-list",method="POST"}',
        duration + '_bucket{endpoint="deals-list",le="+Inf",method="POST"}',
        duration + '_bucket{endpoint="deals-list",le="2.0",method="POST"}',
        "db_pool_request_errors_total",
    )
    before = [web.metric(name) for name in series]
    with ThreadPoolExecutor(12) as many:
        statuses, quick = zip(*many.map(create, range(100)), strict=True)
    assert set(statuses) == {201}
    after = [web.metric(name) for name in series]
    *counted, within_2_seconds, refused = (b - a for a, b in zip(before, after, strict=True))
    assert (counted, refused) == ([100, 100, 100], 0)
    # On a busy machine some take longer; the server's clock runs no longer than the client's.
    assert sum(quick) <= within_2_seconds <= 100
    assert web.metric("db_pool_max") == 5
    assert "celery_queue_length" not in web.ask("/metrics").text  # one for all pods: beat's


@contextmanager
def waiting_requests(web: Web, count: int, alice: User, sales: Pipeline) -> Iterator[list[Answer]]:
    """So many requests that wait for a lock as long as the context lasts; their answers afterwards."""
    stages = {stage.name: stage for stage in sales.stages.all()}
    deal = create_deal(by=alice, pipeline=sales, title="Big", amount=1)
    answers: list[Answer] = []

    def move() -> None:
        body = {"stage": stages["Qualified"].pk}
        answers.append(web.ask(f"/api/v1/deals/{deal.pk}/move/", "POST", body, user=alice))

    movers = [threading.Thread(target=move) for _ in range(count)]
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with transaction.atomic():
        Deal.objects.select_for_update().get(pk=deal.pk)
        for mover in movers:
            mover.start()
        with connection.cursor() as cursor:

            def they_wait() -> bool:
                cursor.execute("SELECT pg_stat_clear_snapshot()")
                cursor.execute(waiting)
                return bool(cursor.fetchone() == (count,))

            web.role.wait_until(they_wait)
        yield answers
    for mover in movers:
        mover.join(20)


def test_prometheus_and_the_kubelet_are_answered_while_every_request_thread_waits(
    tmp_path: Path, alice: User, sales: Pipeline
) -> None:
    threads = int(environment(tmp_path)["WEB_THREADS"])
    paths = {"/metrics": 200, "/health/live/": 200, "/health/ready/": 200, "/api/v1/pipelines/": 404}
    with web_in(tmp_path) as web, waiting_requests(web, threads, alice, sales):
        answers = {path: beside(web, path) for path in paths}
    assert {path: status for path, (status, _) in answers.items()} == paths
    assert "django_requests_total" in answers["/metrics"][1]
    assert json.loads(answers["/health/ready/"][1])["checks"] == {"database": "ok"}


def test_nothing_is_done_for_a_client_that_has_left(tmp_path: Path, alice: User, sales: Pipeline) -> None:
    def deal(title: str) -> dict[str, Any]:
        return {"title": title, "pipeline": sales.pk, "amount": "1.00"}

    with web_in(tmp_path, WEB_THREADS="1") as web:
        with waiting_requests(web, 1, alice, sales):
            left = web.asked("/api/v1/deals/", "POST", deal("Left"), alice)
            stayed = web.asked("/api/v1/deals/", "POST", deal("Stayed"), alice)
            left.close()
        # The one thread takes them in their order.
        assert stayed.getresponse().status == 201
        stayed.close()
        assert web.status("/health/live/") == 200
    assert set(Deal.objects.values_list("title", flat=True)) == {"Big", "Stayed"}
    assert "ERROR" not in web.role.output()


def worker_of(role: Role) -> int | None:
    """The process in which the application is, a child of gunicorn's own."""
    pid = role.process.pid
    if b"gunicorn" not in Path(f"/proc/{pid}/cmdline").read_bytes():
        return None  # still the entrypoint's shell, which has children of its own
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else None


def is_killed(role: Role) -> int:
    """The status with which all ends when the application is killed, as the kernel does for want of memory."""
    role.wait_until(lambda: worker_of(role) is not None)
    os.kill(worker_of(role) or 0, signal.SIGKILL)
    return role.process.wait(20)


def test_who_has_too_little_memory_to_start_ends_instead_of_trying_again_without_a_pause(
    tmp_path: Path,
) -> None:
    ports = {"PORT": str(free_port()), "METRICS_PORT": str(free_port())}
    with Role("http", environment(tmp_path) | ports, tmp_path / "web.log") as role:
        assert is_killed(role) == 1
    assert "Perhaps out of memory?" in role.output()


def test_the_container_ends_with_the_process_that_serves(tmp_path: Path) -> None:
    with web_in(tmp_path) as web:
        assert is_killed(web.role) == 1
    with web_in(tmp_path) as web:
        assert web.role.stop() == 0


def test_without_redis_a_pod_is_ready_and_not_healthy(web: Web, servers: Any) -> None:
    if not servers.redis:
        pytest.skip("the server was given and must not be stopped")
    servers.redis.stop()
    try:
        assert beside(web, "/health/ready/")[0] == web.status("/health/ready/") == 200
        assert beside(web, "/health/")[0] == web.status("/health/") == 503
    finally:
        servers.redis.start()


def beside(web: Web, path: str) -> tuple[int, str]:
    """The answer on the port for Prometheus and the kubelet."""
    http = HTTPConnection("127.0.0.1", web.metrics_port, timeout=5)
    try:
        http.request("GET", path)
        answer = http.getresponse()
        return answer.status, answer.read().decode()
    finally:
        http.close()


def test_sigterm_lets_a_running_request_finish(tmp_path: Path, alice: User, sales: Pipeline) -> None:
    with web_in(tmp_path) as web:
        with waiting_requests(web, 1, alice, sales) as answers:
            web.role.process.send_signal(signal.SIGTERM)
            until = time.monotonic() + 10
            while "Handling signal: term" not in web.role.output():
                assert time.monotonic() < until, web.role.output()
                time.sleep(0.05)
        assert [answer.status for answer in answers] == [200]
        assert web.role.process.wait(20) == 0


def ends_of_tasks(worker: Role) -> list[Any]:
    lines = [json.loads(line) for line in worker.output().splitlines() if line.startswith("{")]
    return [
        line for line in lines if f"Task {SEND_EMAIL}" in line["message"] and "succeeded" in line["message"]
    ]


def test_a_won_deal_is_e_mailed_by_a_worker(web: Web, tmp_path: Path, alice: User, sales: Pipeline) -> None:
    won = Stage.objects.get(pipeline=sales, is_won=True)
    conversions = 'deal_conversions_total{pipeline="Sales"}'
    before = web.metric(conversions)
    with Role(
        "worker",
        environment(tmp_path) | {"WORKER_CONCURRENCY": "1", "METRICS_PORT": str(free_port())},
        tmp_path / "worker.log",
    ) as worker:
        worker.wait_until((tmp_path / "worker-ready").exists)
        worker.wait_until(lambda: web.status("/health/") == 200)
        body = {"title": "The big one", "pipeline": sales.pk, "stage": won.pk, "amount": "9"}
        named = {"X-Request-ID": "the-deal-of-the-day"}
        assert web.ask("/api/v1/deals/", "POST", body, user=alice, headers=named).status == 201
        worker.wait_until(lambda: Email.objects.filter(status=Email.Status.SENT).count() == 1)
        worker.wait_until(lambda: "Subject: Won: The big one" in worker.output())
        worker.wait_until(lambda: bool(ends_of_tasks(worker)))
        assert [(line["request_id"], line["role"]) for line in ends_of_tasks(worker)] == [
            ("the-deal-of-the-day", "worker")
        ]
        first = (tmp_path / "worker-alive").stat().st_mtime
        worker.wait_until(lambda: (tmp_path / "worker-alive").stat().st_mtime > first, seconds=10)
        worker.stop()
    assert not (tmp_path / "worker-ready").exists()
    assert web.metric(conversions) == before + 1


def scrape(port: int) -> str:
    http = HTTPConnection("127.0.0.1", port, timeout=10)
    http.request("GET", "/metrics")
    text = http.getresponse().read().decode()
    http.close()
    return text


def test_a_worker_counts_its_tasks_and_those_that_fail(tmp_path: Path) -> None:
    port = free_port()
    with Role(
        "worker", environment(tmp_path) | {"METRICS_PORT": str(port)}, tmp_path / "worker.log"
    ) as worker:
        worker.wait_until((tmp_path / "worker-ready").exists)
        for email_id in (4711, "no number", 4712):  # there is no such e-mail, and nothing to do
            app.send_task(SEND_EMAIL, [email_id])
        app.send_task(SEND_EMAIL, [4713], expires=timezone.now() - timedelta(seconds=1))
        # A worker that is stopped while it runs a task takes its whole time to stop.
        worker.wait_until(lambda: worker.output().count("succeeded in") == 2)
        worker.wait_until(lambda: f'celery_tasks_failed_total{{task="{SEND_EMAIL}"}} 1.0' in scrape(port))
        worker.wait_until(lambda: f'celery_tasks_started_total{{task="{SEND_EMAIL}"}} 3.0' in scrape(port))
        worker.wait_until(lambda: "revoked" in worker.output())  # it had waited too long
        assert f'celery_tasks_failed_total{{task="{SEND_EMAIL}"}} 1.0' in scrape(port)
        assert f'celery_tasks_started_total{{task="{SEND_EMAIL}"}} 3.0' in scrape(port)


def test_beat_ticks_and_serves_what_there_is_one_of(tmp_path: Path) -> None:
    port = free_port()
    with Role("beat", environment(tmp_path) | {"METRICS_PORT": str(port)}, tmp_path / "beat.log") as beat:
        beat.wait_until((tmp_path / "beat-alive").exists)
        text = scrape(port)
    assert 'celery_queue_length{queue="crm"}' in text
    assert "celery_beat_last_tick_timestamp_seconds 1." in text  # 1.8e+09: seconds, not 0
