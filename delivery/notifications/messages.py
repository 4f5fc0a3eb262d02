"""The notifications about deliveries: a subject for those who glance, and a text for those who have to act."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from delivery.gitops.history import AUTOMATIC_ROLLBACK, PROMOTION, RELEASE, ROLLBACK, UNQUARANTINE, Event
from delivery.kubernetes.analysis import RequestCount

_DONE = {RELEASE: "is released", PROMOTION: "is promoted"}
_IN_MINUTES = 120  # seconds
_BAD = {"error-rate": "failed", "latency": "were too slow"}


@dataclass(frozen=True)
class Message:
    """A notification; its subject has one line."""

    subject: str
    text: str


def of_event(event: Event) -> Message:
    """Of what a commit on the branch `environments` did."""
    where = event.environment or "all environments"
    facts = [_from(event), f"By {event.by}.", event.why, event.problem or ""]
    if event.environment:
        facts.append(f"More: delivery history {event.environment}")
    return Message(f"{where}: {_what(event)}", "\n".join(filter(None, facts)))


def of_promotion(environment: str, version: str, took: timedelta, counts: dict[str, RequestCount]) -> Message:
    """Of a release that was fully promoted so long after its commit; `counts` of its requests by analysis."""
    requests = max((each.requests for each in counts.values()), default=0)
    bad = [f"{counts[question].bad} {word}" for question, word in _BAD.items() if question in counts]
    facts = [f"It took {_minutes(took)} from commit to full promotion."]
    if requests:
        facts.append(f"Of its {requests} requests as a canary {' and '.join(bad)}.")
    return Message(f"{environment}: {version} is fully promoted", "\n".join(facts))


def _what(event: Event) -> str:
    version = event.release.image.version if event.release else None
    if event.problem:
        return "the release file cannot be read"
    if event.kind == AUTOMATIC_ROLLBACK:
        return f"{_was(event)}failed, rolled back to {version}"
    if event.kind == ROLLBACK:
        return f"{_was(event)}is rolled back to {version}"
    if event.kind in _DONE:
        return f"{version} {_DONE[event.kind]}"
    return "an image is no longer quarantined" if event.kind == UNQUARANTINE else f"{event.kind} of releases"


def _was(event: Event) -> str:
    return f"{event.was.image.version} " if event.was else "a release "


def _from(event: Event) -> str:
    """What a release changes; a rollback has that in its subject."""
    if event.kind not in _DONE or not event.release:
        return ""
    now, was = event.release, event.was
    if was is None:
        return "It is the first release there."
    if was.image == now.image:
        return "The image stays, its settings change."
    return f"{was.image.version} stays stable until its analyses have passed."


def _minutes(took: timedelta) -> str:
    seconds = round(took.total_seconds())
    return f"{seconds} s" if seconds < _IN_MINUTES else f"{seconds // 60} min {seconds % 60} s"
