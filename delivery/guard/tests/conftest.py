import signal

import pytest

from delivery.conftest import _own_home, closed_registry, registry, remote
from delivery.guard.tests.cluster import FakeCluster

__all__ = ["_own_home", "closed_registry", "registry", "remote"]


@pytest.fixture(autouse=True)
def _own_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """`guard` handles SIGTERM itself; the tests' process has to end when it is told to."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def logged() -> list[str]:
    return []
