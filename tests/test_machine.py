"""What e2e writes down of a machine before the cluster comes to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e import machine


def test_a_machine_that_has_no_iptables_yet_has_no_rules(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert machine._rules() == []
