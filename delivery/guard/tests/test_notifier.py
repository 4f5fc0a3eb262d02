"""Everybody is told everything once, also who could not be told for a while."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from delivery.errors import Refused
from delivery.gitops.history import RELEASE, Event
from delivery.guard.notifier import Announcer, Promoted
from delivery.guard.tests.sights import GOOD
from delivery.kubernetes.analysis import Count
from delivery.notifications.messages import Message

START = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def released(seconds: float, commit: str) -> Event:
    return Event(at(seconds), RELEASE, "production", "Ada", "", commit, release=GOOD)


def promoted(seconds: float, commit: str) -> Promoted:
    return Promoted("production", "1.1", commit, "c0de", "hash", at(seconds - 60), at(seconds))


class Person:
    def __init__(self) -> None:
        self.away = False
        self.heard: list[str] = []

    def __call__(self, said: Message) -> None:
        if self.away:
            raise Refused("nobody is there.")
        self.heard.append(said.subject)


def test_news_are_told_once_and_in_their_order() -> None:
    person = Person()
    announcer = Announcer({"Slack": person}, START)

    assert announcer.announce([released(10, "a")], [promoted(70, "a")]) == ""
    assert announcer.announce([released(80, "b"), released(10, "a")], [promoted(70, "a")]) == ""
    assert person.heard == [
        "production: 1.1 is released",
        "production: 1.1 is fully promoted",
        "production: 1.1 is released",
    ]


def test_who_was_away_is_told_later_and_the_others_at_once() -> None:
    away, there = Person(), Person()
    announcer = Announcer({"Slack": away, "e-mail": there}, START)
    away.away = True

    assert announcer.announce([released(10, "a")], []) == "nobody is there."
    assert announcer.announce([released(20, "b"), released(10, "a")], []) == "nobody is there."
    away.away = False
    assert announcer.announce([released(20, "b"), released(10, "a")], []) == ""
    assert len(away.heard) == len(there.heard) == 2


def test_after_a_start_only_what_is_young_is_told() -> None:
    person = Person()
    announcer = Announcer({"Slack": person}, START)

    announcer.announce([released(-60, "b"), released(-300, "a")], [promoted(-300, "a")])
    assert person.heard == ["production: 1.1 is released"]


def test_figures_are_asked_for_the_version_that_was_promoted() -> None:
    asked: list[tuple[str, str]] = []

    def counts(namespace: str, pod_hash: str) -> dict[str, Count]:
        asked.append((namespace, pod_hash))
        return {}

    Announcer({"Slack": Person()}, START, counts).announce([], [promoted(70, "a")])
    assert asked == [("crm-production", "hash")]
    Announcer({}, START, counts).announce([], [promoted(70, "a")])
    assert len(asked) == 1, "with nobody to tell nothing is asked"
