from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from drills.load.results import Record
from drills.observe.timeline import Moment
from drills.report import charts, html
from drills.report.result import ScenarioResult
from drills.tests.drills import PUSHED, bad, good

PNG = b"\x89PNG"


def nothing() -> ScenarioResult:
    return replace(
        good(),
        released=None,
        pushed_at=None,
        record=Record([]),
        snapshots=[],
        actions=[],
        problem="No <load>.",
    )


@pytest.mark.parametrize("result", [good(), bad(), nothing()], ids=["good", "bad", "nothing"])
def test_a_drill_has_a_chart_facts_and_a_page_of_its_own(result: ScenarioResult, tmp_path: Path) -> None:
    page = html.write_drill(result, tmp_path)

    text = page.read_text(encoding="utf-8")
    assert (tmp_path / "chart.png").read_bytes().startswith(PNG)
    assert json.loads((tmp_path / "facts.json").read_text(encoding="utf-8"))["verdict"] == result.verdict
    assert result.title in text
    assert "data:image/png;base64," in text
    assert "http" not in text.replace(result.title, "")  # nothing is fetched from anywhere


def test_the_summary_has_every_drill(tmp_path: Path) -> None:
    results = [good(), bad(), replace(nothing(), name="nothing")]
    for result in results:
        html.write_drill(result, tmp_path / result.name)

    text = html.write_summary(results, tmp_path).read_text(encoding="utf-8")

    assert (tmp_path / "summary.png").read_bytes().startswith(PNG)
    assert text.count("<h2") == 3
    assert "5 → 20 → 50 → 100 %" in text
    assert "No &lt;load&gt;." in text


def test_facts_are_the_numbers_of_the_drill() -> None:
    facts = html.facts(bad())

    assert facts["failed"] == 13
    assert facts["failed_percent"] == 1.0
    assert facts["answers"] == {"1.0": 1287, "1.1": 13}
    assert facts["failures"] == {"GET 500 500 Internal Server Error (version 1.1)": 13}
    assert facts["latency_max"] == 0.026


def moments(*times: float, text: str = "ten letter") -> list[Moment]:
    return [Moment(PUSHED + at, "action", f"{text} {number}") for number, at in enumerate(times)]


def test_labels_that_fit_side_by_side_share_a_row() -> None:
    assert [label.row for label in charts.labels(moments(0, 60), PUSHED, 8.0)] == [0, 0]


def test_labels_that_would_touch_get_rows_of_their_own() -> None:
    assert [label.row for label in charts.labels(moments(0, 1, 2, 3), PUSHED, 8.0)] == [0, 1, 2, 3]


def test_a_fifth_label_goes_where_it_touches_least() -> None:
    assert [label.row for label in charts.labels(moments(0, 1, 2, 3, 4), PUSHED, 8.0)][-1] == 0


def test_what_happened_twice_at_the_same_moment_is_said_once() -> None:
    twice = [
        Moment(PUSHED, "verdict", "latency: proven bad"),
        Moment(PUSHED + 0.4, "verdict", "latency: proven bad"),
    ]

    assert len(charts.labels(twice, PUSHED, 8.0)) == 1


def test_steps_need_no_label() -> None:
    assert charts.labels([Moment(PUSHED, "step", "5 %")], PUSHED, 8.0) == []


def test_every_kind_of_moment_has_a_mark() -> None:
    kinds = {moment.kind for result in (good(), bad()) for moment in result.moments}

    assert kinds <= set(charts.MARKS)


@pytest.mark.parametrize(
    ("value", "text"), [(0.003, "3 ms"), (0.03, "30 ms"), (0.3, "0.3 s"), (30.0, "30 s")]
)
def test_durations_are_for_people(value: float, text: str) -> None:
    assert charts.duration(value) == text


def test_a_picture_ends_with_the_load_or_the_last_thing_that_happened() -> None:
    zero, end = charts.span(bad())

    assert zero == PUSHED
    assert 60 < end - zero < 63


def test_a_drill_that_leaves_no_room_for_its_axes_is_drawn_all_the_same(tmp_path: Path) -> None:
    wordy = [Moment(PUSHED + 1, "push", "an action with a name as long as a line of a log " * 20)]

    file = charts.draw(replace(good(), actions=wordy), tmp_path / "chart.png")

    assert file.read_bytes().startswith(PNG)
