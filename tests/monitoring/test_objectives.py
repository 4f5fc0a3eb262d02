"""The numbers stand in one place, and whoever names one too says the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crm.metrics.middleware import LATENCY_EDGES
from delivery.kubernetes.limits import VERDICT
from monitoring import generated
from monitoring.alerts import alerts
from monitoring.objectives import BURNS, LEVELS, seconds
from tests.chart.rendering import ROOT

# Judged by evidence; the others have thresholds of their own, each explained in its file.
BY_EVIDENCE = ("business", "conversion", "error-rate", "latency", "worker-failures")


def test_generated_files_are_up_to_date() -> None:
    outdated = [str(path.relative_to(ROOT)) for path in generated.stale()]
    assert not outdated, f"{outdated}: run `{generated.COMMAND}`, and never change them by hand"


def test_a_stale_file_is_found_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generated, "RULES", tmp_path / "rules")
    monkeypatch.setattr(generated, "PAGE", tmp_path / "monitoring.md")
    monkeypatch.setattr(generated, "DASHBOARDS", tmp_path / "dashboards")
    pages = {path for path in generated.files() if path.parent == generated.RUNBOOKS}
    assert set(generated.stale()) == set(generated.files()) - pages
    assert generated.write() != []
    assert generated.write() == []
    file = tmp_path / "rules/users.yaml"
    file.write_text(file.read_text().replace("14.4", "15"))
    assert generated.stale() == [file]


def test_no_rules_are_shipped_that_nobody_generates() -> None:
    assert set(generated.RULES.glob("*")) == {
        path for path in generated.files() if path.parent == generated.RULES
    }


@pytest.mark.parametrize("name", BY_EVIDENCE)
def test_analyses_ask_for_the_same_proof(name: str) -> None:
    text = (ROOT / f"analysis-templates/{name}.yaml").read_text()
    assert set(re.findall(r"[<>]=? -?(\d+\.\d+)", text)) == {str(VERDICT.proof)}


def test_saturation_asks_for_the_same_share() -> None:
    text = (ROOT / "analysis-templates/saturation.yaml").read_text()
    assert set(re.findall(r">= (0\.\d+)", text)) == {str(VERDICT.saturation)}


def test_the_slow_edge_is_one_of_the_applications_histogram() -> None:
    assert VERDICT.slow in LATENCY_EDGES


def test_burn_rates_spend_what_the_workbook_says() -> None:
    assert [round(burn.spent, 3) for burn in BURNS] == [0.02, 0.05, 0.1, 0.1]
    for burn in BURNS:
        assert 0 < seconds(burn.wait) < seconds(burn.short) < seconds(burn.long)


def test_levels_come_one_after_the_other() -> None:
    waits = [seconds(level) for level in LEVELS]
    assert waits == sorted(set(waits))
    assert waits[0] == 0


@pytest.mark.parametrize(("duration", "expected"), [("30s", 30), ("5m", 300), ("6h", 21600), ("3d", 259200)])
def test_durations(duration: str, expected: int) -> None:
    assert seconds(duration) == expected
    with pytest.raises((KeyError, ValueError)):
        seconds(f"{duration}x")


def test_every_alert_has_a_promise_that_the_time_scale_shortens() -> None:
    known = alerts(path.read_text() for path in generated.RULES.glob("*.yaml"))
    assert len({each.name for each in known}) == len(known)
    for each in known:
        assert each.seen_after + 30 <= each.promised(time_scale=60) <= each.promised()
    promised = {each.name: each.promised() for each in known}
    assert promised["CRMDown"] == 120 + 60 + 30
    # 14.4 times 0.1 % of an hour are 52 s of bad requests, which a rate over 5 minutes has counted after 176 s.
    assert promised["AvailabilityBudgetBurn 1h"] == pytest.approx(176 + 120 + 30, abs=1)
