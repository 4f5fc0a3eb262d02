"""The log of the branch shows what happened, whoever wrote it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from delivery.cli.main import main
from delivery.gitops import dora, freeze, git, promoted, quarantine
from delivery.gitops.branch import ReleaseRecord, fetch
from delivery.gitops.history import events
from delivery.guard.decision import Rollback
from delivery.guard.rollback import roll_back
from delivery.guard.tests.states import BAD, GOOD
from delivery.tests.hosts import Remote

FILE = "production/release.yaml"
START = datetime.now(tz=UTC).replace(microsecond=0) - timedelta(hours=2)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets what follows happen some minutes after the start."""

    def set_time(minutes: float) -> None:
        monkeypatch.setenv("GIT_COMMITTER_DATE", (START + timedelta(minutes=minutes)).isoformat())

    return set_time


@pytest.fixture
def branch(remote: Remote, at: Any) -> Remote:
    """1.1 by hand, 1.2 that the guard rolls back, 1.2 unquarantined, 1.3 released and rolled back, staging frozen."""
    at(0)
    good = remote.commit("environments", {FILE: GOOD.to_yaml()}, "production gets 1.1\n\nafter a talk\n")
    at(10)
    bad = remote.commit(
        "environments", {FILE: BAD.to_yaml()}, "release 1.2 to production\n\nimage: x\n\nBy: Ada\n"
    )
    at(11)
    with git.opened(str(remote.path), Path.cwd()) as repository:
        decision = Rollback(ReleaseRecord(good, GOOD), BAD, bad, ("error-rate: 12 of 31 failed",), blame=True)
        assert roll_back(repository, "production", decision, now=START)
    at(20)
    assert main(["unquarantine", BAD.image.digest, "--reason", "the disk was full"]) == 0
    at(30)
    third = replace(BAD, image=replace(BAD.image, version="1.3", digest=f"sha256:{'3' * 64}"))
    remote.commit("environments", {FILE: third.to_yaml()}, "promote 1.3 from staging to production\n")
    at(33)
    remote.commit("environments", {FILE: GOOD.to_yaml()}, f'Revert "1.3"\n\nThis reverts commit {good}.\n')
    at(40)
    command = ["freeze", "staging", "--until", "2199-01-01", "--reason", "an audit"]
    assert main(command) == 0
    return remote


@pytest.fixture
def shown(branch: Remote, capsys: pytest.CaptureFixture[str]) -> Any:
    assert branch
    capsys.readouterr()

    def shown(*arguments: str) -> Any:
        assert main(["history", "--json", *arguments]) == 0
        return json.loads(capsys.readouterr().out)

    return shown


def test_it_is_shown_newest_first_with_kind_version_and_reason(shown: Any) -> None:
    assert [
        (each["environment"], each["kind"], each["version"], each["was"], each["by"], each["why"])
        for each in shown()
    ] == [
        ("staging", "freeze", None, None, "Ada", "freeze staging until 2199-01-01 00:00 UTC; an audit"),
        ("production", "rollback", "1.1", "1.3", "Ada", f"This reverts commit {shown()[-1]['commit']}."),
        ("production", "promotion", "1.3", "1.1", "Ada", ""),
        (None, "unquarantine", None, None, "Ada", "unquarantine 1.2; the disk was full"),
        ("production", "automatic rollback", "1.1", "1.2", "delivery guard", "error-rate: 12 of 31 failed"),
        ("production", "release", "1.2", "1.1", "Ada", ""),
        ("production", "release", "1.1", None, "Ada", "after a talk"),
    ]
    assert shown()[-1]["at"] == START.isoformat()


def test_one_environment_and_a_number_are_enough(shown: Any) -> None:
    assert [each["kind"] for each in shown("staging")] == ["freeze", "unquarantine"]
    assert [each["kind"] for each in shown("production", "-n", "2")] == ["rollback", "promotion"]


def test_a_file_that_could_not_be_read_is_part_of_it(branch: Remote, shown: Any) -> None:
    branch.commit("environments", {FILE: "{", "dev/release.yaml": GOOD.to_yaml()})
    branch.commit("environments", {FILE: None})
    gone, broken, dev = shown("-n", "3")
    assert (gone["kind"], gone["version"]) == ("release", None)
    assert (dev["environment"], dev["version"], dev["was"]) == ("dev", "1.1", None)
    assert "is not YAML" in broken["problem"]


