"""The guard answers over HTTP whether it lives and can act, and its metrics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from delivery.gitops import git
from delivery.guard import server
from delivery.guard.health import Health
from delivery.guard.image_policy import ImagePolicy
from delivery.guard.log import Log
from delivery.guard.rollback_loop import RollbackLoop
from delivery.guard.tests.cluster import FakeCluster
from delivery.tests.hosts import Remote


@pytest.fixture
def guard(remote: Remote) -> Iterator[RollbackLoop]:
    with git.opened(str(remote.path), Path.cwd()) as repository:
        yield RollbackLoop(FakeCluster(), repository, ["dev", "production"], log=Log(lambda _: None))


@pytest.fixture
def url(guard: RollbackLoop) -> Iterator[str]:
    with server.serving(0, lambda path: server.answer(path, guard)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def security(remote: Remote) -> Iterator[ImagePolicy]:
    with git.opened(str(remote.path), Path.cwd()) as repository:
        yield ImagePolicy(repository)


@pytest.fixture
def verdicts(security: ImagePolicy) -> Iterator[str]:
    with server.serving(0, lambda path: server.verdict(path, security, Health())) as port:
        yield f"http://127.0.0.1:{port}"


def test_it_lives_from_the_start_and_is_ready_after_a_reconciliation(url: str, guard: RollbackLoop) -> None:
    assert httpx.get(f"{url}/healthz").status_code == 200
    assert (httpx.get(f"{url}/readyz").status_code, httpx.get(f"{url}/readyz").text) == (
        503,
        "has reconciled no environment yet\n",
    )

    guard.reconcile("dev")
    guard.reconcile("production")

    assert httpx.get(f"{url}/readyz").status_code == 200


def test_an_error_in_one_environment_is_reported_and_sends_nobody_away(url: str, guard: RollbackLoop) -> None:
    """And a guard that is not ready could not be upgraded."""
    assert isinstance(guard.cluster, FakeCluster)
    guard.cluster.away = True
    guard.reconcile("dev")
    asked = httpx.get(f"{url}/readyz")
    assert (asked.status_code, asked.text) == (
        200,
        "ok\ndev: error: The cluster cannot be reached: refused\n",
    )
    assert httpx.get(f"{url}/healthz").status_code == 200, "a restart would not bring the cluster back"
    assert (
        'delivery_guard_reconciliations_total{environment="dev",result="failed"}'
        in httpx.get(f"{url}/metrics").text
    )

    guard.cluster.away = False
    guard.reconcile("dev")
    assert httpx.get(f"{url}/readyz").text == "ok\n"


@pytest.mark.parametrize("part", ["rollback loop", "maintenance loop", "synthetic traffic"])
def test_a_part_that_stands_still_is_dead(url: str, guard: RollbackLoop, part: str) -> None:
    guard.reconcile("dev")
    guard.liveness.expect(part, -1)

    asked = httpx.get(f"{url}/healthz")

    assert (asked.status_code, asked.text) == (503, f"not heard of in time: {part}\n")
    assert httpx.get(f"{url}/readyz").status_code == 200
    guard.liveness.expect(part, 60)
    assert httpx.get(f"{url}/healthz").status_code == 200


def test_metrics_are_in_prometheus_own_format(url: str, guard: RollbackLoop) -> None:
    guard.reconcile("dev")

    scraped = httpx.get(f"{url}/metrics")

    assert scraped.headers["Content-Type"].startswith("text/plain; version=")
    assert 'delivery_guard_reconciliations_total{environment="dev",result="done"}' in scraped.text
    assert 'delivery_guard_last_look_timestamp_seconds{environment="dev"}' in scraped.text


def test_anything_else_is_not_there(url: str) -> None:
    assert httpx.get(f"{url}/").status_code == 404


# --- verdicts --------------------------------------------------------------------------------------------------

IMAGE = f"registry.example.com/crm@sha256:{'a' * 64}"


def test_a_verdict_is_json_that_argo_rollouts_can_read(verdicts: str, remote: Remote) -> None:
    remote.commit("environments", {"README.md": ""})
    asked = httpx.get(f"{verdicts}/verdicts/security?image={IMAGE}")
    assert (asked.status_code, asked.headers["Content-Type"]) == (200, "application/json")
    assert asked.json() == {
        "verdict": "unknown",
        "says": "no release file in Git names the repository registry.example.com/crm",
    }


@pytest.mark.parametrize(
    "query", ["", "?image=", "?image=crm", f"?other={IMAGE}", "?image=http://localhost/"]
)
def test_a_question_about_no_image_is_an_error_for_argo_rollouts(verdicts: str, query: str) -> None:
    """And no success, which any other text than JSON would be with the status 200."""
    asked = httpx.get(f"{verdicts}/verdicts/security{query}")
    assert asked.status_code == 400
    assert json.loads(asked.text)["verdict"] == "unknown"


def test_a_question_that_stands_still_is_dead(verdicts: str, security: ImagePolicy) -> None:
    assert httpx.get(f"{verdicts}/readyz").status_code == 200
    security.liveness.expect("security", -1)
    for path in ("healthz", "readyz"):
        asked = httpx.get(f"{verdicts}/{path}")
        assert (asked.status_code, asked.text) == (503, "not heard of in time: security\n")


def test_each_answers_its_own_questions_alone(url: str, verdicts: str) -> None:
    assert httpx.get(f"{url}/verdicts/security?image={IMAGE}").status_code == 404
    assert httpx.get(f"{verdicts}/metrics").status_code == 404
