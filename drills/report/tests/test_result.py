from __future__ import annotations

from dataclasses import replace

import pytest

from drills.load.results import Record
from drills.tests.drills import PUSHED, bad, good, requests, seen


def test_a_promoted_release() -> None:
    result = good()

    assert (result.verdict, result.seconds_to_verdict) == ("promoted", 50)
    assert result.weights == [5, 20, 50, 100]
    assert result.seconds_from_first_failure_to_zero is None
    assert result.line() == (
        "A good release: promoted after 50 s, 0 of 1300 requests failed (0.00%), canary's weights 5 → 20 → 50 → 100 %"
    )


def test_a_release_that_was_rolled_back() -> None:
    result = bad()

    assert (result.verdict, result.seconds_to_verdict) == ("rolled back", 28)
    assert result.weights == [5]
    assert result.seconds_from_first_failure_to_zero == pytest.approx(13, abs=0.05)


def test_a_release_that_nobody_decided() -> None:
    result = replace(bad(), snapshots=[seen(-5), seen(10, 5)])

    assert (result.verdict, result.seconds_to_verdict) == ("undecided", None)
    assert result.seconds_from_first_failure_to_zero is None


def test_a_release_that_git_left_before_a_verdict_was_rolled_back() -> None:
    result = replace(bad(), snapshots=[seen(-5), seen(10)], rolled_back_at=PUSHED + 90)

    assert (result.verdict, result.seconds_to_verdict) == ("rolled back", 90)
    assert result.seconds_from_abort_to_rollback is None


def test_what_came_before_is_no_verdict_where_nothing_was_released() -> None:
    result = replace(good(), released=None, pushed_at=None)

    assert (result.verdict, result.seconds_to_verdict) == ("no verdict", None)


def test_an_abort_before_the_push_is_not_the_verdict() -> None:
    result = replace(bad(), pushed_at=PUSHED + 30)

    assert result.verdict == "undecided"


def test_a_drill_that_ended_before_its_release() -> None:
    result = replace(good(), released=None, pushed_at=None, record=Record([]), snapshots=[], actions=[])

    assert "no verdict, 0 of 0 requests failed (0.00%), canary's weights none" in result.line()


def test_a_failure_that_comes_before_the_new_weight_is_sighted_counts_until_the_weight_is_back() -> None:
    """The watcher looks every 0.4 s: its last look at the old weight 0 is not the weight's return."""
    early = requests(9, 60, new_from=9, new_until=20, code=500)
    result = replace(
        bad(), record=early, snapshots=[seen(-5, 0), seen(8.9, 0), seen(9.3, 0), seen(10, 5), seen(23, 0)]
    )

    assert result.seconds_from_first_failure_to_zero == pytest.approx(14, abs=0.1)


def test_a_failure_after_the_weight_went_back_is_not_the_canarys() -> None:
    late = requests(50, 60, new_from=50, new_until=51, code=500)

    assert replace(bad(), record=late).seconds_from_first_failure_to_zero is None
