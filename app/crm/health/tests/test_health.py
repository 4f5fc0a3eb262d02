"""In one process; that real outages are seen is shown in config/tests/test_web_process.py."""

from pathlib import Path

import pytest
from django.core.cache import cache
from django.test import Client

from crm.health import heartbeat


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(heartbeat, "WORKER_ALIVE", tmp_path / "worker-alive")
    monkeypatch.setattr(heartbeat, "WORKER_READY", tmp_path / "worker-ready")
    return tmp_path


def test_live_asks_nobody(client: Client) -> None:
    answer = client.get("/health/live/")  # without the database fixture: a query would fail
    assert answer.json() == {"status": "ok", "version": "1.2.3", "checks": {}}
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.django_db(transaction=True)
def test_deep_health_needs_a_worker(client: Client, files: Path) -> None:
    without = client.get("/health/")
    assert without.status_code == 503
    assert without.json()["status"] == "unhealthy"
    assert without.json()["checks"] == {"database": "ok", "redis": "ok", "celery": "unavailable"}
    heartbeat.alive()
    assert client.get("/health/").status_code == 200
    assert client.get("/health/ready/").json()["checks"] == {"database": "ok"}


def test_the_workers_files_tell_its_state(files: Path) -> None:
    heartbeat.starting()
    assert [file.name for file in files.iterdir()] == ["worker-alive"]
    assert cache.get(heartbeat.WORKER_KEY) is None
    heartbeat.ready()
    assert {file.name for file in files.iterdir()} == {"worker-alive", "worker-ready"}
    assert cache.get(heartbeat.WORKER_KEY)
    heartbeat.stopping()
    assert [file.name for file in files.iterdir()] == ["worker-alive"]
