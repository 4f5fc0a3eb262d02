"""The figures of what was delivered come from Git and the cluster, so a restart changes none of them."""

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

from delivery.gitops import git
from delivery.gitops import promoted as promoted_file
from delivery.gitops.promoted import PROMOTED, PromotionRecord
from delivery.gitops.quarantine import QuarantinedImage, text_with
from delivery.gitops.release import Release
from delivery.guard.maintenance_loop import Rounds
from delivery.guard.metrics import Delivered
from delivery.guard.notifier import Announcer
from delivery.guard.tests.sights import BAD, GOOD, rollout
from delivery.kubernetes.client import Object, Observed
from delivery.tests.hosts import Remote

FILE = "production/release.yaml"
START = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


class MadeUp:
    """Production's Rollout, and nothing to sweep."""

    def __init__(self) -> None:
        self.state: Object | None = None
        self.observed = 0

    def rollout(self, environment: str) -> Object | None:
        return self.state if environment == "production" else None

    def observe(self, environment: str) -> Observed:
        self.observed += 1
        return Observed(rollout=self.rollout(environment))

    def configurations(self, environment: str) -> dict[str, datetime]:
        raise AssertionError(environment)

    def workloads(self, environment: str) -> list[Object]:
        raise AssertionError(environment)

    def delete_configuration(self, environment: str, name: str) -> None:
        raise AssertionError(environment, name)


@pytest.fixture
def cluster() -> MadeUp:
    return MadeUp()


@pytest.fixture
def latest(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> Release:
    """1.1, a bad 1.2 that was healed after 40 s, then 1.3, half an hour after its code."""

    def at(seconds: float) -> None:
        monkeypatch.setenv("GIT_COMMITTER_DATE", (START + timedelta(seconds=seconds)).isoformat())

    at(0)
    code = remote.commit_code({"README": "better\n"})
    remote.commit("environments", {FILE: GOOD.to_yaml()}, "release 1.1 to production")
    at(100)
    bad = remote.commit("environments", {FILE: BAD.to_yaml()}, "release 1.2 to production")
    at(140)
    trailers = f"By: delivery guard\nRolled-back-to: 1234567\nRolled-back-from: {bad}\n"
    subject = "automatic rollback of production to 1.1"
    remote.commit("environments", {FILE: GOOD.to_yaml()}, f"{subject}\n\n{trailers}")
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
    """What the looks keep when one release after the other reached everybody."""
    found = PromotionRecord()
    for each in releases:
        found = found.with_promoted(
            replace(promoted_file.PromotionEntry.of(each, PROMOTED, START), gates=True)
        )
    return {"production": found}


def rounds(cluster: MadeUp, repository: git.Repository, *releases: Release) -> Rounds:
    """As after a start: nothing is remembered."""
    return Rounds(
        cluster,
        repository,
        ["production"],
        records=record(*releases),
        tell=lambda _: None,
        delivered=Delivered(),
    )


def lines(of: Rounds) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(of.delivered)
    found = generate_latest(registry).decode().splitlines()
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in found if not line.startswith("#")
    }


def told(of: Rounds) -> dict[str, float]:
    mine = '{environment="production"}'
    return {name.removesuffix(mine): value for name, value in lines(of).items() if name.endswith(mine)}


