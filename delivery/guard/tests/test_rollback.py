from pathlib import Path

import yaml

from delivery.gitops import git
from delivery.gitops.branch import ReleaseRecord, fetch
from delivery.guard.decision import Rollback
from delivery.guard.rollback import roll_back
from delivery.guard.tests.states import BAD, GOOD, NOW
from delivery.tests.hosts import Remote

FILE = "production/release.yaml"
REASON = "error-rate: 22 of 30 requests of 1.2 failed (73 %, limit 5 %)"


def test_git_is_rolled_back_with_the_reason_and_the_quarantine_once(remote: Remote) -> None:
    good = remote.commit("environments", {FILE: GOOD.to_yaml()})
    bad = remote.commit("environments", {FILE: BAD.to_yaml()})
    decision = Rollback(ReleaseRecord(good, GOOD), BAD, bad, (REASON,), blame=True)
    with git.opened(str(remote.path), Path.cwd()) as repository:
        assert roll_back(repository, "production", decision, now=NOW)
        assert roll_back(repository, "production", decision, now=NOW) is None
        history = fetch(repository).releases("production")
    assert [past.release for past in history] == [GOOD, BAD, GOOD]
    assert remote.subjects()[0] == "automatic rollback of production to 1.1"
    message = remote.message()
    assert REASON in message
    assert "docs/runbooks/RolloutAborted.md" in message
    assert f"By: delivery guard\nRolled-back-to: {good}\nRolled-back-from: {bad}" in message
    (entry,) = yaml.safe_load(remote.git("show", "environments:quarantine.yaml"))
    assert entry == {
        "digest": BAD.image.digest,
        "version": "1.2",
        "environment": "production",
        "at": "2026-01-02T12:00:00Z",
        "reason": REASON,
    }


def test_without_blame_nothing_is_quarantined(remote: Remote) -> None:
    good = remote.commit("environments", {FILE: GOOD.to_yaml()})
    bad = remote.commit("environments", {FILE: BAD.to_yaml()})
    decision = Rollback(ReleaseRecord(good, GOOD), BAD, bad, ("aborted",), blame=False)
    with git.opened(str(remote.path), Path.cwd()) as repository:
        assert roll_back(repository, "production", decision, now=NOW)
    assert remote.git("ls-tree", "--name-only", "environments").split() == ["production"]


def test_a_newer_release_is_left_alone(remote: Remote) -> None:
    good = remote.commit("environments", {FILE: GOOD.to_yaml()})
    bad = remote.commit("environments", {FILE: BAD.to_yaml()})
    newer = remote.commit("environments", {FILE: GOOD.to_yaml()}, "a person was faster")
    decision = Rollback(ReleaseRecord(good, GOOD), BAD, bad, (REASON,), blame=True)
    with git.opened(str(remote.path), Path.cwd()) as repository:
        assert roll_back(repository, "production", decision, now=NOW) is None
    assert remote.tip("environments") == newer


def test_a_quarantine_that_cannot_be_read_does_not_hold_up_the_rollback(remote: Remote) -> None:
    good = remote.commit("environments", {FILE: GOOD.to_yaml(), "quarantine.yaml": "- [unfinished\n"})
    bad = remote.commit("environments", {FILE: BAD.to_yaml()})
    decision = Rollback(ReleaseRecord(good, GOOD), BAD, bad, (REASON,), blame=True)
    with git.opened(str(remote.path), Path.cwd()) as repository:
        assert roll_back(repository, "production", decision, now=NOW)
    (entry,) = yaml.safe_load(remote.git("show", "environments:quarantine.yaml"))
    assert entry["digest"] == BAD.image.digest
