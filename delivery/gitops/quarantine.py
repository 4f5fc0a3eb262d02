"""Images that must not be released again: `quarantine.yaml` on the branch `environments`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime

import yaml

from delivery.errors import Refused, Unreadable
from delivery.gitops import documents
from delivery.gitops.branch import BRANCH, EnvironmentsBranch
from delivery.texts import one_line

FILE = "quarantine.yaml"


@dataclass(frozen=True)
class QuarantinedImage:
    """An image, where it failed, when (UTC) and why."""

    digest: str
    version: str
    environment: str
    at: str
    reason: str

    @property
    def since(self) -> datetime:
        """Raises Refused if it is no time."""
        try:
            return datetime.fromisoformat(self.at).astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise Refused(
                f"{FILE} has {one_line(self.at, 40)!r} in place of a time like 2026-11-24T21:35:00Z."
            ) from error


def entries(branch: EnvironmentsBranch, at: str | None = None) -> tuple[QuarantinedImage, ...]:
    """What is quarantined, now or at a commit, oldest first. Raises Refused if the file cannot be read."""
    where = f"{FILE} on the branch {BRANCH}"
    try:
        found = documents.value(branch.text(FILE, at) or "") or []
    except Unreadable as error:
        raise Refused(f"{where} {error}: repair it by hand.") from error
    wanted = {field.name for field in fields(QuarantinedImage)}
    if not isinstance(found, list) or not all(
        isinstance(each, dict)
        and each.keys() == wanted
        and all(isinstance(text, str) for text in each.values())
        for each in found
    ):
        raise Refused(
            f"{where} must be a list whose entries have the texts {', '.join(sorted(wanted))}: repair it by hand."
        )
    return tuple(QuarantinedImage(**each) for each in found)


def digests(branch: EnvironmentsBranch) -> frozenset[str]:
    """What is quarantined, for a rollback, which an unreadable file must not stop."""
    try:
        return frozenset(each.digest for each in entries(branch))
    except Refused:
        return frozenset()


def text_with(known: Sequence[QuarantinedImage], entry: QuarantinedImage) -> str:
    """The file with an image added; an image is listed once, with its first reason."""
    return text_of(known if any(each.digest == entry.digest for each in known) else [*known, entry])


def text_without(known: Sequence[QuarantinedImage], digest: str) -> str:
    """The file without an image."""
    return text_of([each for each in known if each.digest != digest])


def refuse(branch: EnvironmentsBranch, digest: str) -> None:
    """Raises Refused if that image is quarantined."""
    for entry in entries(branch):
        if entry.digest == digest:
            raise Refused(
                f"{entry.version} is quarantined since {entry.at}, when it failed in {entry.environment}"
                f" ({entry.reason}). Build a better one, or: delivery unquarantine {digest} --reason …"
            )


def text_of(wanted: Sequence[QuarantinedImage]) -> str:
    return yaml.safe_dump([asdict(each) for each in wanted], sort_keys=False, allow_unicode=True)
