"""The guard says over HTTP whether it lives and can act, and its figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from delivery import git
from delivery.guard import server
from delivery.guard.tests.test_watch import MadeUp
from delivery.guard.watch import Guard
from delivery.tests.hosts import Remote


@pytest.fixture
def guard(remote: Remote) -> Iterator[Guard]:
    with git.opened(str(remote.path), Path.cwd()) as repository:
        yield Guard(MadeUp(), repository, ["dev", "production"], tell=lambda _: None)


@pytest.fixture
def url(guard: Guard) -> Iterator[str]:
    with server.serving(0, guard) as port:
        yield f"http://127.0.0.1:{port}"


def test_it_lives_from_the_start_and_is_ready_after_a_look(url: str, guard: Guard) -> None:
    assert httpx.get(f"{url}/healthz").status_code == 200
    assert (httpx.get(f"{url}/readyz").status_code, httpx.get(f"{url}/readyz").text) == (
        503,
        "has not looked yet\n",
    )

    guard.look("dev")
    guard.look("production")

    assert httpx.get(f"{url}/readyz").status_code == 200


def test_it_is_not_ready_while_something_is_in_the_way(url: str, guard: Guard) -> None:
    assert isinstance(guard.cluster, MadeUp)
    guard.cluster.away = True

    guard.look("production")

    refused = httpx.get(f"{url}/readyz")
    assert refused.status_code == 503
    assert refused.text == "production: cannot go on: The cluster cannot be reached: refused\n"
    assert httpx.get(f"{url}/healthz").status_code == 200, "a restart would not bring the cluster back"
    guard.cluster.away = False
    guard.look("production")
    assert httpx.get(f"{url}/readyz").status_code == 200


def test_a_loop_that_stands_still_is_dead(url: str, guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Guard, "seconds_since_look", property(lambda _: 121.0))

    assert httpx.get(f"{url}/healthz").status_code == 503


def test_figures_are_prometheus_own_format(url: str, guard: Guard) -> None:
    guard.look("dev")

    scraped = httpx.get(f"{url}/metrics")

    assert scraped.headers["Content-Type"].startswith("text/plain; version=")
    assert 'delivery_guard_looks_total{environment="dev",result="done"}' in scraped.text
    assert 'delivery_guard_last_look_timestamp_seconds{environment="dev"}' in scraped.text


def test_anything_else_is_not_there(url: str) -> None:
    assert httpx.get(f"{url}/").status_code == 404
