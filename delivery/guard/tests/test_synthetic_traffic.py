"""Synthetic traffic between a Rollout that the test moves, a Prometheus and two versions: real local servers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from delivery.cli import main
from delivery.guard import metrics, synthetic_traffic
from delivery.guard.config import PROMETHEUS_VARIABLE
from delivery.guard.log import Log
from delivery.guard.rollback_loop import RollbackLoop
from delivery.guard.synthetic_traffic import SyntheticTraffic, at_its_service, users_query
from delivery.guard.tests.cluster import FakeCluster
from delivery.guard.tests.states import rollout
from delivery.kubernetes.objects import Object
from delivery.tests.hosts import Remote
from delivery.tests.kubernetes import Server as KubernetesServer

RUNNING = {"currentStepAnalysisRunStatus": {"name": "crm-7-2-1", "status": "Running"}}
JUDGED = rollout(canary=RUNNING)


class Server(ThreadingHTTPServer):
    """Remembers what it was asked, and how many asked at once."""

    daemon_threads = True

    def __init__(self, body: Callable[[], Any] = dict, status: int = 200, seconds: float = 0.0) -> None:
        self.body, self.status, self.seconds = body, status, seconds
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.peers: set[Any] = set()
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server = self.server
        with server.lock:
            server.asked.append((self.path, dict(self.headers)))
            server.peers.add(self.client_address)
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        time.sleep(server.seconds)
        body = json.dumps(server.body()).encode()
        with server.lock:
            server.at_once -= 1
        self.send_response(server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the test's output quiet."""


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Prometheus(Server):
    """Says how many requests a second users make."""

    def __init__(self) -> None:
        self.rate = "0"
        super().__init__(self._answer)

    def _answer(self) -> dict[str, Any]:
        sample = {"metric": {}, "value": [time.time(), self.rate]}
        return {"status": "success", "data": {"resultType": "vector", "result": [sample]}}


@pytest.fixture
def cluster() -> FakeCluster:
    made = FakeCluster()
    made.state = JUDGED
    return made


@pytest.fixture
def prometheus() -> Iterator[Prometheus]:
    server = Prometheus()
    with serving(server):
        yield server


@pytest.fixture
def canary() -> Iterator[Server]:
    with serving(Server()) as server:
        yield server


@pytest.fixture
def stable() -> Iterator[Server]:
    with serving(Server()) as server:
        yield server


