"""dev → staging by itself after a healthy soak, on a real Git remote, with a cluster that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.errors import Refused
from delivery.gitops import freeze, git, quarantine
from delivery.gitops.release import Release
from delivery.guard.auto_promotion import parse
from delivery.guard.log import Log
from delivery.guard.maintenance_loop import MaintenanceLoop
from delivery.guard.tests.cluster import FakeCluster
from delivery.guard.tests.states import BAD, GOOD, rollout
from delivery.kubernetes.objects import Object
from delivery.kubernetes.rollout import RolloutStatus
from delivery.tests.hosts import CODE, Remote

NAMES = ("dev", "staging", "demo", "production")


def ago(**time: float) -> str:
    return (datetime.now(tz=UTC) - timedelta(**time)).strftime("%Y-%m-%dT%H:%M:%SZ")


def healthy(of: Release, since: str, **status: Any) -> Object:
    conditions = [
        {"type": "Completed", "status": "True", "lastTransitionTime": ago(days=9)},
        {"type": "Healthy", "status": "True", "lastTransitionTime": since},
    ]
    return rollout(of, **{"phase": "Healthy", "stableRS": "new", "conditions": conditions} | status)


@pytest.fixture
def old(remote: Remote) -> Release:
    """What staging has: the code's first commit."""
    release = replace(GOOD, revision=remote.head)
    remote.commit("environments", {"staging/release.yaml": release.to_yaml()})
    return release


@pytest.fixture
def new(remote: Remote, old: Release) -> Release:
    """What dev has, of a newer commit; both environments are healthy, dev for an hour."""
    assert old
    remote.commit_code({"README": "more\n"})
    release = replace(BAD, revision=remote.head, strategy="rolling-update")
    _at_noon_yesterday(remote, {"dev/release.yaml": release.to_yaml()})
    return release


@pytest.fixture
def loop(
    remote: Remote, cluster: FakeCluster, logged: list[str], old: Release, new: Release
) -> Iterator[MaintenanceLoop]:
    cluster.others = {"dev": healthy(new, ago(hours=1)), "staging": healthy(old, ago(hours=1))}
    with git.opened(str(remote.path), Path.cwd()) as repository:
        yield MaintenanceLoop(
            cluster, repository, [], parse("dev>staging=15m", NAMES), log=Log(logged.append)
        )


