"""A release is waited for, rolled back and approved."""

from __future__ import annotations

import pytest

from drills.errors import DrillFailed
from drills.steps.environment import Environment
from drills.steps.release import ReleaseAttempt
from drills.tests.cluster import ENOUGH, SHORT, MadeUp


def test_a_promoted_release(release: ReleaseAttempt, cluster: MadeUp) -> None:
    release.wait_for_first_canary_pod(within=ENOUGH)
    for weight in (5, 100):
        cluster.weight = weight
        release.wait_for_weight(weight, within=ENOUGH)
    cluster.ends()
    release.wait_for_rollout("Healthy", within=ENOUGH)
    release.assert_weights(5, 100)
    release.wait_until_sent(400)

    result = release.environment.result()
    assert (result.verdict, result.stable, result.released) == ("promoted", "1.0", "1.1")


def test_an_aborted_release_is_taken_back(
    release: ReleaseAttempt, cluster: MadeUp, delivered: list[str]
) -> None:
    cluster.weight = 5
    release.wait_for_weight(5, within=ENOUGH)
    cluster.aborts()
    release.wait_for_rollout("Degraded", within=ENOUGH)
    release.assert_weight_at_most(5)
    release.roll_back()
    release.wait_for_rollout("Healthy", within=ENOUGH)
    release.assert_no_new_steps()

    assert any("delivery rollback production" in words for words in delivered)
    assert release.environment.result().verdict == "rolled back"


def test_the_guard_heals(release: ReleaseAttempt, cluster: MadeUp, delivered: list[str]) -> None:
    cluster.aborts()
    release.wait_for_rollout("Degraded", within=ENOUGH)
    cluster.quarantined.add("sha256:1.1")
    cluster.wanted = cluster.stable
    cluster.ends()
    release.wait_for_automatic_rollback(within=ENOUGH, quarantined=True)
    release.wait_for_rollout("Healthy", within=ENOUGH)
    release.assert_no_new_steps()

    took = release.environment.result().seconds_from_abort_to_rollback
    assert took is not None
    assert took < 5


def test_git_that_nobody_heals_fails(release: ReleaseAttempt, cluster: MadeUp) -> None:
    cluster.aborts()
    release.wait_for_rollout("Degraded", within=ENOUGH)

    with pytest.raises(DrillFailed, match=r"Expected 1\.0 in production/release\.yaml, by the guard"):
        release.wait_for_automatic_rollback(within=SHORT, quarantined=True)


def test_blame_is_part_of_healing(release: ReleaseAttempt, cluster: MadeUp) -> None:
    cluster.wanted = cluster.stable

    with pytest.raises(DrillFailed, match=r"Expected version 1\.1 in quarantine"):
        release.wait_for_automatic_rollback(within=ENOUGH, quarantined=True)


def test_a_person_approves(release: ReleaseAttempt, cluster: MadeUp, delivered: list[str]) -> None:
    cluster.paused, cluster.step = True, 1
    release.wait_for_approval_step(within=ENOUGH)
    release.approve()

    assert delivered[-1] == "kubectl argo rollouts promote crm --namespace crm-production"


def test_a_release_that_nothing_is_known_about_waits_for_a_person(
    release: ReleaseAttempt, cluster: MadeUp
) -> None:
    cluster.phase, cluster.message = "Paused", "CanaryPauseStep"
    with pytest.raises(DrillFailed, match=r"Expected version 1\.1 to stay undecided"):
        release.wait_until_undecided(within=SHORT)

    cluster.message = "InconclusiveAnalysisRun"
    release.wait_until_undecided(within=ENOUGH)


def test_healthy_from_before_the_release_does_not_count(release: ReleaseAttempt, cluster: MadeUp) -> None:
    cluster.wanted = cluster.newest = cluster.stable
    cluster.phase = "Healthy"

    with pytest.raises(DrillFailed, match=r"Healthy with version 1\.1"):
        release.wait_for_rollout("Healthy", within=SHORT)


def test_the_preview_answers_before_users_have_it(
    release: ReleaseAttempt, cluster: MadeUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"preview.production.localhost": "1.1", None: "1.0"}
    monkeypatch.setattr(Environment, "answering_version", lambda _, host=None: answers[host])

    release.wait_for_preview(within=ENOUGH)

    answers[None] = "1.1"
    with pytest.raises(DrillFailed, match=r"Expected 1\.0 to answer users"):
        release.wait_for_preview(within=ENOUGH)


def test_a_migration_that_fails_starts_no_pod(release: ReleaseAttempt, cluster: MadeUp) -> None:
    with pytest.raises(DrillFailed, match=r"Expected the migration of version 1\.1 to fail"):
        release.wait_for_failed_migration(within=SHORT)
    cluster.migration_failure = "BackoffLimitExceeded"
    release.wait_for_failed_migration(within=ENOUGH)

    with pytest.raises(DrillFailed, match=r"Expected no web pod of the release; found crm-1\.1"):
        release.assert_no_pod_started()


def test_argo_cd_is_content_with_what_git_wants(release: ReleaseAttempt, cluster: MadeUp) -> None:
    with pytest.raises(DrillFailed, match="Expected Argo CD Synced and Healthy"):
        release.wait_for_argocd(within=SHORT)
    cluster.ends()
    release.wait_for_argocd(within=ENOUGH)
    cluster.operation = "Failed"  # the guard has ended it, and nothing else is left to sync
    release.wait_for_argocd(within=ENOUGH)
    cluster.operation = "Running"
    with pytest.raises(DrillFailed, match="Expected Argo CD Synced and Healthy"):
        release.wait_for_argocd(within=SHORT)
