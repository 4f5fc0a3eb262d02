from __future__ import annotations

from dataclasses import replace

import pytest

from drills.load.results import Record
from drills.observe import timeline
from drills.observe.timeline import Held
from drills.tests.drills import PUSHED, bad, good, requests, seen


def test_a_good_release_is_told_from_push_to_promotion() -> None:
    found = [(moment.at - PUSHED, moment.kind, moment.text) for moment in good().moments]

    assert found == [
        (0, "push", "push 1.1"),
        (4, "sync", "Argo CD synced"),
        (15, "step", "5 %"),
        (25, "step", "20 %"),
        (35, "step", "50 %"),
        (45, "step", "100 %"),
        (50, "step", "0 %"),
        (50, "promoted", "promoted"),
    ]


def test_a_bad_release_is_told_from_push_to_rollback() -> None:
    found = [(moment.at - PUSHED, moment.text) for moment in bad().moments if moment.kind != "step"]

    assert found == [
        (0, "push 1.1"),
        (27, "error-rate: proven bad"),
        (28, "aborted"),
        (35, "push rollback"),
        (40, "back on stable"),
    ]


def test_an_analysis_that_was_bad_before_the_drill_is_not_told_again() -> None:
    snapshots = bad().snapshots[3:]

    assert not [moment for moment in timeline.moments(snapshots) if moment.kind == "verdict"]


def test_weights_are_those_above_zero_in_order() -> None:
    assert timeline.weights_seen(good().snapshots) == [5, 20, 50, 100]
    assert timeline.weights_seen(good().snapshots, PUSHED + 30) == [20, 50, 100]
    assert timeline.weights_seen(good().snapshots, PUSHED + 55) == []


def test_a_window_lasts_until_the_next_weight_is_seen() -> None:
    windows = timeline.windows([seen(0), seen(10, 5), seen(12, 5), seen(20, 20), seen(30, 20)])

    assert windows == [
        Held(0, PUSHED, PUSHED + 10),
        Held(5, PUSHED + 10, PUSHED + 20),
        Held(20, PUSHED + 20, PUSHED + 30),
    ]


def test_a_moment_without_a_router_is_left_out() -> None:
    without = replace(seen(15, 50), weights=None)

    assert [held.weight for held in timeline.windows([seen(0), without, seen(20, 5)])] == [0, 5]


@pytest.mark.parametrize("every", [20, 10])
def test_the_share_counts_only_requests_inside_the_trimmed_window(every: int) -> None:
    record = requests(0, 40, new_from=10, new_until=30, every=every)

    ((window, count, share),) = timeline.shares(record, [Held(5, PUSHED + 10, PUSHED + 30)], "1.1")

    assert window.weight == 5
    assert count == 18 * 20
    assert share == pytest.approx(100 / every, abs=0.01)


def test_a_window_without_requests_has_the_share_zero() -> None:
    assert timeline.shares(Record([]), [Held(5, 0, 30)], "1.1") == [(Held(5, 0, 30), 0, 0.0)]
