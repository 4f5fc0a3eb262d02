"""A quarantine is lifted by a commit of its own, and by nothing else that happens to the branch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from delivery.errors import Refused
from delivery.gitops import git, quarantine
from delivery.gitops.branch import fetch
from delivery.gitops.quarantine import QuarantinedImage
from delivery.guard.refusals import Refusals
from delivery.guard.tests.cluster import FakeCluster
from delivery.guard.tests.states import BAD, GOOD
from delivery.kubernetes.client import REFUSED
from delivery.tests.hosts import Remote

FILE = "production/release.yaml"
ENTRY = QuarantinedImage(BAD.image.digest, "1.2", "production", "2026-01-01T00:00:00Z", "errors")
LISTED = quarantine.text_of([ENTRY])
LIFTED = quarantine.text_of([])


@pytest.fixture
def repository(remote: Remote) -> Iterator[git.Repository]:
    """1.2 was released, failed and was rolled back by one commit, which quarantines it."""
    remote.commit("environments", {FILE: GOOD.to_yaml()}, "release 1.1")
    remote.commit("environments", {FILE: BAD.to_yaml()}, "release 1.2")
    remote.commit("environments", {FILE: GOOD.to_yaml(), quarantine.FILE: LISTED}, "roll back")
    with git.opened(str(remote.path), Path.cwd()) as opened:
        yield opened


def follow(cluster: FakeCluster, repository: git.Repository, stable: str = GOOD.image.digest) -> str:
    """As a guard does that has just been started."""
    return Refusals(cluster, repository, lambda _: stable).follow(fetch(repository), ["dev", "production"])


def listed(remote: Remote) -> bool:
    return BAD.image.digest in remote.git("show", f"environments:{quarantine.FILE}")


def test_it_is_refused_in_every_environment_but_where_everybody_has_it(
    cluster: FakeCluster, repository: git.Repository
) -> None:
    assert follow(cluster, repository) == ""
    assert (cluster.data[REFUSED, "dev"], cluster.data[REFUSED, "production"]) == (
        BAD.image.digest,
        BAD.image.digest,
    )
    follow(cluster, repository, stable=BAD.image.digest)
    assert (cluster.data[REFUSED, "dev"], cluster.data[REFUSED, "production"]) == ("", "")


def test_nothing_is_written_where_nothing_changes(cluster: FakeCluster, repository: git.Repository) -> None:
    refusals = Refusals(cluster, repository, lambda _: "")
    for _ in range(3):
        refusals.follow(fetch(repository), ["production"])
    assert len(cluster.written) == 2


def test_unquarantine_lifts_it_though_the_image_is_released_right_after(
    cluster: FakeCluster, repository: git.Repository, remote: Remote
) -> None:
    follow(cluster, repository)
    remote.commit("environments", {quarantine.FILE: LIFTED}, "unquarantine 1.2")
    remote.commit("environments", {FILE: BAD.to_yaml()}, "release 1.2")
    assert follow(cluster, repository) == ""
    assert cluster.data[REFUSED, "production"] == ""
    assert not listed(remote)


def test_a_revert_of_the_rollback_does_not_lift_it(
    cluster: FakeCluster, repository: git.Repository, remote: Remote
) -> None:
    follow(cluster, repository)
    remote.commit("environments", {FILE: BAD.to_yaml(), quarantine.FILE: LIFTED}, 'Revert "roll back"')
    remote.commit("environments", {"README.md": "newer\n"}, "something else")
    assert follow(cluster, repository).startswith("quarantine 1.2 again (")
    assert cluster.data[REFUSED, "production"] == BAD.image.digest
    assert listed(remote)
    assert follow(cluster, repository) == ""


def test_a_branch_that_was_moved_by_force_does_not_lift_it(
    cluster: FakeCluster, repository: git.Repository, remote: Remote
) -> None:
    follow(cluster, repository)
    remote.git("update-ref", "refs/heads/environments", "environments~1")
    assert follow(cluster, repository).startswith("quarantine 1.2 again (")
    assert listed(remote)


def test_what_was_lifted_while_there_was_no_guard_stays_lifted(
    cluster: FakeCluster, repository: git.Repository, remote: Remote
) -> None:
    follow(cluster, repository)
    remote.commit("environments", {quarantine.FILE: LIFTED}, "unquarantine 1.2")
    remote.commit("environments", {quarantine.FILE: LISTED}, "again")
    remote.commit("environments", {quarantine.FILE: LIFTED}, "and again")
    assert follow(cluster, repository) == ""
    assert not listed(remote)


def test_a_file_that_cannot_be_read_lifts_nothing(
    cluster: FakeCluster, repository: git.Repository, remote: Remote
) -> None:
    follow(cluster, repository)
    remote.commit("environments", {quarantine.FILE: "- ["}, "a slip")
    with pytest.raises(Refused, match="is not YAML"):
        follow(cluster, repository)
    assert cluster.data[REFUSED, "production"] == BAD.image.digest
