"""The guard on a real Git remote, with a cluster that the test moves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.gitops import git, promoted, quarantine
from delivery.gitops.promoted import PROMOTED, PromotionEntry, PromotionRecord
from delivery.gitops.release import Release
from delivery.guard.log import Log
from delivery.guard.rollback_loop import RollbackLoop
from delivery.guard.tests.cluster import FakeCluster
from delivery.guard.tests.states import (
    BAD,
    GOOD,
    aborted,
    migration,
    not_let_in,
    release,
    rollout,
)
from delivery.guard.tests.test_request_counts import prometheus, series
from delivery.kubernetes.client import REFUSED
from delivery.tests.hosts import MOVE_BRANCH_ONCE, Remote

FILE = "production/release.yaml"


@pytest.fixture
def guard(remote: Remote, cluster: FakeCluster, logged: list[str]) -> Iterator[RollbackLoop]:
    remote.commit("environments", {FILE: GOOD.to_yaml()})
    with git.opened(str(remote.path), Path.cwd()) as repository:
        yield RollbackLoop(cluster, repository, ["production"], log=Log(logged.append))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The first word of each Git command."""
    words: list[str] = []
    run_git = git._run

    def noted(command: list[str] | tuple[str, ...], **more: Any) -> bytes:
        words.append(command[0])
        return run_git(command, **more)

    monkeypatch.setattr(git, "_run", noted)
    return words


