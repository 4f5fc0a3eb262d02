"""Every channel gets everything once, also one that could not be reached for a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from delivery.errors import Refused
from delivery.gitops.history import RELEASE, Event
from delivery.guard.notifier import Notifier, Promoted
from delivery.guard.tests.states import GOOD
from delivery.kubernetes.analysis import RequestCount
from delivery.notifications.messages import Message

START = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def released(seconds: float, commit: str) -> Event:
    return Event(at(seconds), RELEASE, "production", "Ada", "", commit, release=GOOD)


def promoted(seconds: float, commit: str) -> Promoted:
    return Promoted("production", GOOD, commit, "hash", at(seconds - 60), at(seconds))


class Channel:
    def __init__(self) -> None:
        self.away = False
        self.heard: list[str] = []

    def __call__(self, message: Message) -> None:
        if self.away:
            raise Refused("nobody is there.")
        self.heard.append(message.subject)


def test_news_are_sent_once_and_in_their_order() -> None:
    channel = Channel()
    notifier = Notifier({"Slack": channel}, START)

    assert notifier.notify([released(10, "a")], [promoted(70, "a")]) == ""
    assert notifier.notify([released(80, "b"), released(10, "a")], [promoted(70, "a")]) == ""
    assert channel.heard == [
        "production: 1.1 is released",
        "production: 1.1 is fully promoted",
        "production: 1.1 is released",
    ]


def test_a_channel_that_was_away_gets_it_later_and_the_others_at_once() -> None:
    away, there = Channel(), Channel()
    notifier = Notifier({"Slack": away, "e-mail": there}, START)
    away.away = True

    assert notifier.notify([released(10, "a")], []) == "nobody is there."
    assert notifier.notify([released(20, "b"), released(10, "a")], []) == "nobody is there."
    away.away = False
    assert notifier.notify([released(20, "b"), released(10, "a")], []) == ""
    assert len(away.heard) == len(there.heard) == 2


def test_after_a_start_only_what_is_young_is_sent() -> None:
    channel = Channel()
    notifier = Notifier({"Slack": channel}, START)

    notifier.notify([released(-60, "b"), released(-300, "a")], [promoted(-300, "a")])
    assert channel.heard == ["production: 1.1 is released"]


def test_request_counts_are_those_of_the_version_that_was_promoted() -> None:
    asked: list[tuple[str, str]] = []

    def counts(namespace: str, pod_hash: str) -> dict[str, RequestCount]:
        asked.append((namespace, pod_hash))
        return {}

    Notifier({"Slack": Channel()}, START, counts).notify([], [promoted(70, "a")])
    assert asked == [("crm-production", "hash")]
    Notifier({}, START, counts).notify([], [promoted(70, "a")])
    assert len(asked) == 1, "without a channel nothing is asked"
