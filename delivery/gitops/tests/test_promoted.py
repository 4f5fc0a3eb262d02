"""The record of what became of an environment's releases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from delivery.errors import Refused
from delivery.gitops.branch import EnvironmentsBranch
from delivery.gitops.promoted import (
    ABORTED,
    IN_PROGRESS,
    PROMOTED,
    REPLACED,
    PromotionEntry,
    PromotionRecord,
    copies_of,
    copy_text,
)
from delivery.gitops.release import Release
from delivery.guard.tests.states import release

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
NOTHING: frozenset[str] = frozenset()
A, B, C, D = (release(f"1.{number}") for number in range(1, 5))


def entry(of: Release, outcome: str = PROMOTED, **more: object) -> PromotionEntry:
    return replace(PromotionEntry.of(of, outcome, NOW), **{"gates": True, **more})  # type: ignore[arg-type]


def after(*releases: Release) -> PromotionRecord:
    found = PromotionRecord()
    for each in releases:
        found = found.with_promoted(entry(each))
    return found


def skips(record: PromotionRecord, *quarantined: str) -> list[str]:
    known = [A, B, C, D]
    return [each.image.version for each in known if record.skips_steps(each, frozenset(quarantined))]


class Branch(EnvironmentsBranch):
    """A branch with that promoted.yaml."""

    def __init__(self, text: str) -> None:
        self._text = text

    def text(self, path: str, at: str | None = None) -> str | None:
        assert (path, at) == ("promoted.yaml", None)
        return self._text


def test_what_everybody_had_and_nobody_left_skips_steps() -> None:
    assert skips(after(A, B)) == ["1.1", "1.2"]
    assert skips(after(A, B), B.image.digest) == ["1.1"]
    assert skips(after(A, B, A)) == ["1.1"], "a rollback has left 1.2"
    assert skips(after(A, B, A, B)) == ["1.1", "1.2"], "it came back through its gates"
    assert skips(after(A, B, C, A)) == ["1.1"], "and so it has what lies between"


def test_what_did_not_pass_its_gates_takes_steps_and_is_still_gone_back_to() -> None:
    record = after(A).with_promoted(entry(B, gates=False)).with_promoted(entry(C))
    assert skips(record) == ["1.1", "1.3"]
    assert [each.version for each in record.targets] == ["1.1", "1.2", "1.3"]


def test_only_the_last_five_before_the_stable_one_count() -> None:
    many = [release(f"1.{number}") for number in range(1, 9)]
    record = after(*many)
    assert [each.version for each in record.targets] == ["1.3", "1.4", "1.5", "1.6", "1.7", "1.8"]


def test_revision_digest_and_strategy_make_a_release_and_nothing_else() -> None:
    record = after(A)
    renamed = replace(A, image=replace(A.image, version="9.9", repository="mirror.example.com/crm"))
    assert record.skips_steps(renamed, NOTHING)
    for other in (replace(A, strategy="rolling-update"), replace(A, revision="f" * 40)):
        assert not record.skips_steps(other, NOTHING)


def test_what_is_replaced_or_aborted_on_its_way_keeps_its_weight_and_never_counts() -> None:
    record = after(A)
    for weight in (5, 20, 0):
        record = record.with_moving(entry(B, IN_PROGRESS, weight=weight or None))
    record = record.with_moving(entry(C, IN_PROGRESS))
    assert [(each.version, each.outcome, each.weight) for each in record.entries] == [
        ("1.1", PROMOTED, None),
        ("1.2", REPLACED, 20),
        ("1.3", IN_PROGRESS, None),
    ]
    record = record.with_moving(entry(C, IN_PROGRESS, weight=5)).with_aborted(entry(C, IN_PROGRESS))
    assert record.newest == entry(C, ABORTED, weight=5)
    assert record.with_aborted(entry(C, IN_PROGRESS)) == record
    assert record.with_moving(entry(C, IN_PROGRESS)).newest == entry(C, IN_PROGRESS), "it is tried again"
    assert [each.version for each in record.targets] == ["1.1"]


def test_a_rollback_on_its_way_is_no_new_release() -> None:
    record = after(A, B).with_moving(entry(A, IN_PROGRESS, weight=5))
    assert record == after(A, B)
    assert record.with_aborted(entry(A, IN_PROGRESS)) == record


def test_settings_that_change_no_pod_are_a_release_of_their_own() -> None:
    new_settings = replace(A, revision="e" * 40)
    assert len(after(A, new_settings).targets) == 2


def test_it_stays_small() -> None:
    record = after(A, B)
    for number in range(60):
        record = record.with_moving(entry(release("1.3", revision=f"{number % 10}"), IN_PROGRESS))
    assert len(record.entries) < 20
    assert [each.version for each in record.targets] == ["1.1", "1.2"]


def test_it_is_read_as_it_was_written() -> None:
    record = replace(after(A, B, A), handled="migration job-1").with_moving(entry(C, IN_PROGRESS, weight=5))
    assert PromotionRecord.parse(record.text()) == record


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"entries": [{}], "handled": ""}', '{"entries": 7, "handled": ""}']
)
def test_what_is_no_record_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(Refused, match="The guard's record cannot be read"):
        PromotionRecord.parse(text)


def test_the_copy_on_the_branch_lets_nothing_skip_a_step() -> None:
    written = copy_text({"production": after(A, B, A).with_moving(entry(C, IN_PROGRESS))})
    found = copies_of(Branch(written))["production"]
    assert [(each.version, each.gates, each.rolled_back) for each in found.entries] == [
        ("1.1", False, False),
        ("1.2", False, True),
    ]
    assert found.same_promoted(after(A, B, A))
    assert not found.same_promoted(after(A, B))


@pytest.mark.parametrize(
    "text", ["[", "7", "production: 7", "production: [{}]", "production: [{version: 1}]", "? ["]
)
def test_a_broken_copy_has_no_records(text: str) -> None:
    assert copies_of(Branch(text)) == {}


def test_a_time_without_its_zone_is_no_entry() -> None:
    """It cannot be compared with the guard's own, and would have stopped the guard for that environment."""
    text = copy_text({"production": after(A)})
    assert copies_of(Branch(text))
    assert copies_of(Branch(text.replace("+00:00", ""))) == {}
