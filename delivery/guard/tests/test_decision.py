import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from delivery.gitops.branch import ReleaseRecord
from delivery.guard.decision import (
    HEALTHY,
    RULES,
    Correction,
    Decision,
    Nothing,
    ObservedState,
    Rollback,
    ScaleToZero,
    decide,
)
from delivery.guard.tests.states import (
    BAD,
    GOOD,
    NOW,
    aborted,
    migration,
    not_let_in,
    observed,
    release,
    replica_set,
    rollout,
    run,
)
from delivery.kubernetes.analysis import AnalysisRun
from delivery.kubernetes.objects import STRATEGY
from delivery.kubernetes.rollout import ReplicaSet, RolloutStatus


def rolled_back(**other: Any) -> Rollback:
    decision = decide(observed(**other))
    assert isinstance(decision, Rollback), decision
    return decision


def nothing(**other: Any) -> str:
    decision = decide(observed(**other))
    assert isinstance(decision, Nothing), decision
    return decision.why


# By the rule that is the first to say something: states, and what is decided then.
STATES: list[tuple[str, ObservedState, Decision | type[Decision]]] = [
    ("no_rollout", replace(observed(), rollout=None), Nothing("There is no Rollout yet.")),
    (
        "aborted_canary_keeps_traffic",
        observed(replica_sets=[replica_set(GOOD, "old", 3), replica_set(BAD, "new")]),
        ScaleToZero,
    ),
    (
        "rollback_meets_another_release",
        observed(release=GOOD, is_rollback=True, rollout=rollout(BAD)),
        Correction.ABORT,
    ),
    (
        "sync_is_outdated",
        observed(application=not_let_in(GOOD) | {"spec": {"source": {"targetRevision": "newer"}}}),
        Correction.TERMINATE_SYNC,
    ),
    (
        "failed",
        observed(started=NOW + timedelta(minutes=21)),
        Nothing("The failure is more than 20 minutes older than this guard: a person has to decide."),
    ),
    (
        "failed",
        observed(rollout=aborted(stableRS="")),
        Nothing("No fully promoted release is known in Git: there is nothing to roll back to."),
    ),
    (
        "failed",
        observed(rollout=rollout(BAD, stableRS="new"), frozen="frozen", analysis_runs=[]),
        Nothing("Git names the fully promoted release already."),
    ),
    (
        "failed",
        observed(quarantined=frozenset({GOOD.image.digest})),
        Nothing(
            f"The stable release {GOOD.image.version} is quarantined itself: a person has to choose a release to"
            " roll back to."
        ),
    ),
    ("failed", observed(), Rollback),
    ("rollback_takes_steps", observed(is_rollback=True, rollout=rollout()), Correction.PROMOTE_IN_FULL),
]


def test_each_rule_decides_in_its_states() -> None:
    assert [rule.__name__ for rule in RULES] == list(dict.fromkeys(name for name, _, _ in STATES))
    for name, state, expected in STATES:
        first = next(rule for rule in RULES if rule(state))
        decided = decide(state)
        assert (first.__name__, type(decided) if isinstance(expected, type) else decided) == (name, expected)
    nothing_holds = observed(rollout=rollout())
    assert not any(rule(nothing_holds) for rule in RULES)
    assert decide(nothing_holds) == HEALTHY


def test_a_failed_verdict_rolls_back_and_blames_the_image() -> None:
    decision = rolled_back()
    assert decision.to.release == GOOD
    assert decision.blame
    assert decision.reasons == ("error-rate: 1.2 was proven bad (measured [12.3])",)


def test_an_outage_of_prometheus_rolls_back_and_blames_no_image() -> None:
    decision = rolled_back(analysis_runs=[run("error-rate", "Error", message="connection refused")])
    assert not decision.blame
    assert decision.reasons == ("error-rate: could not be measured (connection refused)",)


@pytest.mark.parametrize(
    ("question", "verdict", "blame"), [("security", "bad", True), ("scanned", "unknown", False)]
)
def test_an_image_is_blamed_for_what_a_scan_proved_and_not_for_having_none(
    question: str, verdict: str, blame: bool
) -> None:
    said = json.dumps({"verdict": verdict, "says": "what the guard says"})
    decision = rolled_back(analysis_runs=[run(question, "Failed", value=said)])
    assert decision.blame is blame
    assert decision.reasons == (f"{question}: what the guard says",)


