"""The matrix' PostgreSQL is the one that the tests run on, or they do not run."""

from __future__ import annotations

import pytest

from testing import servers


def test_a_version_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTGRESQL", "99")
    with pytest.raises(RuntimeError, match=r"^initdb of PostgreSQL 99 is not installed; "):
        servers._program("initdb")


def test_without_a_choice_it_is_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSTGRESQL", raising=False)
    assert servers._program("initdb").endswith("/initdb")