def just_now(**ago: float) -> str:
    return (datetime.now(tz=UTC) - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def in_git(remote: Remote) -> Any:
    return yaml.safe_load(remote.git("show", f"environments:{FILE}"))["image"]["version"]


def everybody_has(cluster: FakeCluster, guard: RollbackLoop, remote: Remote, *releases: Release) -> None:
    """One release after the other reaches everybody."""
    for number, each in enumerate(releases):
        remote.commit("environments", {FILE: each.to_yaml()}, f"release {each.image.version}")
        pod_hash = ("old", "new", "newest")[number]
        cluster.state = rollout(each, currentPodHash=pod_hash, stableRS=pod_hash)
        guard.reconcile("production")


def test_an_aborted_release_is_rolled_back_once(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster, logged: list[str]
) -> None:
    remote.commit("environments", {FILE: BAD.to_yaml()})
    cluster.state = aborted(at=just_now(seconds=1))

    guard.reconcile("production")
    tip = remote.tip("environments")
    guard.reconcile("production")
    guard.reconcile("production")

    assert in_git(remote) == "1.1"
    assert remote.tip("environments") == tip
    assert BAD.image.digest in remote.git("show", "environments:quarantine.yaml")
    assert logged[0].startswith("production: automatic rollback of production to 1.1 (")


def test_the_message_has_the_request_counts_where_prometheus_has_them(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster
) -> None:
    remote.commit("environments", {FILE: BAD.to_yaml()})
    cluster.state = aborted(at=just_now(seconds=1))
    counted = series(("requests", "error-rate", "31"), ("bad", "error-rate", "12"))

    with prometheus(counted) as guard.prometheus:
        guard.reconcile("production")

    sentence = "error-rate: 12 of 31 requests of 1.2 failed (39 %, limit 5 %), evidence 12.3 (4.6 aborts)"
    assert sentence in remote.message()
    (entry,) = yaml.safe_load(remote.git("show", "environments:quarantine.yaml"))
    assert entry["reason"] == sentence


def test_a_prometheus_that_is_away_holds_up_no_rollback(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster
) -> None:
    remote.commit("environments", {FILE: BAD.to_yaml()})
    cluster.state = aborted(at=just_now(seconds=1))
    guard.prometheus = "http://127.0.0.1:1"

    guard.reconcile("production")

    assert in_git(remote) == "1.1"
    assert "error-rate: 1.2 was proven bad (measured [12.3])" in remote.message()


def test_no_rollback_goes_to_a_quarantined_release(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster, logged: list[str]
) -> None:
    entry = quarantine.QuarantinedImage(
        GOOD.image.digest, "1.1", "staging", "2026-01-01T00:00:00Z", "was slow"
    )
    remote.commit("environments", {FILE: BAD.to_yaml(), quarantine.FILE: quarantine.text_with([], entry)})
    cluster.state = aborted(at=just_now(seconds=1))

    guard.reconcile("production")

    assert in_git(remote) == "1.2"
    (sentence,) = logged
    assert "The stable release 1.1 is quarantined itself: a person has to choose" in sentence


def test_a_guard_that_was_restarted_goes_on(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster
) -> None:
    remote.commit("environments", {FILE: BAD.to_yaml()})
    cluster.state = aborted(at=just_now(minutes=19))

    RollbackLoop(cluster, guard.repository, ["production"], log=Log(lambda _: None)).reconcile("production")

    assert in_git(remote) == "1.1"


def test_a_push_at_the_same_moment_costs_neither_of_them(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster
) -> None:
    """Once, the server moves the branch between the guard's fetch and its push."""
    remote.commit("environments", {FILE: BAD.to_yaml()})
    cluster.state = aborted(at=just_now(seconds=1))
    hook = remote.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{MOVE_BRANCH_ONCE}")
    hook.chmod(0o755)

    guard.reconcile("production")

    assert in_git(remote) == "1.1"
    assert remote.subjects()[:2] == ["automatic rollback of production to 1.1", "somebody else"]


@pytest.mark.parametrize(
    "message",
    [
        "automatic rollback of production to 1.2\n\nRolled-back-to: 1234567\n",
        'Revert "automatic rollback of production to 1.1"\n\nThis reverts commit 1234567.\n',
    ],
)
def test_what_a_message_says_lets_no_release_skip_a_step(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster, message: str
) -> None:
    """A revert of the guard's own commit brought the refused image to everybody."""
    remote.commit("environments", {FILE: BAD.to_yaml()})
    cluster.state = aborted(at=just_now(seconds=1))
    guard.reconcile("production")
    assert in_git(remote) == "1.1"
    remote.commit("environments", {FILE: BAD.to_yaml()}, message)
    cluster.state = rollout()

    guard.reconcile("production")

    assert cluster.promoted == []


FREEZE = (
    'environments: [production]\n  from: "2026-01-01 00:00"\n  to: "2199-01-01 00:00"\n  reason: "an audit"\n'
)


def test_a_push_during_a_freeze_is_put_back_with_the_reason(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster
) -> None:
    everybody_has(cluster, guard, remote, GOOD)
    remote.commit("environments", {"freeze.yaml": f"- {FREEZE}"}, "freeze production")
    guard._fetched = -10
    guard.fetch_git()
    for message, stays in (
        ("urgent", False),
        ("urgent\n\nDespite-freeze:\n", False),
        ("urgent\n\nDespite-freeze: logins fail\n", True),
    ):
        remote.commit("environments", {FILE: BAD.to_yaml()}, message)
        cluster.state = rollout()
        guard.reconcile("production")
        assert (in_git(remote) == "1.2") is stays, message
    assert "freeze: production is frozen until 2199-01-01 00:00 UTC (an audit)" in remote.git(
        "log", "-3", "--format=%B", "environments"
    )


def test_a_rollback_during_a_freeze_stays_whoever_makes_it(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster
) -> None:
    everybody_has(cluster, guard, remote, GOOD, BAD)
    remote.commit("environments", {"freeze.yaml": f"- {FREEZE}"}, "freeze production")
    remote.commit("environments", {FILE: GOOD.to_yaml()}, "Merge pull request 12")
    cluster.state = rollout(GOOD, currentPodHash="newer", stableRS="new")
    guard.reconcile("production")
    assert in_git(remote) == "1.1"
    assert len(cluster.promoted) == 1


def test_nothing_is_put_back_while_freeze_yaml_cannot_be_read(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster
) -> None:
    everybody_has(cluster, guard, remote, GOOD)
    remote.commit("environments", {"freeze.yaml": f"- {FREEZE}- {{"}, "a slip")
    remote.commit("environments", {FILE: BAD.to_yaml()}, "release 1.2")
    cluster.state = rollout()
    guard.reconcile("production")
    assert in_git(remote) == "1.2"


def test_its_record_outlives_a_restart(guard: RollbackLoop, remote: Remote, cluster: FakeCluster) -> None:
    everybody_has(cluster, guard, remote, GOOD, BAD)
    remote.commit("environments", {FILE: GOOD.to_yaml()}, "Merge pull request 12")
    cluster.state = rollout(GOOD, currentPodHash="newer", stableRS="new")
    cluster.state["metadata"]["resourceVersion"] = "41"

    RollbackLoop(cluster, guard.repository, ["production"], log=Log(lambda _: None)).reconcile("production")

    assert cluster.promoted == [("production", "41")]


def test_what_only_the_branch_knows_skips_no_step(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster
) -> None:
    """A cluster that is built anew, or somebody who writes into promoted.yaml."""
    forged = {
        "production": PromotionRecord().with_promoted(
            replace(PromotionEntry.of(GOOD, PROMOTED, guard.started), gates=True)
        )
    }
    remote.commit("environments", {promoted.FILE: promoted.copy_text(forged)}, "by hand")
    everybody_has(cluster, guard, remote, BAD)
    remote.commit("environments", {FILE: GOOD.to_yaml()}, "Rolled-back-to: 1234567")
    cluster.state = rollout(GOOD, currentPodHash="newer", stableRS="old")
    guard.reconcile("production")
    assert cluster.promoted == []


def test_what_is_quarantined_is_refused_by_the_cluster_but_where_it_is_stable(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster
) -> None:
    remote.commit("environments", {FILE: BAD.to_yaml()})
    cluster.state = aborted(at=just_now(seconds=1))
    guard.reconcile("production")
    guard.fetch_git()
    assert cluster.data[REFUSED, "production"] == BAD.image.digest

    cluster.state = rollout(BAD, currentPodHash="new", stableRS="new")
    guard.reconcile("production")
    guard._fetched = 0
    guard.fetch_git()
    assert cluster.data[REFUSED, "production"] == ""


def test_what_is_older_than_20_minutes_is_left_to_a_person(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster, logged: list[str]
) -> None:
    remote.commit("environments", {FILE: BAD.to_yaml()})
    cluster.state = aborted(at=just_now(minutes=21))

    guard.reconcile("production")
    guard.reconcile("production")

    assert in_git(remote) == "1.2"
    assert logged == [
        "production: The failure is more than 20 minutes older than this guard: a person has to decide."
    ]


def test_a_git_server_that_is_away_is_logged_once_and_tried_again(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster, logged: list[str]
) -> None:
    remote.commit("environments", {FILE: BAD.to_yaml()})
    cluster.state = aborted(at=just_now(seconds=1))
    elsewhere = remote.path.with_suffix(".away")
    remote.path.rename(elsewhere)

    guard.reconcile("production")
    guard.reconcile("production")
    elsewhere.rename(remote.path)
    guard.reconcile("production")

    assert in_git(remote) == "1.1"
    assert len(logged) == 2
    assert logged[0].startswith("production: error: ")


def test_a_cluster_that_is_away_does_not_end_the_guard(
    guard: RollbackLoop, cluster: FakeCluster, logged: list[str]
) -> None:
    cluster.away = True
    guard.reconcile("production")
    cluster.away = False
    guard.reconcile("production")

    assert logged == ["production: error: The cluster cannot be reached: refused"]


def test_what_nobody_expected_concerns_one_environment(
    guard: RollbackLoop,
    remote: Remote,
    cluster: FakeCluster,
    logged: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An object that no Rollout looks like: it is logged once, with its traceback."""
    remote.commit("environments", {FILE: BAD.to_yaml()})
    cluster.state = aborted(at=just_now(seconds=1))
    cluster.state["spec"] = ["nonsense"]
    guard.reconcile("production")
    guard.reconcile("production")
    guard.reconcile("dev")
    assert logged == ["production: error: AttributeError(\"'list' object has no attribute 'get'\")"]
    assert [bool(each.exc_info) for each in caplog.records] == [True]
    assert list(guard.errors) == ["production"]

    cluster.state = aborted(at=just_now(seconds=1))
    guard.reconcile("production")
    assert in_git(remote) == "1.1"


def test_a_failed_migration_is_rolled_back(guard: RollbackLoop, remote: Remote, cluster: FakeCluster) -> None:
    remote.commit("environments", {FILE: BAD.to_yaml()})
    cluster.state = rollout(GOOD, currentPodHash="old")
    cluster.job = migration()
    cluster.job["status"]["failed"] = 3
    cluster.job["status"]["conditions"][0]["lastTransitionTime"] = just_now()

    guard.reconcile("production")

    assert in_git(remote) == "1.1"


def test_a_rollback_of_what_was_promoted_takes_no_steps(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster
) -> None:
    everybody_has(cluster, guard, remote, GOOD, BAD)
    # By the button of a web page, whose messages differ.
    remote.commit("environments", {FILE: GOOD.to_yaml()}, "Merge pull request 12")
    cluster.state = rollout(GOOD, currentPodHash="newer", stableRS="new")
    cluster.state["metadata"]["resourceVersion"] = "41"

    guard.reconcile("production")

    assert cluster.promoted == [("production", "41")]


def test_a_release_that_git_has_left_is_aborted_as_it_was_seen(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster, logged: list[str]
) -> None:
    remote.commit("environments", {FILE: BAD.to_yaml()})
    remote.commit("environments", {FILE: GOOD.to_yaml()}, "roll back\n\nRolled-back-to: 1234567\n")
    cluster.state = rollout(BAD)
    cluster.state["metadata"]["resourceVersion"] = "41"

    guard.reconcile("production")

    assert cluster.aborted == [("production", "41")]
    assert logged == ["production: aborts the release that Git has left"]


def test_a_release_on_its_way_is_left_alone(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster, logged: list[str]
) -> None:
    tip = remote.commit("environments", {FILE: BAD.to_yaml()})
    cluster.state = rollout()

    guard.reconcile("production")

    assert remote.tip("environments") == tip
    assert (logged, cluster.promoted) == ([], [])


def test_a_release_on_its_way_fetches_git_only_when_something_changes(
    guard: RollbackLoop,
    remote: Remote,
    cluster: FakeCluster,
    monkeypatch: pytest.MonkeyPatch,
    asked: list[str],
) -> None:
    """Each second, that took the CPU which an abort needed next: Git was back 10 s after it."""
    remote.commit("environments", {FILE: BAD.to_yaml()})
    cluster.state = rollout()
    cluster.state["metadata"]["resourceVersion"] = "1"
    clock = [100.0]
    monkeypatch.setattr("delivery.guard.rollback_loop.time.monotonic", lambda: clock[0])

    guard.fetch_git()

    def fetches() -> int:
        asked.clear()
        guard.reconcile("production")
        return asked.count("fetch")

    assert (fetches(), fetches()) == (1, 0)
    cluster.state["metadata"]["resourceVersion"] = "2"
    assert (fetches(), fetches()) == (1, 0)
    clock[0] += 5
    assert (fetches(), fetches()) == (1, 0)
    cluster.state = aborted(at=just_now(seconds=1))
    cluster.state["metadata"]["resourceVersion"] = "2"
    assert fetches() == 1
    assert in_git(remote) == "1.1"


def test_a_file_that_cannot_be_read_is_logged(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster, logged: list[str]
) -> None:
    remote.commit("environments", {FILE: "revision: [unfinished\n"})
    cluster.state = aborted(at=just_now(seconds=1))

    guard.reconcile("production")

    assert "is not YAML" in logged[0]


def test_a_file_that_cannot_be_read_is_read_once(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster, asked: list[str]
) -> None:
    everybody_has(cluster, guard, remote, GOOD)
    remote.commit("environments", {FILE: "revision: [\n"})
    guard._fetched = -10
    guard.fetch_git()
    guard.reconcile("production")
    asked.clear()
    guard.reconcile("production")
    assert asked == []


def test_what_nobody_expected_of_the_branch_does_not_end_the_loop(
    guard: RollbackLoop, cluster: FakeCluster, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "guard_data", lambda *_: 1 / 0)
    guard.fetch_git()
    assert logged == ["Git: error: ZeroDivisionError('division by zero')"]


def test_it_runs_until_it_is_stopped(guard: RollbackLoop, logged: list[str]) -> None:
    stopped = threading.Event()
    watching = threading.Thread(target=guard.run, args=(stopped,))
    watching.start()
    stopped.set()
    watching.join(10)

    assert not watching.is_alive()
    assert logged == [f"watching production and {guard.repository.remote}"]


def test_an_image_that_does_not_exist_is_rolled_back_before_its_job_gives_up(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster
) -> None:
    remote.commit("environments", {FILE: BAD.to_yaml()})
    cluster.state = rollout(GOOD, currentPodHash="old")
    cluster.job = migration()
    cluster.job["status"] = {"active": 1}

    guard.reconcile("production")
    assert in_git(remote) == "1.2", "its image may be on its way"
    cluster.missing_image = "manifest unknown"
    guard.reconcile("production")

    assert in_git(remote) == "1.1"
    assert "image: 1.2 cannot be had: manifest unknown" in remote.git(
        "log", "-1", "--format=%B", "environments"
    )


def test_what_the_cluster_does_not_let_in_is_rolled_back_though_nothing_moves(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster
) -> None:
    remote.commit("environments", {FILE: BAD.to_yaml()})
    cluster.state = rollout(GOOD, currentPodHash="old")
    cluster.argocd = not_let_in(started=just_now(seconds=-1))
    guard.reconcile("production")
    cluster.argocd["spec"] = {"source": {"digest": "good"}}
    assert in_git(remote) == "1.1"
    message = remote.git("log", "-1", "--format=%B", "environments")
    assert "admission: 1.2 is not let in: Policy signed-images failed: not signed" in message
    guard.reconcile("production")
    assert cluster.terminated == ["production"], "Argo CD tries the refused release again and again"


def test_a_sync_of_what_git_has_left_is_terminated_and_no_other(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster
) -> None:
    remote.commit("environments", {FILE: BAD.to_yaml()})
    remote.commit("environments", {FILE: GOOD.to_yaml()}, "roll back\n\nRolled-back-to: 1234567\n")
    cluster.state = rollout(GOOD, currentPodHash="old")
    cluster.job = migration()
    cluster.job["status"] = {"active": 1}
    running = {"phase": "Running", "syncResult": {"source": {"digest": "bad"}}}
    cluster.argocd = {"spec": {"source": {"digest": "bad"}}, "status": {"operationState": running}}

    guard.reconcile("production")
    assert cluster.terminated == [], "Argo CD does not know yet that it is to go back"
    cluster.argocd["spec"]["source"] = {"digest": "good"}
    guard.reconcile("production")
    assert cluster.terminated == ["production"]
    running["syncResult"] = {"source": {"digest": "good"}}
    guard.reconcile("production")
    assert cluster.terminated == ["production"]


def test_a_rollback_asks_the_git_server_twice(
    guard: RollbackLoop, remote: Remote, cluster: FakeCluster, asked: list[str]
) -> None:
    """Each costs a second on a busy machine: one fetch to decide, one push."""
    for number in range(8):
        remote.commit("environments", {FILE: release(f"1.{number}").to_yaml()})
    remote.commit("environments", {FILE: GOOD.to_yaml()})
    remote.commit("environments", {FILE: BAD.to_yaml()})
    cluster.state = aborted(at=just_now(seconds=1))
    guard.fetch_git()
    asked.clear()

    guard.reconcile("production")
    assert [word for word in asked if word in ("fetch", "ls-remote", "push")] == ["fetch", "push"]

    asked.clear()
    remote.commit("environments", {FILE: BAD.to_yaml()})
    guard.reconcile("production")
    assert asked.count("cat-file") <= 9, "what a commit holds is read once, after its size"