def test_an_abort_by_a_person_rolls_back_and_blames_no_image() -> None:
    assert not rolled_back(analysis_runs=[]).blame


@pytest.mark.parametrize(("phase", "blame"), [("Failed", True), ("Error", False)])
def test_health_blames_for_what_was_found_and_not_where_nobody_could_be_asked(
    phase: str, blame: bool
) -> None:
    said = json.dumps({"verdict": "bad", "says": "1.2 has no redis; stable: 1.1 is healthy"})
    runs = [run("health-watch", phase, value=said if blame else None, message="connection refused")]
    assert rolled_back(analysis_runs=runs).blame is blame


def test_progress_that_failed_blames() -> None:
    late = {
        "type": "Progressing",
        "reason": "ProgressDeadlineExceeded",
        "lastUpdateTime": "2026-01-02T11:59:58Z",
        "message": "timed out",
    }
    decision = rolled_back(rollout=rollout(conditions=[late]), analysis_runs=[])
    assert decision.blame
    assert decision.reasons == ("progress: timed out",)


LONG_AGO = {"type": "Progressing", "status": "True", "lastUpdateTime": "2026-01-02T11:55:00Z"}


def waiting(**status: Any) -> dict[str, Any]:
    """1.2 waits for its pods since five minutes, at a step that ends with them; the deadline is two minutes."""
    usual: dict[str, Any] = {
        "conditions": [LONG_AGO],
        "currentStepIndex": 0,
        "message": "waiting for all steps to complete",
    }
    found = rollout(**usual | status)
    found["spec"] |= {
        "progressDeadlineSeconds": 120,
        "strategy": {"canary": {"steps": [{"setWeight": 5}, {"analysis": {}}, {"pause": {}}]}},
    }
    return found


@pytest.mark.parametrize(
    ("status", "ready", "overdue"),
    [
        ({}, 0, True),
        ({}, 1, True),
        ({}, 4, False),
        ({"currentStepIndex": 1}, 0, False),
        ({"currentStepIndex": 2}, 0, False),
        ({"pauseConditions": [{"reason": "x"}]}, 0, False),
        ({"conditions": [LONG_AGO | {"lastUpdateTime": "2026-01-02T11:58:00Z"}]}, 0, False),
    ],
    ids=["no pod", "too few pods", "all pods", "analysis", "pause", "paused", "within the deadline and some"],
)
def test_a_deadline_that_argo_rollouts_forgot_is_kept(
    status: dict[str, Any], ready: int, overdue: bool
) -> None:
    sets = [replica_set(GOOD, "old"), replica_set(BAD, "new", ready)]
    decision = decide(observed(rollout=waiting(**status), replica_sets=sets, analysis_runs=[]))
    assert isinstance(decision, Rollback) is overdue
    if isinstance(decision, Rollback):
        assert decision.blame
        assert decision.reasons == ("progress: the new pods did not become ready in time",)


def test_a_failed_migration_of_gits_image_blames() -> None:
    decision = rolled_back(rollout=rollout(GOOD), migration=migration(), analysis_runs=[])
    assert decision.blame
    assert decision.reasons[0].startswith("migration of 1.2: ")


@pytest.mark.parametrize("job", [migration(GOOD), migration(uid="job-0")])
def test_a_migration_of_another_image_or_attempt_says_nothing(job: dict[str, Any]) -> None:
    assert nothing(rollout=rollout(GOOD), migration=job, handled="migration job-0") == "Nothing is wrong."


def test_what_failed_is_known_by_its_name_whatever_the_clocks_say() -> None:
    """A committer's clock that was 25 s ahead switched this off for good."""
    job = rolled_back(rollout=rollout(GOOD), migration=migration(), analysis_runs=[])
    assert job.handled == "migration job-1"
    sync = rolled_back(rollout=rollout(GOOD), application=not_let_in(), analysis_runs=[])
    again: dict[str, Any] = {"rollout": rollout(GOOD), "application": not_let_in(), "handled": sync.handled}
    assert nothing(**again) == "Nothing is wrong."
    again["application"]["status"]["operationState"]["retryCount"] = 1
    assert rolled_back(**again)


def test_a_release_that_a_policy_does_not_let_in_is_rolled_back_and_may_come_again() -> None:
    decision = rolled_back(rollout=rollout(GOOD), application=not_let_in(), analysis_runs=[])
    assert not decision.blame
    assert decision.reasons == ("admission: 1.2 is not let in: Policy signed-images failed: not signed",)


