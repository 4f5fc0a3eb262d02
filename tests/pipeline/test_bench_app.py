"""When `make bench-app` refuses; what it measures is no test's business."""

from __future__ import annotations

import pytest

from pipeline.bench_app import Load, Measured, judge, table
from pipeline.errors import Refuses


def measured(deals: float, contacts: float) -> Measured:
    few = Load(p95=0.2, rate=100)
    return {"deals": (few, Load(p95=deals, rate=90)), "contacts": (few, Load(p95=contacts, rate=90))}


def test_a_list_that_takes_too_long_with_many_rows_is_refused() -> None:
    judge(measured(0.26, 0.1))
    with pytest.raises(Refuses, match=r"more than 1\.3 times that with few: deals \(1\.35\)\.$"):
        judge(measured(0.27, 0.26))


def test_people_are_shown_both_and_their_ratio() -> None:
    line = table(measured(0.25, 0.2), 1_000_000).splitlines()[1]
    assert line.split() == ["deals", "200", "ms", "250", "ms", "1.25", "100", "and", "90"]