@pytest.fixture
def traffic(
    cluster: FakeCluster,
    prometheus: Prometheus,
    canary: Server,
    stable: Server,
    logged: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[SyntheticTraffic]:
    """In a hurry: a request each 10 ms, and users are missed at once."""
    monkeypatch.setattr(synthetic_traffic, "_PACE_SECONDS", 0.01)
    metrics.SYNTHETIC_REQUESTS.clear()
    addresses = {"canary": canary, "stable": stable}
    made = SyntheticTraffic(
        cluster,
        ["production"],
        prometheus.address,
        log=Log(logged.append),
        url=lambda _name, _environment, version: f"{addresses[version].address}/probe/",
        patience=0.0,
    )
    yield made
    for release in made._releases.values():
        release.pause.set()
        for sender in release.senders.values():
            sender.join(10)


def until(what: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def count(version: str, answer: str) -> float:
    sample = {"environment": "production", "version": version, "answer": answer}
    return metrics.REGISTRY.get_sample_value("delivery_guard_synthetic_requests_total", sample) or 0.0


def rests(*servers: Server) -> bool:
    """Whether nobody is asked any more."""
    time.sleep(0.1)
    before = [len(server.asked) for server in servers]
    time.sleep(0.2)
    return before == [len(server.asked) for server in servers]


def test_where_users_are_too_few_both_versions_are_asked_with_the_header(
    traffic: SyntheticTraffic, canary: Server, stable: Server
) -> None:
    why = traffic.reconcile("production")
    until(lambda: len(canary.asked) >= 5 and len(stable.asked) >= 5)
    assert [why, traffic.reconcile("production")] == [
        "users hardly ask the new version, so synthetic requests do",
        "",
    ]

    for server in (canary, stable):
        path, headers = server.asked[0]
        assert (path, headers["X-CRM-Probe"]) == ("/probe/", "1")
        assert server.most_at_once == 1
    until(lambda: count("canary", "200") >= 5 and count("stable", "200") >= 5)


def test_each_request_has_a_connection_of_its_own_and_so_reaches_every_pod(
    traffic: SyntheticTraffic, canary: Server
) -> None:
    traffic.reconcile("production")
    until(lambda: len(canary.asked) >= 5)

    assert len(canary.peers) == len(canary.asked)


def test_prometheus_is_asked_for_the_users_of_the_new_version(
    traffic: SyntheticTraffic, prometheus: Prometheus
) -> None:
    traffic.reconcile("production")

    path, _ = prometheus.asked[0]
    assert urlsplit(path).path == "/api/v1/query"
    assert parse_qs(urlsplit(path).query)["query"] == [users_query("production", "new")]


def test_it_ends_when_users_come_and_begins_when_they_go(
    traffic: SyntheticTraffic, prometheus: Prometheus, canary: Server, stable: Server
) -> None:
    traffic.reconcile("production")
    until(lambda: bool(canary.asked and stable.asked))
    prometheus.rate = "1.5"
    traffic.reconcile("production")
    assert rests(canary, stable)

    prometheus.rate = "0.9"
    sent = len(canary.asked)
    traffic.reconcile("production")
    until(lambda: len(canary.asked) > sent)


@pytest.mark.parametrize("rate", ["1", "3.2", "NaN"])
def test_where_users_suffice_or_nobody_knows_nothing_is_sent(
    traffic: SyntheticTraffic, prometheus: Prometheus, canary: Server, stable: Server, rate: str
) -> None:
    prometheus.rate = rate
    traffic.reconcile("production")
    assert rests(canary, stable)
    assert not canary.asked


@pytest.mark.parametrize(
    "trouble", [{"status": 503}, {"body": lambda: "nonsense"}, {"body": lambda: {"data": {"result": []}}}]
)
def test_without_an_answer_of_prometheus_nothing_is_sent(
    traffic: SyntheticTraffic, canary: Server, prometheus: Prometheus, trouble: dict[str, Any]
) -> None:
    vars(prometheus).update(trouble)
    traffic.reconcile("production")
    assert rests(canary)
    assert not canary.asked


def test_nor_with_a_prometheus_that_is_away(traffic: SyntheticTraffic, canary: Server) -> None:
    traffic.prometheus = "http://127.0.0.1:1"
    traffic.reconcile("production")
    assert rests(canary)
    assert not canary.asked


PHASES = {"Successful", "Failed", "Error", "Inconclusive"}


@pytest.mark.parametrize(
    "state",
    [
        None,
        rollout(canary={}),
        rollout(canary=RUNNING, currentPodHash="old"),
        rollout(canary=RUNNING, abort=True),
        rollout(canary={"currentBackgroundAnalysisRunStatus": {"status": "Running"}}),
        *(rollout(canary={"currentStepAnalysisRunStatus": {"status": phase}}) for phase in sorted(PHASES)),
        rollout(canary=RUNNING, currentStepIndex=0),
        rollout(blueGreen={"prePromotionAnalysisRunStatus": {"status": "Successful"}}),
    ],
)
def test_while_no_gate_waits_nothing_is_sent(
    traffic: SyntheticTraffic,
    cluster: FakeCluster,
    prometheus: Prometheus,
    canary: Server,
    state: Object | None,
) -> None:
    cluster.state = state
    traffic.reconcile("production")
    assert rests(canary)
    assert not canary.asked
    assert not prometheus.asked, "nothing is asked while nothing is released"


@pytest.mark.parametrize(
    "status",
    [
        {"canary": {"currentStepAnalysisRunStatus": {"status": ""}}},
        {"canary": {"currentStepAnalysisRunStatus": {"status": "Pending"}}},
        {"blueGreen": {"prePromotionAnalysisRunStatus": {"status": "Running"}}},
        {
            "blueGreen": {
                "prePromotionAnalysisRunStatus": {"status": "Successful"},
                "postPromotionAnalysisRunStatus": {"status": "Running"},
            }
        },
    ],
)
def test_every_kind_of_gate_is_helped(
    traffic: SyntheticTraffic, cluster: FakeCluster, canary: Server, status: dict[str, Any]
) -> None:
    cluster.state = rollout(**status)
    traffic.reconcile("production")
    until(lambda: bool(canary.asked))


@pytest.mark.parametrize("end", [rollout(canary=RUNNING, abort=True), rollout(canary={})])
def test_it_ends_with_the_gate(
    traffic: SyntheticTraffic, cluster: FakeCluster, canary: Server, stable: Server, end: Object
) -> None:
    traffic.reconcile("production")
    until(lambda: bool(canary.asked and stable.asked))
    cluster.state = end
    traffic.reconcile("production")
    assert rests(canary, stable)


def test_it_ends_where_the_cluster_cannot_be_seen(
    traffic: SyntheticTraffic, cluster: FakeCluster, canary: Server, stable: Server
) -> None:
    traffic.reconcile("production")
    until(lambda: bool(canary.asked and stable.asked))
    cluster.away = True
    traffic.reconcile("production")
    assert rests(canary, stable)


def test_users_get_half_a_minute_to_come(
    traffic: SyntheticTraffic, canary: Server, prometheus: Prometheus
) -> None:
    traffic.patience = 60.0
    traffic.reconcile("production")
    assert rests(canary)
    assert not canary.asked
    assert not prometheus.asked

    (release,) = traffic._releases.values()
    release.since -= 60.0
    traffic.reconcile("production")
    until(lambda: bool(canary.asked))


def test_a_newer_release_waits_for_its_own_users(
    traffic: SyntheticTraffic, cluster: FakeCluster, canary: Server
) -> None:
    traffic.reconcile("production")
    until(lambda: bool(canary.asked))
    traffic.patience = 60.0
    cluster.state = rollout(canary=RUNNING, currentPodHash="newer")
    traffic.reconcile("production")
    assert rests(canary)


@pytest.mark.slow
def test_a_slow_version_is_asked_one_request_at_a_time(traffic: SyntheticTraffic, canary: Server) -> None:
    canary.seconds = 0.2
    traffic.reconcile("production")
    until(lambda: len(canary.asked) >= 3)
    traffic.reconcile("production")
    until(lambda: len(canary.asked) >= 6)
    assert canary.most_at_once == 1


def test_what_fails_is_asked_on_for_that_is_what_is_looked_for(
    traffic: SyntheticTraffic, canary: Server
) -> None:
    canary.status = 500
    traffic.reconcile("production")
    until(lambda: count("canary", "500") >= 5)


def test_what_does_not_answer_is_asked_on(
    traffic: SyntheticTraffic, canary: Server, stable: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = {"canary": "http://127.0.0.1:1/", "stable": stable.address}
    traffic.url = lambda _name, _environment, version: addresses[version]
    traffic.reconcile("production")
    until(lambda: count("canary", "none") >= 3)
    until(lambda: count("stable", "200") >= 3)


@pytest.mark.parametrize("status", [204, 301, 400, 404])
def test_a_version_that_knows_no_synthetic_requests_gets_no_more(
    traffic: SyntheticTraffic, canary: Server, stable: Server, logged: list[str], status: int
) -> None:
    """They would count as requests that went well, and the release would pass unjudged."""
    stable.status = status
    traffic.reconcile("production")
    until(lambda: len(canary.asked) >= 5)
    traffic.reconcile("production")
    until(lambda: len(canary.asked) >= 10)
    assert len(stable.asked) == 1
    assert f"production: stable answers a synthetic request with {status}, so it gets no more" in logged


def test_there_is_an_end_to_them(
    traffic: SyntheticTraffic, canary: Server, stable: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic_traffic, "MOST", 4)
    traffic.reconcile("production")
    until(lambda: len(canary.asked) == len(stable.asked) == 4)
    traffic.reconcile("production")
    assert rests(canary, stable)
    assert (len(canary.asked), len(stable.asked)) == (4, 4)


@pytest.mark.slow
def test_five_a_second_are_sent(
    traffic: SyntheticTraffic, canary: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic_traffic, "_PACE_SECONDS", 0.2)
    began = time.monotonic()
    traffic.reconcile("production")
    until(lambda: len(canary.asked) >= 6)
    assert time.monotonic() - began >= 0.9, "five pauses of 0.2 s lie between six requests"


def test_it_runs_until_it_is_stopped(traffic: SyntheticTraffic, canary: Server, stable: Server) -> None:
    stopped = threading.Event()
    with traffic.running(stopped):
        until(lambda: bool(canary.asked and stable.asked))
    assert stopped.is_set()
    assert rests(canary, stable)


@pytest.mark.slow
def test_what_nobody_expected_concerns_one_environment(
    traffic: SyntheticTraffic, cluster: FakeCluster, canary: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """An object that no Rollout looks like: it is logged once, with its traceback, and read again."""
    well, cluster.state = cluster.state, {"status": "nonsense"}
    stopped = threading.Event()
    with traffic.running(stopped):
        until(lambda: any(each.exc_info for each in caplog.records))
        cluster.state = well
        until(lambda: bool(canary.asked))
        assert not stopped.is_set()


@pytest.mark.parametrize(
    ("configured", "expected"), [("http://prometheus:9090/", ["http://prometheus:9090"]), ("", [])]
)
def test_the_guard_sends_where_it_has_a_prometheus(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configured: str, expected: list[str]
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    with KubernetesServer({}) as kubernetes:
        kubeconfig.write_text(kubernetes.kubeconfig())
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    monkeypatch.setenv(PROMETHEUS_VARIABLE, configured)
    monkeypatch.setattr(RollbackLoop, "run", lambda *_: None)
    asked: list[str] = []

    def running(self: SyntheticTraffic, _: threading.Event) -> AbstractContextManager[None]:
        asked.append(self.prometheus)
        return nullcontext()

    monkeypatch.setattr(SyntheticTraffic, "running", running)

    assert main.main(["guard", "--remote", str(remote.path)]) == 0

    assert asked == expected


def test_versions_are_asked_at_their_services() -> None:
    assert at_its_service("sales", "dev", "canary") == "http://sales-canary.crm-dev.svc/probe/"
