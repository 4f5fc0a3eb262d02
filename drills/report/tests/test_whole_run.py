"""What a whole run has left in the report goes to docs/results/, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from drills.fixtures import images, local_cluster
from drills.report import charts, markdown, whole_run
from drills.report.result import AlertResult
from drills.tests.drills import good

ALERT = AlertResult("Redis hangs", 92, 6.1, 7.2, "kubectl get pods -o yaml | kubectl apply -f -", 12)


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "build" / "report"
    folder.mkdir(parents=True)
    (folder / "summary.png").write_bytes(b"a chart")
    monkeypatch.setattr(local_cluster, "CHECKOUT", tmp_path)
    monkeypatch.setattr(local_cluster, "REPORT", folder)
    monkeypatch.setattr(images, "head", lambda: "c0ffee" * 7)
    return folder


def test_page_and_chart_of_each_whole_run_become_results(report: Path) -> None:
    whole_run.write("proof", "# The proof\n")
    (report / "alerts.png").write_bytes(b"its own chart")
    whole_run.write("alerts", "# The alerts\n")

    assert whole_run.main() == 0

    found = {file.name: file.read_bytes() for file in (local_cluster.CHECKOUT / "docs" / "results").iterdir()}
    assert found == {
        "proof.md": b"# The proof\n",
        "proof.png": b"a chart",
        "alerts.md": b"# The alerts\n",
        "alerts.png": b"its own chart",
    }


def test_a_run_that_did_not_come_to_its_end_is_refused(
    report: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole_run.write("proof", "# The proof\n")
    whole_run.discard("proof")  # as the next run does when it begins

    assert whole_run.main() == 1

    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(f"results: {report} is not of a whole run: let one of `make drills`")
    assert not (local_cluster.CHECKOUT / "docs").exists()


@pytest.mark.usefixtures("report")
def test_the_alerts_page_says_what_was_measured_and_what_was_not() -> None:
    held_back = replace(ALERT, notified=None, ended_by="Redis goes on")
    played = replace(good(), name="redis-hangs", alerts={"RedisDown": ALERT, "QueueTooLong": held_back})

    page = markdown.alerts([played], 600, ["CRMDown", "QueueTooLong", "RedisDown"], 60)

    assert "Written by `make drills-alerts` on" in page
    assert "Waiting times are divided by 60," in page
    command = "`kubectl get pods -o yaml \\| kubectl apply -f -`"
    assert f"| RedisDown | Redis hangs | 92 s | 6 s | 7 s | {command} | 12 s |" in page
    assert "| QueueTooLong | Redis hangs | 92 s | 6 s | - | Redis goes on | 12 s |" in page
    assert "Not measured: CRMDown." in page


def test_the_alerts_have_a_chart(tmp_path: Path) -> None:
    file = charts.draw_alerts([replace(good(), alerts={"RedisDown": ALERT})], tmp_path / "alerts.png")
    assert file.read_bytes().startswith(b"\x89PNG")
