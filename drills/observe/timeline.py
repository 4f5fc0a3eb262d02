"""What happened during a drill, in order: the marks of its chart, and the windows in which a weight held."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from drills.load.results import Record
from drills.observe.snapshot import Snapshot

_BAD_ENDS = {"Failed": "proven bad", "Error": "no answer", "Inconclusive": "undecided"}


@dataclass(frozen=True)
class Moment:
    """Something that happened. `kind`: push, sync, step, verdict, abort, promoted, healthy, or action of the drill."""

    at: float
    kind: str
    text: str


@dataclass(frozen=True)
class Held:
    """A weight and the time for which the router had it."""

    weight: int
    start: float
    end: float


def moments(snapshots: Sequence[Snapshot]) -> list[Moment]:
    """What changed from one snapshot to the next."""
    found: list[Moment] = []
    for before, now in pairwise(snapshots):
        found += [
            *_argocd(before, now),
            *_weight(before, now),
            *_verdicts(before, now),
            *_rollout(before, now),
        ]
    return sorted(found, key=lambda moment: moment.at)


def ending(snapshots: Sequence[Snapshot], since: float) -> Moment | None:
    """What became of the release that was pushed then: the moment when it was aborted or promoted."""
    endings = (each for each in moments(snapshots) if each.kind in ("abort", "promoted") and each.at >= since)
    return next(endings, None)


def _argocd(before: Snapshot, now: Snapshot) -> Iterable[Moment]:
    old, new = before.application, now.application
    if new and old and new.finished_at != old.finished_at and new.operation == "Succeeded":
        yield Moment(now.at, "sync", "Argo CD synced")


def _weight(before: Snapshot, now: Snapshot) -> Iterable[Moment]:
    old, new = before.canary_weight, now.canary_weight
    if new is not None and new != old:
        yield Moment(now.at, "step", f"{new} %")


def _verdicts(before: Snapshot, now: Snapshot) -> Iterable[Moment]:
    """Analyses that ended badly, by the metrics that ended them."""
    phases = {run.name: run.phase for run in before.analyses}
    for run in now.analyses:
        if run.phase in _BAD_ENDS and phases.get(run.name) != run.phase:
            guilty = sorted(
                each.name.removesuffix("-watch")
                for each in run.results
                if run.phase in {measurement.phase for measurement in each.measurements}
            )
            yield Moment(now.at, "verdict", f"{', '.join(guilty) or run.name}: {_BAD_ENDS[run.phase]}")


def _rollout(before: Snapshot, now: Snapshot) -> Iterable[Moment]:
    old, new = before.rollout, now.rollout
    if not old or not new:
        return
    if new.aborted and not old.aborted:
        yield Moment(now.at, "abort", "aborted")
    if new.stable_hash != old.stable_hash and old.stable_hash:
        yield Moment(now.at, "promoted", "promoted")
    elif old.newest_hash != old.stable_hash and new.settled and old.stable_hash == new.stable_hash:
        yield Moment(now.at, "healthy", "back on stable")


def weights_seen(snapshots: Sequence[Snapshot], since: float = 0.0) -> list[int]:
    """The weights above 0 that the router gave to canaries, in order: [5, 20, 50, 100] for a promoted release."""
    return [held.weight for held in windows(snapshots, since) if held.weight]


def windows(snapshots: Sequence[Snapshot], since: float = 0.0) -> list[Held]:
    """For how long the router had each weight: from the snapshot that shows it first to the one that shows the next."""
    found: list[Held] = []
    for seen in snapshots:
        if seen.canary_weight is None:
            continue
        at = max(seen.at, since)
        if found:
            found[-1] = Held(found[-1].weight, found[-1].start, at)
        if not found or found[-1].weight != seen.canary_weight:
            found.append(Held(seen.canary_weight, at, at))
    return [held for held in found[:-1] if held.end > since] + found[-1:]


def shares(
    record: Record, held: Iterable[Held], version: str, *, trim: float = 1.0
) -> list[tuple[Held, int, float]]:
    """For each window the number of requests in it and the version's share of them, in percent.

    `trim` seconds at both edges are left out: the router takes over a weight a moment after it was written.
    """
    found = []
    for window in held:
        inside = record.between(window.start + trim, window.end - trim)
        share = inside.share_of(version)
        found.append((window, len(inside), 100 * share if share is not None else 0.0))
    return found
