import time

import pytest

from cluster import paths, waiting
from cluster.errors import ClusterError


def test_returns_at_once_when_it_is_so_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: pytest.fail("slept"))
    waiting.until(lambda: True, what="x", seconds=0)


def test_asks_again_until_it_is_so() -> None:
    answers = iter([False, False, True])
    waiting.until(lambda: next(answers), what="x", seconds=5, every=0.001)
    assert next(answers, "all asked") == "all asked"


def test_says_what_did_not_happen_and_where_the_logs_are() -> None:
    with pytest.raises(ClusterError) as told:
        waiting.until(lambda: False, what="an answer of etcd", seconds=0.01, every=0.001)
    assert str(told.value) == f"an answer of etcd did not happen within 0 s; logs are in {paths.LOGS}."
