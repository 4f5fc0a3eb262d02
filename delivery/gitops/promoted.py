"""What became of an environment's releases: which were promoted, which were aborted or replaced at which weight.

The guard keeps this record in a ConfigMap that only it may write, since a release skips the canary's steps by it.
`promoted.yaml` on the branch `environments` is its copy: for people, for `delivery rollback`, and for a cluster that
is built anew. Nothing in the copy lets a release skip a step.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Self

import yaml

from delivery.errors import Refused, Unreadable
from delivery.gitops import documents
from delivery.gitops.branch import EnvironmentsBranch, ReleaseRecord
from delivery.gitops.release import Release

FILE = "promoted.yaml"
PROMOTED, ABORTED, REPLACED, IN_PROGRESS = "promoted", "aborted", "replaced", "on its way"
_OUTCOMES = (PROMOTED, ABORTED, REPLACED, IN_PROGRESS)
# So many releases before the stable one may be rolled back to without the canary's steps.
_ROLLBACK_TARGETS = 5
# So many others are kept beside those.
_MOST_OTHERS = 10
_HEAD = """\
# Which releases were fully promoted, oldest first, and what became of the others: written by the guard, which
# writes it anew when somebody changes it. `delivery rollback` returns to what is promoted here.
"""

Identity = tuple[str, str, str]


def identity(release: Release) -> Identity:
    """What makes two releases the same, whatever else their files say: revision, digest, strategy."""
    return (release.revision, release.image.digest, release.strategy)


@dataclass(frozen=True)
class PromotionEntry:
    """One release of an environment, and what became of it."""

    version: str
    revision: str
    digest: str
    strategy: str
    outcome: str
    at: str
    """Since when it has been so, by the guard's clock (UTC)."""
    weight: int | None = None
    """The highest share of the traffic that it had as a canary, in percent; None where none was seen."""
    gates: bool = False
    """Whether it passed the strategy's gates here: only a rollback to such a one skips the steps."""
    rolled_back: bool = False
    """Whether it was promoted, and a rollback has left it since."""
    pod_hash: str = ""

    @classmethod
    def of(cls, release: Release, outcome: str, at: datetime) -> Self:
        return cls(release.image.version, *identity(release), outcome, f"{at:%Y-%m-%dT%H:%M:%S}+00:00")

    @property
    def identity(self) -> Identity:
        return (self.revision, self.digest, self.strategy)

    @property
    def is_promoted(self) -> bool:
        """Whether it was fully promoted and not rolled back since."""
        return self.outcome == PROMOTED and not self.rolled_back

    @property
    def since(self) -> datetime:
        return datetime.fromisoformat(self.at)


@dataclass(frozen=True)
class PromotionRecord:
    """An environment's releases, oldest first. Every method that changes something returns a new record."""

    entries: tuple[PromotionEntry, ...] = ()
    handled: str = ""
    """The failed migration or refused sync that the guard has rolled back last: a later attempt is another one."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `text` wrote. Raises Refused."""
        try:
            read = json.loads(text)
            return cls(tuple(_entry(each) for each in read["entries"]), str(read["handled"]))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise Refused(
                f"The guard's record cannot be read ({error}); delete its key: {text[:80]!r}."
            ) from error

    def text(self) -> str:
        return json.dumps(asdict(self))

    @property
    def newest(self) -> PromotionEntry | None:
        return self.entries[-1] if self.entries else None

    @property
    def targets(self) -> tuple[PromotionEntry, ...]:
        """The stable release, and before it those that a rollback may return to, oldest first."""
        return tuple(each for each in self.entries if each.is_promoted)[-_ROLLBACK_TARGETS - 1 :]

    @property
    def stable(self) -> PromotionEntry | None:
        return self.targets[-1] if self.targets else None

    def find(self, release: Release) -> PromotionEntry | None:
        """The entry of a release, if it is promoted."""
        return next((each for each in self.targets if each.identity == identity(release)), None)

    def rolled_back_for(self, release: Release) -> PromotionEntry | None:
        """The release that was rolled back to this one: by the guard after an abort, or by a rollback in progress."""
        found, stable, newest = self.find(release), self.stable, self.newest
        if found is None or stable is None or newest is None:
            return None
        if found is not stable:
            return stable
        return newest if newest.outcome == ABORTED else None

    def same_promoted(self, other: PromotionRecord | None) -> bool:
        """Whether both have the same releases as promoted, and as rolled back."""

        def promotions(record: PromotionRecord) -> list[tuple[Identity, bool]]:
            return [(each.identity, each.rolled_back) for each in record.entries if each.outcome == PROMOTED]

        return other is not None and promotions(self) == promotions(other)

    def skips_steps(self, release: Release, quarantined: frozenset[str]) -> bool:
        """Whether a release was promoted through its gates here, so that a rollback to it takes no steps."""
        found = self.find(release)
        return found is not None and found.gates and found.digest not in quarantined

    def with_promoted(self, entry: PromotionEntry) -> PromotionRecord:
        """That release is stable; if it was so before, a rollback has left the ones promoted since."""
        stable = self.stable
        if stable and stable.identity == entry.identity:
            # Also where the same release got other pods, by a hand in the cluster.
            new = replace(stable, pod_hash=entry.pod_hash, version=entry.version)
            return self._having(tuple(new if each is stable else each for each in self.entries))
        earlier = next((each for each in self.targets if each.identity == entry.identity), None)
        if earlier:
            at = self.entries.index(earlier)
            later = tuple(
                replace(each, rolled_back=True) if each.is_promoted else each
                for each in self.entries[at + 1 :]
            )
            back = replace(earlier, pod_hash=entry.pod_hash)
            return self._having((*self.entries[:at], back, *_ended(later, entry.at)))
        mine = self.newest
        before = self.entries
        if mine and mine.outcome == IN_PROGRESS and mine.identity == entry.identity:
            entry, before = replace(entry, weight=mine.weight), self.entries[:-1]
        return self._having((*_ended(before, entry.at), entry))

    def with_moving(self, entry: PromotionEntry) -> PromotionRecord:
        """That release is in progress and replaces the one before it; a rollback is no new release."""
        mine = self.newest
        if mine and mine.outcome == IN_PROGRESS and mine.identity == entry.identity:
            weight = max(mine.weight or 0, entry.weight or 0) or None
            return self._having((*self.entries[:-1], replace(mine, weight=weight)))
        ended = _ended(self.entries, entry.at)
        if any(each.identity == entry.identity and each.is_promoted for each in ended):
            return self._having(ended)
        return self._having((*ended, entry))

    def with_aborted(self, entry: PromotionEntry) -> PromotionRecord:
        """That release was aborted, at the weight that it had before."""
        mine = self.newest
        if mine and mine.outcome == ABORTED and mine.identity == entry.identity:
            return self
        known = self.with_moving(replace(entry, outcome=IN_PROGRESS))
        mine = known.newest
        if mine is None or mine.outcome != IN_PROGRESS:
            return known
        return self._having((*known.entries[:-1], replace(mine, outcome=ABORTED, at=entry.at)))

    def _having(self, entries: tuple[PromotionEntry, ...]) -> PromotionRecord:
        targets = replace(self, entries=entries).targets
        others = [each for each in entries if each not in targets][-_MOST_OTHERS:]
        return replace(self, entries=tuple(each for each in entries if each in targets or each in others))