def test_it_says_what_became_of_each_release(branch: Remote, shown: Any) -> None:
    """By what the guard has written down, at the time and later."""
    third = replace(BAD, image=replace(BAD.image, version="1.3", digest=f"sha256:{'3' * 64}"))
    record = promoted.PromotionRecord().with_promoted(
        promoted.PromotionEntry.of(GOOD, promoted.PROMOTED, START)
    )
    for release, weight in ((BAD, 5), (third, 20)):
        entry = promoted.PromotionEntry.of(release, promoted.IN_PROGRESS, START)
        record = record.with_moving(replace(entry, weight=weight)).with_aborted(entry)
        branch.commit("environments", {promoted.FILE: promoted.copy_text({"production": record})}, "record")
    branch.commit("environments", {promoted.FILE: "- a slip\n"}, "by hand")
    became = [(each["version"], each["outcome"], each["weight"]) for each in shown("production")]
    assert [each for each in became if each[1]] == [
        ("1.3", "aborted", 20),
        ("1.2", "aborted", 5),
        ("1.1", "promoted", None),
    ]


def test_the_table_fits_the_terminal(
    branch: Remote, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    assert branch
    for width in (80, 160):
        monkeypatch.setenv("COLUMNS", str(width))
        capsys.readouterr()
        assert main(["history", "production"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].split() == ["when", "(UTC)", "environment", "what", "version", "by"]
        assert max(map(len, lines)) <= width
        assert any(
            line.endswith("automatic rollback  1.1      delivery guard")
            and re.fullmatch(r"    [0-9a-f]{8}  was 1.2  error-rate: 12 of 31 failed", below.rstrip())
            for line, below in pairwise(lines)
        )


def test_a_branch_without_a_release_has_none(remote: Remote, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--remote", str(remote.path)]) == 0
    capsys.readouterr()
    assert main(["history"]) == 0
    assert capsys.readouterr().out == "Nothing has been released yet.\n"


def test_metrics_count_deployments_failures_and_the_time_until_the_rollback(
    branch: Remote, capsys: pytest.CaptureFixture[str]
) -> None:
    with git.opened(str(branch.path), Path.cwd()) as repository:
        found = dora.of("production", events(repository, fetch(repository)))
    assert len(found.deployments) == 3
    assert found.restored == (timedelta(minutes=1), timedelta(minutes=3))
    capsys.readouterr()
    assert main(["history", "--metrics"]) == 0
    assert capsys.readouterr().out == (
        "production: 3 deployments in the last 30 days, 2 failed (67 %), rolled back after 2 min (median)\n"
    )
    assert main(["history", "dev", "--metrics"]) == 0
    assert capsys.readouterr().out == "dev: no deployment in the last 30 days\n"


def test_a_long_history_is_read_with_few_calls_of_git(
    remote: Remote, at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        at(number)
        release = replace(GOOD, image=replace(GOOD.image, version=f"1.{number}"))
        remote.commit("environments", {FILE: release.to_yaml().replace("\n", "\r\n")})
    calls: list[str] = []
    run_git = git._run

    def counted(words: Any, **more: Any) -> bytes:
        calls.append(words[0])
        return run_git(words, **more)

    with git.opened(str(remote.path), Path.cwd()) as repository:
        branch = fetch(repository)
        monkeypatch.setattr(git, "_run", counted)
        found = events(repository, branch)
    assert [each.release and each.release.image.version for each in found[:2]] == ["1.29", "1.28"]
    assert calls == ["log", "cat-file", "cat-file"]


def test_commits_of_version_1_0_are_shown_under_their_new_names(branch: Remote, shown: Any) -> None:
    branch.commit("environments", {FILE: BAD.to_yaml()}, "release 1.2 to production")
    branch.commit(
        "environments", {FILE: GOOD.to_yaml()}, "heal production: back to 1.1\n\nBy: delivery guard\n"
    )
    branch.commit("environments", {quarantine.FILE: "[ ]\n"}, "pardon 1.2\n\nthe disk was full\n")
    assert [each["kind"] for each in shown("-n", "2")] == ["unquarantine", "automatic rollback"]


def test_a_freeze_written_by_hand_is_shown_as_well(
    remote: Remote, capsys: pytest.CaptureFixture[str]
) -> None:
    remote.commit("environments", {freeze.FILE: "[]\n"}, "nothing is frozen")
    assert main(["history", "--json"]) == 0
    (event,) = json.loads(capsys.readouterr().out)
    assert (event["kind"], event["environment"], event["why"]) == ("freeze", None, "nothing is frozen")
