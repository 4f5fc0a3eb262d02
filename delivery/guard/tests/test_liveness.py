"""What runs in a thread of its own ends with the guard, and the guard with it."""

from __future__ import annotations

import threading

import pytest

from delivery.guard.liveness import Liveness, repeating


def fail() -> None:
    raise ValueError


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_by_an_error_stops_the_guard() -> None:
    stopped = threading.Event()
    with repeating("part", fail, 60, stopped):
        assert stopped.wait(5)


def test_a_part_is_late_after_its_time_and_not_while_it_rests() -> None:
    liveness = Liveness()
    liveness.expect("loop", -1)
    liveness.expect("other", 60)
    assert liveness.late() == "not heard of in time: loop"
    liveness.rest("loop")
    assert liveness.late() == ""
