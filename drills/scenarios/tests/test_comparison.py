"""What others would ship is our chart's pods with their own way of deciding; the page has what was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from delivery.kubernetes.objects import Object
from drills import runner
from drills.fixtures import baselines, images, local_cluster
from drills.fixtures.images import Image
from drills.load.traffic import traffic
from drills.scenarios import comparison
from drills.tests.drills import bad, good

IMAGE = Image("1.0", "sha256:" + "ab" * 32, "c0ffee")


@pytest.fixture(scope="module")
def rendered() -> list[Object]:
    return baselines.rendered(IMAGE)


def one(objects: list[Object], kind: str, name: str = "crm") -> Object:
    (found,) = (each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name))
    return found


def test_a_deployment_takes_the_rollouts_place(rendered: list[Object]) -> None:
    objects = baselines.as_deployment(rendered)

    deployment = one(objects, "Deployment")
    assert "Rollout" not in {each["kind"] for each in objects}
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"].endswith(f"@{IMAGE.digest}")
    assert deployment["spec"]["replicas"] == 4
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert one(objects, "Service", "crm-stable")["spec"]["selector"].items() <= labels.items()


def test_the_documented_analysis_has_its_documented_numbers(rendered: list[Object]) -> None:
    objects = baselines.as_documented(rendered)

    canary = one(objects, "Rollout")["spec"]["strategy"]["canary"]
    assert [step["setWeight"] for step in canary["steps"] if "setWeight" in step] == [20, 40, 60, 80]
    assert canary["analysis"]["startingStep"] == 2
    (metric,) = one(objects, "AnalysisTemplate", "success-rate")["spec"]["metrics"]
    assert (metric["interval"], metric["failureLimit"]) == ("5m", 3)
    assert (
        'rollouts_pod_template_hash="{{args.canary-hash}}", status!~"5.."'
        in metric["provider"]["prometheus"]["query"]
    )


def test_new_users_sign_up_with_the_version_before_while_the_bad_one_has_its_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seen: after 12 minutes the second load asked the router, and the bad version answered 500 to its users."""
    clock = [0.0]
    monkeypatch.setattr("drills.scenarios.comparison.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(local_cluster, "output", lambda _: "10.96.0.7:80")
    environment = Mock()

    comparison._aborted(environment)
    aborted = environment.wait_until.call_args_list[0].args[0]
    for clock[0], is_aborted in ((60.0, False), (721.0, False), (722.0, False), (723.0, True)):
        assert aborted(Mock(rollout=Mock(aborted=is_aborted))) == is_aborted

    environment.start_load.assert_called_once_with(traffic(), sign_up_at="http://10.96.0.7:80")


def test_users_and_the_bad_version_come_after_the_migration(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Seen: pods that answered before the migration was done failed the whole comparison."""
    done: list[str] = []
    environment = Mock(folder=tmp_path)
    environment.wait_until.side_effect = lambda *_: done.append("answers")
    monkeypatch.setattr(comparison, "Given", lambda *_: Mock(under=note("load")))

    def note(name: str) -> Any:
        return lambda *_, **__: done.append(name)

    def kubectl(*words: str, **_: object) -> None:
        done.append(" ".join(words[:3]))

    monkeypatch.setattr(local_cluster, "output", lambda *_, **__: "")
    monkeypatch.setattr(images, "image", lambda _: IMAGE)
    monkeypatch.setattr(baselines, "rendered", lambda _: [])
    monkeypatch.setattr(comparison, "Environment", lambda *_, **__: environment)
    monkeypatch.setattr(comparison, "_apply", note("apply"))
    monkeypatch.setattr(comparison, "_kubectl", kubectl)
    monkeypatch.setattr(runner, "perform", lambda environment, play: play(environment))

    comparison._theirs("deployment", "Theirs", baselines.as_deployment, note("ending"), Mock())

    migrated = "wait --for=condition=complete job/crm-migrate"
    assert done == ["apply", migrated, "answers", "load", "apply", "ending"]


def test_the_page_has_each_ones_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "head", lambda: "c0ffee" * 7)
    monkeypatch.setenv("RATE", "20")
    for_ever = replace(good(), title="A plain rolling update", snapshots=[])

    page = comparison.text([for_ever, replace(bad(), title="This platform", problem="Too slow.")])

    assert "users send 20 requests/s" in page
    assert (
        "every 3s from 5s on, as in all its drills; by itself the chart measures\nevery 5s from 15s on"
        in page
    )
    assert "| A plain rolling update | 0 of 1300 (0.00%) | never by itself | never by itself |" in page
    assert "| 28 | 13 |" in page
    assert "- **This platform**: Too slow." in page
