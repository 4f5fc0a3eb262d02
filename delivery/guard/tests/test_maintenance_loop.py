"""The metrics of what was delivered come from Git and the cluster, so a restart changes none of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from delivery.conftest import wait_for
from delivery.gitops import git
from delivery.gitops import promoted as promoted_file
from delivery.gitops.promoted import PROMOTED, PromotionRecord
from delivery.gitops.quarantine import QuarantinedImage, text_with
from delivery.gitops.release import Release
from delivery.guard.log import Log
from delivery.guard.maintenance_loop import MaintenanceLoop
from delivery.guard.metrics import DeliveryMetrics
from delivery.guard.notifier import Notifier
from delivery.guard.tests.cluster import FakeCluster
from delivery.guard.tests.states import BAD, GOOD, rollout
from delivery.kubernetes.objects import Object
from delivery.tests.hosts import Remote

FILE = "production/release.yaml"
START = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


@pytest.fixture
def latest(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> Release:
    """1.1, a bad 1.2 that was rolled back after 40 s, then 1.3, half an hour after its code."""

    def at(seconds: float) -> None:
        monkeypatch.setenv("GIT_COMMITTER_DATE", (START + timedelta(seconds=seconds)).isoformat())

    at(0)
    code = remote.commit_code({"README": "better\n"})
    remote.commit("environments", {FILE: GOOD.to_yaml()}, "release 1.1 to production")
    at(100)
    bad = remote.commit("environments", {FILE: BAD.to_yaml()}, "release 1.2 to production")
    at(140)
    trailers = f"By: delivery guard\nRolled-back-to: 1234567\nRolled-back-from: {bad}\n"
    remote.commit(
        "environments", {FILE: GOOD.to_yaml()}, f"automatic rollback of production to 1.1\n\n{trailers}"
    )
    at(1800)
    third = replace(BAD, revision=code, image=replace(BAD.image, digest=f"sha256:{'3' * 64}", version="1.3"))
    remote.commit("environments", {FILE: third.to_yaml()}, "promote 1.3 from staging to production")
    return third


@pytest.fixture
def repository(remote: Remote, latest: Release) -> Iterator[git.Repository]:
    assert latest
    with git.opened(str(remote.path), Path.cwd()) as opened:
        yield opened


def record(*releases: Release) -> dict[str, PromotionRecord]:
    """What the rollback loop keeps when one release after the other reached everybody."""
    found = PromotionRecord()
    for each in releases:
        found = found.with_promoted(
            replace(promoted_file.PromotionEntry.of(each, PROMOTED, START), gates=True)
        )
    return {"production": found}


def maintenance(cluster: FakeCluster, repository: git.Repository, *releases: Release) -> MaintenanceLoop:
    """As after a start: nothing is remembered."""
    return MaintenanceLoop(
        cluster,
        repository,
        ["production"],
        records=record(*releases),
        log=Log(lambda _: None),
        metrics=DeliveryMetrics(),
    )


def lines(of: MaintenanceLoop) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(of.metrics)
    found = generate_latest(registry).decode().splitlines()
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in found if not line.startswith("#")
    }


def values(of: MaintenanceLoop) -> dict[str, float]:
    mine = '{environment="production"}'
    return {name.removesuffix(mine): value for name, value in lines(of).items() if name.endswith(mine)}


def promoted(release: Release, seconds: float, **status: Any) -> Object:
    at = (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {"type": "Completed", "status": "True", "lastTransitionTime": at}
    return rollout(release, **{"stableRS": "new", "conditions": [condition]} | status)


def test_they_are_the_same_after_a_restart(
    cluster: FakeCluster, repository: git.Repository, latest: Release
) -> None:
    cluster.state = promoted(latest, 1980)
    first = maintenance(cluster, repository, GOOD, latest)
    first.run_once()
    assert values(first) == {
        "delivery_deployments_total": 3,
        "delivery_failed_deployments_total": 1,
        "delivery_time_to_restore_seconds_count": 1,
        "delivery_time_to_restore_seconds_sum": 40,
        "delivery_lead_time_seconds": 1980,
    }
    second = maintenance(cluster, repository, GOOD, latest)
    second.run_once()
    assert values(second) == values(first)


def test_a_new_release_counts_and_has_no_lead_time_before_its_promotion(
    cluster: FakeCluster, repository: git.Repository, remote: Remote, latest: Release
) -> None:
    cluster.state = promoted(latest, 1980)
    of = maintenance(cluster, repository)
    of.run_once()
    newer = replace(latest, image=replace(latest.image, digest=f"sha256:{'4' * 64}", version="1.4"))
    remote.commit("environments", {FILE: newer.to_yaml()}, "release 1.4 to production")
    of.run_once()
    assert values(of)["delivery_deployments_total"] == 4
    assert "delivery_lead_time_seconds" not in values(of), "what is promoted is not what Git names"
    cluster.state = promoted(newer, 1980, stableRS="old")
    of.run_once()
    assert "delivery_lead_time_seconds" not in values(of), "it is on its way"


def test_of_a_long_history_the_newest_part_is_counted(
    cluster: FakeCluster, repository: git.Repository, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between as many commits as are enough and twice as many, so that they rarely fall."""
    monkeypatch.setattr("delivery.guard.maintenance_loop._COMMITS", 2)
    counted = []
    for number in range(5, 9):
        remote.commit("environments", {FILE: with_version(f"1.{number}").to_yaml()}, "release")
        of = maintenance(cluster, repository)
        of.run_once()
        counted.append(values(of)["delivery_deployments_total"])
    assert counted == [2, 2, 3, 2]


