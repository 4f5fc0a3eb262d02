"""What drills have measured comes onto the pages, and nothing else of a page is touched."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from monitoring import generated, measured
from monitoring.alerts import alerts
from monitoring.measured import Measured

SEEN = Measured(
    fault="Redis hangs",
    day="2026-11-26",
    hurry=60,
    promised=151,
    fired=71.2,
    told=72.4,
    ended_by="kubectl rollout restart statefulset redis -n crm-production",
    over=12,
)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(generated.RUNBOOKS, tmp_path / "runbooks")
    monkeypatch.setattr(generated, "RUNBOOKS", tmp_path / "runbooks")
    monkeypatch.setattr(generated, "PAGE", tmp_path / "monitoring.md")
    monkeypatch.setattr(measured, "FILE", tmp_path / "measured.yaml")
    generated.write()
    return tmp_path / "runbooks/CRMDown.md"


def test_it_ends_the_alerts_page_and_is_replaced(page: Path) -> None:
    before = page.read_text()
    assert generated.MEASURED not in before

    measured.add({"CRMDown": SEEN})
    generated.write()
    first = page.read_text()
    assert first.startswith(before)
    assert "Fired after 71 s" in first
    assert "told after 72 s" in first
    assert "Over 12 s after `kubectl rollout restart" in first

    measured.add({"CRMDown": Measured(**{**SEEN.__dict__, "fired": 80.0})})
    generated.write()
    assert page.read_text() == first.replace("Fired after 71 s", "Fired after 80 s")


def test_the_table_has_it_and_says_where_nobody_was_told(page: Path) -> None:
    measured.add({"CRMDown": SEEN, "RedisDown": Measured(**{**SEEN.__dict__, "told": None})})
    generated.write()

    table = (page.parents[1] / "monitoring.md").read_text()
    command = "`kubectl rollout restart statefulset redis -n crm-production`"
    assert f"| CRMDown | Redis hangs | 151 s | 71 s | 72 s | {command} | 12 s |" in table
    assert f"| RedisDown | Redis hangs | 151 s | 71 s | — | {command} | 12 s |" in table


def test_what_is_known_of_other_alerts_stays(page: Path) -> None:
    assert page.exists()
    measured.add({"CRMDown": SEEN})
    measured.add({"RedisDown": SEEN})
    assert measured.read() == {"CRMDown": SEEN, "RedisDown": SEEN}


def test_every_alert_has_a_promise_that_hurry_shortens() -> None:
    known = alerts(path.read_text() for path in generated.RULES.glob("*.yaml"))
    assert len({each.name for each in known}) == len(known)
    for each in known:
        assert each.seen_after + 30 <= each.promised(time_scale=60) <= each.promised()
    promised = {each.name: each.promised() for each in known}
    assert promised["CRMDown"] == 120 + 60 + 30
    # 14.4 times 0.1 % of an hour are 52 s of bad requests, which a rate over 5 minutes has counted after 176 s.
    assert promised["AvailabilityBudgetBurn 1h"] == pytest.approx(176 + 120 + 30, abs=1)


def test_every_alert_was_measured_and_in_time() -> None:
    """A new alert comes with its drill: `make drills SCENARIO=…` writes what it measured."""
    found = measured.read()
    known = {each.name: each for each in alerts(path.read_text() for path in generated.RULES.glob("*.yaml"))}
    assert set(found) == set(known)
    for name, times in found.items():
        assert times.promised == pytest.approx(known[name].promised(time_scale=times.hurry), abs=0.1)
        assert times.fired <= (times.told or times.fired) <= times.promised, name