@pytest.mark.parametrize(
    "application",
    [not_let_in(GOOD), not_let_in(release("1.2", revision="c"))],
)
def test_a_refusal_of_another_release_or_attempt_says_nothing(application: dict[str, Any]) -> None:
    assert nothing(rollout=rollout(GOOD), application=application) == "Nothing is wrong."


def test_settings_alone_that_were_bad_leave_the_image_free() -> None:
    settings = release("1.1", revision="c")
    decision = rolled_back(
        release=settings,
        rollout=aborted(settings),
        history=(ReleaseRecord("b" * 40, settings), ReleaseRecord("a" * 40, GOOD)),
    )
    assert decision.to.release == GOOD
    assert not decision.blame


def test_the_stable_release_is_found_by_commit_and_image_though_another_has_the_same_image() -> None:
    never_promoted = release("1.1", revision="c")
    history = (
        ReleaseRecord("b" * 40, BAD),
        ReleaseRecord("c" * 40, never_promoted),
        ReleaseRecord("a" * 40, GOOD),
    )
    assert rolled_back(history=history).to.release == GOOD


def test_without_a_commit_on_the_stable_pods_the_image_decides() -> None:
    stable = replica_set(GOOD, "old")
    stable["metadata"]["annotations"] = {}
    assert rolled_back(replica_sets=[stable]).to.release == GOOD


def test_a_rollback_that_does_not_arrive_ends_at_the_stable_release_and_blames_no_image() -> None:
    decision = rolled_back(is_rollback=False, was_promoted=True)
    assert decision.to.release == GOOD
    assert not decision.blame


def test_it_acts_once_though_the_abort_is_seen_again() -> None:
    """Git is rolled back already; Argo CD has not synced the Rollout yet."""
    assert nothing(release=GOOD, is_rollback=True) == "Nothing is wrong."


def test_a_push_in_a_freeze_is_rolled_back_and_blames_no_image() -> None:
    frozen: dict[str, Any] = {"frozen": "production is frozen", "analysis_runs": [], "rollout": rollout()}
    decision = rolled_back(**frozen)
    assert (decision.to.release, decision.blame) == (GOOD, False)
    assert decision.reasons == ("freeze: production is frozen",)
    everybody = {**frozen, "rollout": rollout(BAD, stableRS="new")}
    assert nothing(**everybody) == "Git names the fully promoted release already."
    assert rolled_back(**everybody, before=ReleaseRecord("a" * 40, GOOD)).to.release == GOOD


@pytest.mark.parametrize(
    ("ready", "change", "scaled"),
    [
        (3, {}, True),
        (4, {}, False),
        (0, {}, False),
        (3, {"rollout": rollout()}, False),
        (3, {"rollout": aborted(observedGeneration="6")}, False),
        (3, {"rollout": aborted() | {"spec": {**aborted()["spec"], "strategy": {"canary": {}}}}}, False),
    ],
    ids=["lacks one", "lacks none", "has none", "not aborted", "not observed", "no router"],
)
def test_an_aborted_version_that_keeps_its_traffic_loses_its_pods(
    ready: int, change: dict[str, Any], *, scaled: bool
) -> None:
    """Argo Rollouts does not set the weight while the stable version lacks a pod."""
    sets = [replica_set(GOOD, "old", ready), replica_set(BAD, "new")]
    decision = decide(observed(replica_sets=sets, **change))
    assert (decision == ScaleToZero("crm-new")) is scaled
    sets[1]["spec"]["replicas"] = 0
    assert decide(observed(replica_sets=sets, **change)) != ScaleToZero("crm-new")


def gate(step: str, phase: str = "Successful", **spec: Any) -> dict[str, Any]:
    made = run("error-rate", phase)
    made["metadata"]["labels"] |= {"rollout-type": "Step", "step-index": step}
    return {**made, "spec": spec, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("runs", "passed"),
    [
        ([gate("1"), gate("3")], True),
        ([gate("1")], False),
        ([gate("3", "Inconclusive")], False),
        ([gate("3", terminate=True)], False),
        ([], False),
    ],
    ids=["all", "promoted in full before the last", "undecided", "left out by a person", "unknown"],
)
def test_a_release_passed_its_gates_if_the_last_one_says_so(
    runs: list[dict[str, Any]], *, passed: bool
) -> None:
    steps = [{"setWeight": 5}, {"analysis": {}}, {"setWeight": 100}, {"analysis": {}}, {"pause": {}}]
    state, parsed = rollout(), [AnalysisRun.parse(each) for each in runs]
    state["spec"]["strategy"] = {"canary": {"steps": steps}}
    assert RolloutStatus.parse(state).has_passed_gates(parsed) is passed
    state["spec"]["strategy"] = {"canary": {"steps": [{"setWeight": 100}]}}
    assert RolloutStatus.parse(state).has_passed_gates(parsed)


