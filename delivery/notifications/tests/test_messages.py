"""A line for those who glance: what, where, which version."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from delivery.gitops.history import FREEZE, HEAL, PARDON, PROMOTION, RELEASE, ROLLBACK, Event
from delivery.guard.tests.sights import BAD, GOOD
from delivery.kubernetes.analysis import Count
from delivery.notifications.messages import of_event, of_promotion

AT = datetime(2026, 11, 26, tzinfo=UTC)


def event(kind: str, **more: object) -> Event:
    found = Event(
        AT, kind, "production", "Ada", "error-rate: 12 of 31 failed", "c0ffee", release=GOOD, was=BAD
    )
    return replace(found, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("of", "subject", "says"),
    [
        (event(RELEASE), "production: 1.1 is released", "Everybody has 1.2 until it has proven itself."),
        (event(RELEASE, was=None), "production: 1.1 is released", "It is the first release there."),
        (event(RELEASE, was=GOOD), "production: 1.1 is released", "The image stays, its settings change."),
        (event(PROMOTION), "production: 1.1 is promoted", "More: delivery history production"),
        (event(HEAL, by="delivery guard"), "production: 1.2 failed, back to 1.1", "By delivery guard."),
        (event(ROLLBACK), "production: 1.2 is taken back, to 1.1", "error-rate: 12 of 31 failed"),
        (
            event(RELEASE, problem="It is not YAML."),
            "production: the release file cannot be read",
            "not YAML.",
        ),
        (event(FREEZE, release=None), "production: freeze of releases", "By Ada."),
        (event(PARDON, environment=None, release=None), "all environments: an image is pardoned", "By Ada."),
    ],
)
def test_what_happened(of: Event, subject: str, says: str) -> None:
    said = of_event(of)

    assert said.subject == subject
    assert says in said.text


def test_a_promotion_has_its_figures() -> None:
    counts = {"error-rate": Count(4123, 3), "latency": Count(4123, 0)}
    said = of_promotion("production", "1.6", timedelta(seconds=84), counts)

    assert said.subject == "production: 1.6 has reached everybody"
    assert said.text == (
        "It took 84 s from Git to everybody.\nOf its 4123 requests on the way 3 failed and 0 were too slow."
    )


def test_a_promotion_without_figures_says_none() -> None:
    assert of_promotion("dev", "1.6", timedelta(minutes=3, seconds=5), {}).text == (
        "It took 3 min 5 s from Git to everybody."
    )