def promoted(release: Release, seconds: float, **status: Any) -> Object:
    at = (START + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {"type": "Completed", "status": "True", "lastTransitionTime": at}
    return rollout(release, **{"stableRS": "new", "conditions": [condition]} | status)


def test_they_are_the_same_after_a_restart(
    cluster: MadeUp, repository: git.Repository, latest: Release
) -> None:
    cluster.state = promoted(latest, 1980)
    first = rounds(cluster, repository, GOOD, latest)
    first.go()
    assert told(first) == {
        "delivery_deployments_total": 3,
        "delivery_failed_deployments_total": 1,
        "delivery_time_to_restore_seconds_count": 1,
        "delivery_time_to_restore_seconds_sum": 40,
        "delivery_lead_time_seconds": 1980,
    }
    second = rounds(cluster, repository, GOOD, latest)
    second.go()
    assert told(second) == told(first)


def test_a_new_release_counts_and_has_no_lead_time_before_its_promotion(
    cluster: MadeUp, repository: git.Repository, remote: Remote, latest: Release
) -> None:
    cluster.state = promoted(latest, 1980)
    of = rounds(cluster, repository)
    of.go()
    newer = replace(latest, image=replace(latest.image, digest=f"sha256:{'4' * 64}", version="1.4"))
    remote.commit("environments", {FILE: newer.to_yaml()}, "release 1.4 to production")
    of.go()
    assert told(of)["delivery_deployments_total"] == 4
    assert "delivery_lead_time_seconds" not in told(of), "what is promoted is not what Git names"
    cluster.state = promoted(newer, 1980, stableRS="old")
    of.go()
    assert "delivery_lead_time_seconds" not in told(of), "it is on its way"


def test_of_a_long_history_the_newest_part_is_counted(
    cluster: MadeUp, repository: git.Repository, remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between as many commits as are enough and twice as many, so that the figures rarely fall."""
    monkeypatch.setattr("delivery.guard.maintenance_loop._COMMITS", 2)
    counted = []
    for number in range(5, 9):
        remote.commit("environments", {FILE: with_version(f"1.{number}").to_yaml()}, "release")
        of = rounds(cluster, repository)
        of.go()
        counted.append(told(of)["delivery_deployments_total"])
    assert counted == [2, 2, 3, 2]


def with_version(version: str) -> Release:
    return replace(GOOD, image=replace(GOOD.image, version=version))


def test_what_is_quarantined_has_the_time_at_which_it_failed(
    cluster: MadeUp, repository: git.Repository, remote: Remote, latest: Release
) -> None:
    cluster.state = promoted(latest, 1980)
    of = rounds(cluster, repository)
    entry = QuarantinedImage("sha256:" + "2" * 64, "1.2", "production", "2026-11-24T21:35:00Z", "errors")
    remote.commit(
        "environments", {"quarantine.yaml": text_with((), entry)}, "automatic rollback of production to 1.1"
    )
    of.go()
    series = 'delivery_quarantined_timestamp_seconds{environment="production",version="1.2"}'
    assert lines(of)[series] == datetime(2026, 11, 24, 21, 35, tzinfo=UTC).timestamp()
    remote.commit("environments", {"quarantine.yaml": "[]\n"}, "unquarantine 1.2")
    of.go()
    assert series not in lines(of)


def test_a_time_that_is_none_is_told_and_the_other_figures_go_on(
    cluster: MadeUp, repository: git.Repository, remote: Remote, latest: Release
) -> None:
    cluster.state = promoted(latest, 1980)
    said: list[str] = []
    of = Rounds(cluster, repository, ["production"], tell=said.append, delivered=Delivered())
    entry = QuarantinedImage("sha256:" + "2" * 64, "1.2", "production", "yesterday", "errors")
    remote.commit("environments", {"quarantine.yaml": text_with((), entry)}, "by hand")
    of.go()
    assert told(of)["delivery_deployments_total"] == 3
    assert said == [
        "quarantine: cannot go on: quarantine.yaml says 'yesterday' where a time like 2026-11-24T21:35:00Z belongs."
    ]


def test_people_are_told_of_the_release_and_of_its_promotion(
    cluster: MadeUp, repository: git.Repository, latest: Release
) -> None:
    heard: list[str] = []
    announcer = Announcer({"Slack": lambda said: heard.append(said.subject)}, START + timedelta(seconds=1700))
    of = rounds(cluster, repository, GOOD, latest)
    of.announcer = announcer
    of.go()
    assert heard == ["production: 1.3 is promoted"]
    cluster.state = promoted(latest, 1980)
    of.go()
    of.go()
    assert heard == ["production: 1.3 is promoted", "production: 1.3 is fully promoted"]


def test_a_way_back_has_no_lead_time(
    cluster: MadeUp, repository: git.Repository, remote: Remote, latest: Release
) -> None:
    remote.commit("environments", {FILE: GOOD.to_yaml()}, "back, by a web page's button")
    cluster.state = promoted(GOOD, 1980)
    of = rounds(cluster, repository, GOOD, latest, GOOD)
    of.go()
    assert "delivery_lead_time_seconds" not in told(of)
    assert told(of)["delivery_failed_deployments_total"] == 2


def test_what_was_promoted_is_copied_to_the_branch_once(
    cluster: MadeUp, repository: git.Repository, remote: Remote, latest: Release
) -> None:
    of = rounds(cluster, repository, GOOD, latest)
    of.go()
    assert remote.subjects()[0] == "record 1.3 in production as promoted"
    tip = remote.tip("environments")
    rounds(cluster, repository, GOOD, latest).go()
    assert remote.tip("environments") == tip
    remote.commit("environments", {"promoted.yaml": "production: []\n"}, "a person changes it")
    of.go()
    text = remote.git("show", "environments:promoted.yaml")
    assert [each["version"] for each in yaml.safe_load(text)["production"]] == ["1.1", "1.3"]


def test_it_sweeps_only_now_and_then(cluster: MadeUp, repository: git.Repository) -> None:
    of = rounds(cluster, repository)
    of.go()
    of.go()
    assert cluster.observed == 1


def test_it_goes_round_until_it_is_stopped(cluster: MadeUp, repository: git.Repository) -> None:
    stopped = threading.Event()
    going = threading.Thread(target=rounds(cluster, repository).watch, args=(stopped,))
    going.start()
    stopped.set()
    going.join(20)
    assert not going.is_alive()


def test_what_nobody_expected_ends_neither_the_round_nor_the_guard(
    cluster: MadeUp,
    repository: git.Repository,
    remote: Remote,
    latest: Release,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An object that no Rollout looks like."""
    cluster.state = promoted(latest, 1980) | {"spec": {}}
    entry = QuarantinedImage("sha256:" + "2" * 64, "1.2", "production", "2026-11-24T21:35:00Z", "errors")
    remote.commit("environments", {"quarantine.yaml": text_with((), entry)}, "by hand")
    said: list[str] = []
    of = rounds(cluster, repository, GOOD, latest)
    of.tell = said.append

    of.go()
    of.go()

    assert of.delivered.quarantined
    assert said[0] == "figures: cannot go on: KeyError('template')"
    assert len([each for each in caplog.records if each.exc_info and each.msg == "%s:"]) == len(said)