def test_a_sync_of_an_outdated_source_is_ended_whoever_changed_it() -> None:
    application = not_let_in(GOOD)
    assert decide(observed(application=application, rollout=rollout())) != Correction.TERMINATE_SYNC
    application["spec"] = {"source": {"targetRevision": "newer"}}
    assert decide(observed(application=application, rollout=rollout())) == Correction.TERMINATE_SYNC


def test_another_name_for_the_same_release_is_no_other_release() -> None:
    renamed = replace(
        GOOD, image=replace(GOOD.image, version="1.1-again", repository="mirror.example.com/crm")
    )
    said = nothing(release=renamed, rollout=aborted(GOOD, currentPodHash="newer"), analysis_runs=[])
    assert said == "Git names the fully promoted release already."


def test_an_abort_long_before_its_start_is_ignored_and_logged() -> None:
    assert "20 minutes" in nothing(started=NOW + timedelta(minutes=21))
    assert rolled_back(started=NOW + timedelta(minutes=19))


def test_findings_of_an_earlier_attempt_do_not_count() -> None:
    assert not rolled_back(analysis_runs=[run("error-rate", "Failed", attempt="1")]).blame


def test_a_status_that_is_not_of_this_specification_says_nothing() -> None:
    assert nothing(rollout=aborted(observedGeneration="6")) == "Nothing is wrong."


def test_releases_of_charts_that_wrote_other_annotations_are_known_by_them() -> None:
    """Their pods, and release files that pin their revisions, outlive the guard that knew them alone."""
    old = {"delivery/revision": GOOD.revision, "crm/strategy": GOOD.strategy, "crm/version": "1.0"}
    stable = replica_set(GOOD, "old")
    stable["metadata"]["annotations"] = old
    history = (
        ReleaseRecord("b" * 40, BAD),
        ReleaseRecord("c" * 40, release("1.1", revision="c")),
        ReleaseRecord("a" * 40, GOOD),
    )
    assert rolled_back(replica_sets=[stable], history=history).to.release == GOOD
    assert ReplicaSet.parse(stable).version == "1.0"
    before = rollout()
    before["metadata"]["annotations"] = old | {"crm/strategy": "blue-green"}
    assert decide(observed(is_rollback=True, rollout=before)) != Correction.PROMOTE_IN_FULL


def test_a_first_release_has_nothing_to_be_rolled_back_to() -> None:
    assert "nothing to roll back to" in nothing(rollout=aborted(stableRS=""))


def test_a_rollback_takes_no_steps() -> None:
    assert decide(observed(is_rollback=True, rollout=rollout())) == Correction.PROMOTE_IN_FULL
    assert nothing(is_rollback=True, rollout=rollout(promoteFull=True)) == "Nothing is wrong."
    assert nothing(is_rollback=False, rollout=rollout()) == "Nothing is wrong."
    other_strategy = rollout()
    other_strategy["metadata"]["annotations"][STRATEGY] = "blue-green"
    assert decide(observed(is_rollback=True, rollout=other_strategy)) != Correction.PROMOTE_IN_FULL


def test_what_git_has_left_is_aborted_before_argo_cd_has_seen_that() -> None:
    left: dict[str, Any] = {"release": GOOD, "is_rollback": True, "application": not_let_in(BAD)}
    assert decide(observed(rollout=rollout(BAD), **left)) == Correction.ABORT


@pytest.mark.parametrize(
    "difference",
    [
        {"is_rollback": False},
        {"rollout": rollout(BAD, abort=True)},
        {"rollout": rollout(BAD, currentPodHash="old")},
        {"rollout": rollout(BAD, stableRS="")},
        {"rollout": rollout(BAD, observedGeneration="6")},
        {"rollout": rollout(GOOD)},
    ],
    ids=["Git goes on", "aborted", "nothing moves", "nothing is stable", "not observed", "the rollback"],
)
def test_nothing_else_is_aborted(difference: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"release": GOOD, "is_rollback": True, "rollout": rollout(BAD)}
    assert decide(observed(**usual | difference)) != Correction.ABORT