def _ended(entries: Iterable[PromotionEntry], at: str) -> tuple[PromotionEntry, ...]:
    """None of these is in progress any more."""
    return tuple(
        replace(each, outcome=REPLACED, at=at) if each.outcome == IN_PROGRESS else each for each in entries
    )


def copy_text(records: Mapping[str, PromotionRecord]) -> str:
    """`promoted.yaml` of these environments' records."""
    shown = {
        name: [_shown(each) for each in record.entries if each.outcome != IN_PROGRESS]
        for name, record in sorted(records.items())
    }
    return _HEAD + yaml.safe_dump(shown, sort_keys=False, allow_unicode=True)


def copies_of(branch: EnvironmentsBranch, at: str | None = None) -> dict[str, PromotionRecord]:
    """The records that the branch has, by environment; none where no guard has written one, or it cannot be read.

    Anybody may write there, so no entry has passed any gates: only the guard's own record knows that.
    """
    try:
        read = documents.value(branch.text(FILE, at) or "")
    except Unreadable:
        return {}
    found = {}
    for name, entries in read.items() if isinstance(read, dict) else ():
        try:
            found[name] = PromotionRecord(tuple(_copied(each) for each in entries))
        except (TypeError, AttributeError, ValueError):
            continue
    return found


def release_record(
    branch: EnvironmentsBranch, environment: str, entry: PromotionEntry
) -> ReleaseRecord | None:
    """The release of an entry, as the branch had it; None where its history does not have it any more."""
    return next(
        (each for each in branch.releases(environment) if identity(each.release) == entry.identity), None
    )


def _shown(entry: PromotionEntry) -> dict[str, object]:
    """Without what is internal or has its default."""
    left_out = {"pod_hash", *(() if entry.rolled_back else ("rolled_back",))}
    return {key: value for key, value in asdict(entry).items() if key not in left_out and value is not None}


def _copied(read: Mapping[str, object]) -> PromotionEntry:
    """Raises TypeError, AttributeError or ValueError for what is no entry."""
    weight = read.get("weight")
    typed = {
        "weight": None if weight is None else int(str(weight)),
        "gates": False,
        "rolled_back": str(read.get("rolled_back")) == "true",
    }
    return _entry({**read, **typed})


def _entry(read: Mapping[str, object]) -> PromotionEntry:
    known = {field.name: read[field.name] for field in fields(PromotionEntry) if field.name in read}
    entry = PromotionEntry(**known)  # type: ignore[arg-type]
    texts = (getattr(entry, field.name) for field in fields(entry) if field.type == "str")
    if not all(isinstance(each, str) for each in texts) or entry.outcome not in _OUTCOMES:
        raise TypeError(f"no release: {read!r:.80}")
    if entry.since.tzinfo is None:
        raise ValueError(f"a time without its zone: {entry.at:.40}")
    return entry
