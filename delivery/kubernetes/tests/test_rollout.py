"""What a Rollout's object says, as it is read once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from delivery.guard.tests.states import BAD, GOOD, rollout
from delivery.kubernetes.objects import REVISION, Object
from delivery.kubernetes.rollout import ReplicaSet, RolloutStatus


def parsed(**status: Any) -> RolloutStatus:
    return RolloutStatus.parse(rollout(**status))


@pytest.mark.parametrize(
    ("status", "moving"),
    [
        ({"stableRS": "old", "currentPodHash": "new"}, True),
        ({"stableRS": "old", "currentPodHash": "new", "abort": True}, True),
        ({"currentPodHash": "first"}, True),
        ({"stableRS": "same", "currentPodHash": "same"}, False),
        ({"stableRS": "old"}, False),
        ({}, False),
    ],
    ids=["on its way", "aborted", "first ever", "promoted", "not seen yet", "nothing yet"],
)
def test_a_rollout_moves_while_its_newest_pods_are_not_its_stable_ones(status: Object, moving: bool) -> None:
    assert RolloutStatus.parse({"status": status}).is_moving is moving


def test_an_object_without_anything_is_nothing_known() -> None:
    assert RolloutStatus.parse({}) == RolloutStatus(name="")
    assert ReplicaSet.parse({}) == ReplicaSet()


@pytest.mark.parametrize(
    ("status", "weight"),
    [({}, None), ({"canary": {"weights": {"canary": {"weight": 5}, "stable": {"weight": 95}}}}, 5)],
)
def test_weights_are_known_once_argo_rollouts_has_written_them(status: Object, weight: int | None) -> None:
    assert parsed(**status).canary_weight == weight


def test_it_is_of_the_release_that_it_notes_and_runs() -> None:
    assert parsed().is_of(BAD)
    assert not parsed().is_of(GOOD)
    without_notes = rollout()
    without_notes["metadata"]["annotations"] = {}
    assert RolloutStatus.parse(without_notes).is_of(BAD), "an older chart notes nothing"
    other_revision = rollout()
    other_revision["metadata"]["annotations"][REVISION] = "c" * 40
    assert not RolloutStatus.parse(other_revision).is_of(BAD)


def test_it_was_promoted_when_its_condition_says_so_and_not_while_it_moves() -> None:
    completed = {"type": "Completed", "status": "True", "lastTransitionTime": "2026-01-02T11:00:00Z"}
    at = datetime(2026, 1, 2, 11, tzinfo=UTC)
    assert parsed(stableRS="new", conditions=[completed]).promoted_at == at
    assert parsed(conditions=[completed]).promoted_at is None
    assert parsed(stableRS="new", conditions=[completed | {"status": "False"}]).promoted_at is None


@pytest.mark.parametrize(
    ("status", "waits"),
    [
        ({"canary": {"currentStepAnalysisRunStatus": {"status": "Running"}}, "currentStepIndex": 1}, True),
        ({"canary": {"currentStepAnalysisRunStatus": {"status": "Running"}}, "currentStepIndex": 0}, False),
        ({"canary": {"currentStepAnalysisRunStatus": {"status": "Failed"}}}, False),
        ({"blueGreen": {"postPromotionAnalysisRunStatus": {"status": ""}}}, True),
        ({}, False),
    ],
    ids=["in a step", "before the first pod", "decided", "blue-green, pending", "none"],
)
def test_a_gate_waits_while_its_analysis_is_undecided(status: Object, *, waits: bool) -> None:
    assert parsed(**status).gate_waits is waits
