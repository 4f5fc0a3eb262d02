"""An environment waits for what its steps name, and fails with what was expected and what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from drills.errors import DrillFailed, NotReady
from drills.fixtures import local_cluster, settings
from drills.observe import diagnosis
from drills.steps import environment
from drills.steps.environment import Environment, described
from drills.steps.release import ReleaseAttempt
from drills.tests.cluster import ENOUGH, REVISION, SHORT, Load, MadeUp, Sends
from drills.tests.drills import failed_analysis, seen


def test_serving_promotes_what_is_on_its_way(
    production: Environment, cluster: MadeUp, delivered: list[str]
) -> None:
    production.serving("1.1")

    assert cluster.stable.version == "1.1"
    assert [words for words in delivered if "promote crm" in words] == [
        "kubectl argo rollouts promote crm --namespace crm-production --full"
    ]


def test_what_serves_has_the_settings_of_the_commit_that_git_names(
    production: Environment, cluster: MadeUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "_FIRST_RELEASE", SHORT)
    cluster.synced = "c0ffee-of-before"

    with pytest.raises(DrillFailed, match=r"Expected version 1\.0 stable in production"):
        production.serving("1.0")


def test_what_git_names_already_is_not_released_again(
    production: Environment, cluster: MadeUp, delivered: list[str]
) -> None:
    production.serving("1.0")

    assert not delivered

    cluster.strategy = "blue-green"  # and Git says canary
    production.configure(strategy="blue-green").serving("1.0")

    assert "delivery release" in delivered[0]
    # Git may name the image at another commit than its own, where a drill left it; that one is waited for.
    assert f"--revision {cluster.synced} " in delivered[0]


def test_waiting_in_vain_says_what_was_expected_and_found(
    release: ReleaseAttempt, cluster: MadeUp, tmp_path: Path
) -> None:
    cluster.weight = 5
    with pytest.raises(DrillFailed) as failure:
        release.wait_for_rollout("Degraded", within=SHORT)

    assert str(failure.value) == (
        "Expected the Rollout to be Degraded with version 1.1 within 0 s; found the Rollout Progressing, the canary's "
        f"weight 5, 2 of 2 pods ready, Argo CD Synced/Progressing. Look at {tmp_path / 'a-drill'} or at: "
        "kubectl argo rollouts get rollout crm -n crm-production"
    )


def test_a_drills_settings_strategy_and_router_are_released_with_its_images(
    production: Environment, cluster: MadeUp, delivered: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed: list[dict[str, Any]] = []

    def with_settings(_: str, wanted: dict[str, Any], *, file: str) -> str:
        pushed.append(wanted)
        return REVISION

    monkeypatch.setattr(settings, "with_settings", with_settings)
    production.router = "nginx"
    cluster.strategy = "ab-test"
    production.configure(settings={"strategy": {"stepDuration": "9s"}}, strategy="ab-test")

    production.serving("1.1")

    released = next(words for words in delivered if "delivery release" in words)
    assert released.endswith(f"--revision {REVISION} --strategy ab-test")
    assert pushed == [{"strategy": {"stepDuration": "9s"}, "routing": {"provider": "nginx"}}]


def test_what_argo_cd_says(production: Environment, cluster: MadeUp) -> None:
    production.wait_for_end_of_argocd_error(within=ENOUGH)
    cluster.complaint = "dev/release.yaml is not YAML"
    production.wait_for_argocd_error(within=ENOUGH)
    production.wait_for_render_error("not YAML", within=ENOUGH)
    with pytest.raises(DrillFailed, match="cannot be rendered because of 'router'"):
        production.wait_for_render_error("router", within=SHORT)


def test_a_refusal_has_its_reason_and_pushes_nothing(
    production: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> str:
        raise NotReady("delivery: the registry has no image")

    monkeypatch.setattr(environment, "_tip", lambda: "same")
    monkeypatch.setattr(Environment, "deliver", refuse)
    production.assert_refused("release", because="no image")
    with pytest.raises(DrillFailed, match="a refusal because of 'a digest'; found delivery: the registry"):
        production.assert_refused("release", because="a digest")

    monkeypatch.setattr(Environment, "deliver", lambda *_: "released")
    with pytest.raises(DrillFailed, match="delivery release to be refused; found released"):
        production.assert_refused("release", because="no image")


def test_a_failed_drill_leaves_a_diagnosis(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cluster: MadeUp, production: Environment
) -> None:
    def drill() -> None:
        with Environment("production", cluster, drill="other", title="Other") as other:  # type: ignore[arg-type]
            other.fail("this", "that")

    with pytest.raises(DrillFailed, match="Expected this; found that"):
        drill()

    written = {file.stem for file in (tmp_path / "other" / "diagnosis").iterdir()}
    assert {"rollout", "analysis-runs", "events", "log-web", "application"} <= written


def test_a_second_ctrl_c_leaves_no_load_behind(
    monkeypatch: pytest.MonkeyPatch, cluster: MadeUp, production: Environment
) -> None:
    """The first one ends the drill, the second one its diagnosis."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(diagnosis, "write", interrupted)
    load = Load()

    def drill() -> None:
        with Environment("production", cluster, drill="other", title="Other") as other:  # type: ignore[arg-type]
            other.start_load(Sends(load))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drill()
    assert load.ended


def test_a_diagnosis_says_what_could_not_be_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise NotReady("kubectl gave no answer within 20 s.")

    monkeypatch.setattr(local_cluster, "output", refuse)

    diagnosis.write("production", tmp_path)

    assert "kubectl gave no answer" in (tmp_path / "rollout.txt").read_text(encoding="utf-8")


def test_silence_is_described() -> None:
    assert described(None) == "nothing: the cluster did not answer"
    assert described(seen(0, analyses=(failed_analysis(),))).startswith(
        "the Rollout Healthy, the canary's weight 0"
    )


def test_a_route_past_the_canary_is_gone_whatever_happens(
    production: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    production.serving("1.0")
    said: list[tuple[str, str]] = []
    monkeypatch.setattr(local_cluster, "output", lambda command, stdin, **_: said.append((command[1], stdin)))

    with pytest.raises(DrillFailed), production.canary_bypassed():
        production.fail("this", "that")

    assert [verb for verb, _ in said] == ["apply", "delete"]
    assert said[0][1] == said[1][1]
    made = yaml.safe_load(said[0][1])
    (route,) = made["spec"]["routes"]
    assert made["metadata"]["namespace"] == "crm-production"
    assert route["match"] == "Host(`api.production.localhost`)"
    assert [service["name"] for service in route["services"]] == ["crm-stable"]
