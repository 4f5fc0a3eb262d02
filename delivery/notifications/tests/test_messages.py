"""A subject text what happened, where, and to which version."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from delivery.gitops.history import (
    AUTOMATIC_ROLLBACK,
    FREEZE,
    PROMOTION,
    RELEASE,
    ROLLBACK,
    UNQUARANTINE,
    Event,
)
from delivery.guard.tests.states import BAD, GOOD
from delivery.kubernetes.analysis import RequestCount
from delivery.notifications.messages import of_event, of_promotion

AT = datetime(2026, 11, 26, tzinfo=UTC)


def event(kind: str, **more: object) -> Event:
    found = Event(
        AT, kind, "production", "Ada", "error-rate: 12 of 31 failed", "c0ffee", release=GOOD, was=BAD
    )
    return replace(found, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("of", "subject", "text"),
    [
        (event(RELEASE), "production: 1.1 is released", "1.2 stays stable until its analyses have passed."),
        (event(RELEASE, was=None), "production: 1.1 is released", "It is the first release there."),
        (event(RELEASE, was=GOOD), "production: 1.1 is released", "The image stays, its settings change."),
        (event(PROMOTION), "production: 1.1 is promoted", "More: delivery history production"),
        (
            event(AUTOMATIC_ROLLBACK, by="delivery guard"),
            "production: 1.2 failed, rolled back to 1.1",
            "By delivery guard.",
        ),
        (event(ROLLBACK), "production: 1.2 is rolled back to 1.1", "error-rate: 12 of 31 failed"),
        (
            event(RELEASE, problem="It is not YAML."),
            "production: the release file cannot be read",
            "not YAML.",
        ),
        (event(FREEZE, release=None), "production: freeze of releases", "By Ada."),
        (
            event(UNQUARANTINE, environment=None, release=None),
            "all environments: an image is no longer quarantined",
            "By Ada.",
        ),
    ],
)
def test_what_happened(of: Event, subject: str, text: str) -> None:
    message = of_event(of)

    assert message.subject == subject
    assert text in message.text


def test_a_promotion_has_its_request_counts() -> None:
    counts = {"error-rate": RequestCount(4123, 3), "latency": RequestCount(4123, 0)}
    message = of_promotion("production", "1.6", timedelta(seconds=84), counts)

    assert message.subject == "production: 1.6 is fully promoted"
    assert message.text == (
        "It took 84 s from commit to full promotion.\nOf its 4123 requests as a canary 3 failed and 0 were too slow."
    )


def test_a_promotion_without_request_counts_has_none() -> None:
    assert of_promotion("dev", "1.6", timedelta(minutes=3, seconds=5), {}).text == (
        "It took 3 min 5 s from commit to full promotion."
    )