def with_version(version: str) -> Release:
    return replace(GOOD, image=replace(GOOD.image, version=version))


def test_what_is_quarantined_has_the_time_at_which_it_failed(
    cluster: FakeCluster, repository: git.Repository, remote: Remote, latest: Release
) -> None:
    cluster.state = promoted(latest, 1980)
    of = maintenance(cluster, repository)
    entry = QuarantinedImage("sha256:" + "2" * 64, "1.2", "production", "2026-11-24T21:35:00Z", "errors")
    remote.commit(
        "environments", {"quarantine.yaml": text_with((), entry)}, "automatic rollback of production to 1.1"
    )
    of.run_once()
    series = 'delivery_quarantined_timestamp_seconds{environment="production",version="1.2"}'
    assert lines(of)[series] == datetime(2026, 11, 24, 21, 35, tzinfo=UTC).timestamp()
    remote.commit("environments", {"quarantine.yaml": "[]\n"}, "unquarantine 1.2")
    of.run_once()
    assert series not in lines(of)


def test_a_time_that_is_none_is_logged_and_the_other_metrics_go_on(
    cluster: FakeCluster, repository: git.Repository, remote: Remote, latest: Release
) -> None:
    cluster.state = promoted(latest, 1980)
    logged: list[str] = []
    of = MaintenanceLoop(
        cluster, repository, ["production"], log=Log(logged.append), metrics=DeliveryMetrics()
    )
    entry = QuarantinedImage("sha256:" + "2" * 64, "1.2", "production", "yesterday", "errors")
    remote.commit("environments", {"quarantine.yaml": text_with((), entry)}, "by hand")
    of.run_once()
    assert values(of)["delivery_deployments_total"] == 3
    assert logged == [
        "quarantine: error: quarantine.yaml has 'yesterday' in place of a time like 2026-11-24T21:35:00Z."
    ]


def test_people_are_notified_of_the_release_and_of_its_promotion(
    cluster: FakeCluster, repository: git.Repository, latest: Release
) -> None:
    heard: list[str] = []
    notifier = Notifier(
        {"Slack": lambda message: heard.append(message.subject)}, START + timedelta(seconds=1700)
    )
    of = maintenance(cluster, repository, GOOD, latest)
    of.notifier = notifier
    of.run_once()
    assert heard == ["production: 1.3 is promoted"]
    cluster.state = promoted(latest, 1980)
    of.run_once()
    of.run_once()
    assert heard == ["production: 1.3 is promoted", "production: 1.3 is fully promoted"]


def test_a_rollback_has_no_lead_time(
    cluster: FakeCluster, repository: git.Repository, remote: Remote, latest: Release
) -> None:
    remote.commit("environments", {FILE: GOOD.to_yaml()}, "back, by a web page's button")
    cluster.state = promoted(GOOD, 1980)
    of = maintenance(cluster, repository, GOOD, latest, GOOD)
    of.run_once()
    assert "delivery_lead_time_seconds" not in values(of)
    assert values(of)["delivery_failed_deployments_total"] == 2


def test_what_was_promoted_is_copied_to_the_branch_once(
    cluster: FakeCluster, repository: git.Repository, remote: Remote, latest: Release
) -> None:
    of = maintenance(cluster, repository, GOOD, latest)
    of.run_once()
    assert remote.subjects()[0] == "record 1.3 in production as promoted"
    tip = remote.tip("environments")
    maintenance(cluster, repository, GOOD, latest).run_once()
    assert remote.tip("environments") == tip
    remote.commit("environments", {"promoted.yaml": "production: []\n"}, "a person changes it")
    of.run_once()
    text = remote.git("show", "environments:promoted.yaml")
    assert [each["version"] for each in yaml.safe_load(text)["production"]] == ["1.1", "1.3"]


def test_garbage_is_collected_only_now_and_then(cluster: FakeCluster, repository: git.Repository) -> None:
    of = maintenance(cluster, repository)
    of.run_once()
    of.run_once()
    assert cluster.observed == 1


def test_it_runs_until_it_is_stopped(cluster: FakeCluster, repository: git.Repository) -> None:
    loop, stopped = maintenance(cluster, repository), threading.Event()
    with loop.running(stopped):
        wait_for(lambda: "delivery_deployments_total" in values(loop))
    assert stopped.is_set()
    assert all(each.name != "maintenance loop" for each in threading.enumerate())


def test_what_nobody_expected_ends_neither_the_other_tasks_nor_the_guard(
    cluster: FakeCluster,
    repository: git.Repository,
    remote: Remote,
    latest: Release,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An object that no Rollout looks like."""
    cluster.state = promoted(latest, 1980) | {"spec": ["nonsense"]}
    entry = QuarantinedImage("sha256:" + "2" * 64, "1.2", "production", "2026-11-24T21:35:00Z", "errors")
    remote.commit("environments", {"quarantine.yaml": text_with((), entry)}, "by hand")
    logged: list[str] = []
    of = maintenance(cluster, repository, GOOD, latest)
    of.log = Log(logged.append)

    of.run_once()
    of.run_once()

    assert of.metrics.quarantined
    assert logged[0] == "metrics: error: AttributeError(\"'list' object has no attribute 'get'\")"
    assert len([each for each in caplog.records if each.exc_info and each.msg == "%s:"]) == len(logged)