def _at_noon_yesterday(remote: Remote, files: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_COMMITTER_DATE", ago(days=1))
        remote.commit("environments", files)


def staging(remote: Remote) -> str:
    return str(remote.release("staging")["image"]["version"])


def test_it_promotes_once_and_says_why(loop: MaintenanceLoop, remote: Remote, logged: list[str]) -> None:
    loop.run_once()
    tip = remote.tip("environments")
    loop.run_once()

    assert staging(remote) == "1.2"
    assert remote.release("staging")["strategy"] == "canary", "each environment keeps its own"
    assert remote.tip("environments") == tip
    message = remote.message()
    assert message.startswith("promote 1.2 from dev to staging\n\nHealthy in dev since ")
    assert "By: delivery guard\nPromoted-from: " in message
    assert len(logged) == 1
    assert logged[0].startswith("dev>staging=15m: promote 1.2 from dev to staging (")


def test_a_first_release_is_promoted_as_well(
    loop: MaintenanceLoop, remote: Remote, cluster: FakeCluster
) -> None:
    remote.commit("environments", {"staging/release.yaml": None})
    del cluster.others["staging"]
    loop.run_once()
    assert staging(remote) == "1.2"


@pytest.mark.parametrize(
    "status",
    [
        {"conditions": [{"type": "Healthy", "status": "True", "lastTransitionTime": ago(minutes=1)}]},
        {"conditions": [{"type": "Healthy", "status": "False", "lastTransitionTime": ago(hours=1)}]},
        {"conditions": []},
        {"phase": "Degraded"},
        {"phase": "Progressing"},
        {"stableRS": "old"},
        {"abort": True},
        {"observedGeneration": "6"},
    ],
    ids=[
        "too short",
        "not healthy",
        "not known",
        "degraded",
        "on its way",
        "moving",
        "aborted",
        "not seen yet",
    ],
)
def test_what_has_not_been_healthy_for_that_long_stays(
    loop: MaintenanceLoop, remote: Remote, cluster: FakeCluster, new: Release, status: dict[str, Any]
) -> None:
    cluster.others["dev"] = healthy(new, ago(hours=1), **status)
    loop.run_once()
    assert staging(remote) == "1.1"


def test_the_soak_begins_with_gits_commit_and_ends_with_gits_release(
    loop: MaintenanceLoop, remote: Remote, new: Release
) -> None:
    remote.commit("environments", {"dev/release.yaml": replace(new, strategy="canary").to_yaml()})
    loop.run_once()
    assert staging(remote) == "1.1", "dev has had this release for a moment only"
    _at_noon_yesterday(remote, {"dev/release.yaml": replace(new, revision="f" * 40).to_yaml()})
    loop.run_once()
    assert staging(remote) == "1.1", "what has been healthy is not what Git names"


@pytest.mark.parametrize(
    "status",
    [{"phase": "Paused", "stableRS": "old"}, {"abort": True, "phase": "Degraded"}, {"phase": "Degraded"}],
)
def test_it_waits_for_a_target_that_is_busy_or_in_trouble(
    loop: MaintenanceLoop,
    remote: Remote,
    cluster: FakeCluster,
    old: Release,
    logged: list[str],
    status: dict[str, Any],
) -> None:
    cluster.others["staging"] = healthy(old, ago(hours=1), **status)
    loop.run_once()
    loop.run_once()
    assert staging(remote) == "1.1"
    assert logged == [
        "dev>staging=15m: 1.2 is not promoted: staging is in the middle of a release, or not healthy."
    ]
    cluster.others["staging"] = healthy(old, ago(seconds=1))
    loop.run_once()
    assert staging(remote) == "1.2"


def test_what_somebody_left_is_not_promoted_again(
    loop: MaintenanceLoop, remote: Remote, cluster: FakeCluster, old: Release, logged: list[str]
) -> None:
    loop.run_once()
    remote.commit(
        "environments", {"staging/release.yaml": old.to_yaml()}, "roll back\n\nRolled-back-to: 1234567\n"
    )
    cluster.others["staging"] = healthy(old, ago(hours=1))
    loop.run_once()
    assert staging(remote) == "1.1"
    assert "staging has had it already and left it, so a person decides." in logged[-1]


def test_an_older_revision_does_not_take_the_place_of_a_newer_one(
    loop: MaintenanceLoop, remote: Remote, cluster: FakeCluster, logged: list[str]
) -> None:
    remote.commit_code({"README": "even more\n"})
    newer = replace(GOOD, revision=remote.head, image=replace(GOOD.image, version="1.3"))
    remote.commit("environments", {"staging/release.yaml": newer.to_yaml()})
    cluster.others["staging"] = healthy(newer, ago(hours=1))
    loop.run_once()
    assert staging(remote) == "1.3"
    assert "staging runs a commit that 1.2 of dev does not contain: a person decides" in logged[-1]
    hotfix = replace(newer, revision=remote.commit("hotfix", CODE))
    remote.commit("environments", {"staging/release.yaml": hotfix.to_yaml()})
    cluster.others["staging"] = healthy(hotfix, ago(hours=1))
    loop.run_once()
    assert staging(remote) == "1.3", "another branch of the code is not lost either"


def test_a_quarantined_image_and_a_frozen_environment_are_left_alone(
    loop: MaintenanceLoop, remote: Remote, logged: list[str], new: Release
) -> None:
    entry = quarantine.QuarantinedImage(
        new.image.digest, "1.2", "production", "2026-01-01T00:00:00Z", "was slow"
    )
    remote.commit("environments", {quarantine.FILE: yaml.safe_dump([asdict(entry)])})
    loop.run_once()
    once = freeze.Once(datetime(2020, 1, 1, tzinfo=UTC), datetime(2199, 1, 1, tzinfo=UTC))
    frozen = str(freeze.Window(("staging",), "an audit", once))
    remote.commit("environments", {quarantine.FILE: "[]\n", freeze.FILE: frozen})
    loop.run_once()
    remote.commit("environments", {freeze.FILE: "- [unfinished\n"})
    loop.run_once()
    assert staging(remote) == "1.1"
    assert "1.2 is not promoted: it is quarantined." in logged[0]
    assert "staging is frozen until 2199-01-01 00:00 UTC (an audit)." in logged[1]
    assert "error: freeze.yaml on the branch environments is not YAML (line 2)" in logged[2]
    remote.commit("environments", {freeze.FILE: None})
    loop.run_once()
    assert staging(remote) == "1.2"


def test_a_revision_without_the_targets_settings_is_not_promoted(
    loop: MaintenanceLoop, remote: Remote, cluster: FakeCluster, logged: list[str]
) -> None:
    remote.commit_code({"environments/staging/values.yaml": None})
    release = replace(BAD, revision=remote.head)
    _at_noon_yesterday(remote, {"dev/release.yaml": release.to_yaml()})
    cluster.others["dev"] = healthy(release, ago(hours=1))
    loop.run_once()
    assert staging(remote) == "1.1"
    assert "has no environments/staging/values.yaml" in logged[0]


def test_a_git_server_that_is_away_is_logged_once_and_tried_again(
    loop: MaintenanceLoop, remote: Remote, logged: list[str]
) -> None:
    elsewhere = remote.path.with_suffix(".away")
    remote.path.rename(elsewhere)
    loop.run_once()
    loop.run_once()
    elsewhere.rename(remote.path)
    loop.run_once()
    assert staging(remote) == "1.2"
    assert len(logged) == 2
    assert logged[0].startswith("Git: error: ")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("dev>staging", "is a list like dev>staging=15m (s, m or h), which 'dev>staging' is not."),
        ("dev>staging=0m", "which 'dev>staging=0m' is not."),
        ("dev>staging=15m;a>b=1m", "is not."),
        ("staging>production=2h", "only a person promotes: delivery promote staging production."),
        ("dev>qa=1m", "but qa is not watched."),
        ("dev>dev=1m", "not by 'dev>dev=1m'"),
        ("dev>demo=1m,staging>demo=1m", "demo is promoted to from one other environment"),
    ],
)
def test_a_variable_that_makes_no_sense_is_refused_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(Refused, match="DELIVERY_PROMOTIONS") as refusal:
        parse(text, NAMES)
    assert sentence in str(refusal.value)


def test_a_variable_may_name_several_or_none() -> None:
    assert parse("", NAMES) == ()
    first, second = parse("dev>staging=15m, staging>demo=2h", NAMES)
    assert (first.source, first.target, first.soak) == ("dev", "staging", timedelta(minutes=15))
    assert second.soak == timedelta(hours=2)


def test_a_rollout_without_a_status_is_not_settled() -> None:
    assert RolloutStatus.parse({"metadata": {}, "spec": {}}).settled_since is None
