"""The demo plays its scenes in order, and its exit status is the truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest
import yaml

from drills.errors import DrillFailed, NotReady
from drills.fixtures import attestations, bootstrap, guard_image, images, inbox, local_cluster, settings
from drills.report.result import ScenarioResult
from drills.scenarios import demo
from drills.tests.drills import bad, good


class Stage:
    """An environment that gives the result it is told to give."""

    def __init__(self, result: ScenarioResult, folder: Path) -> None:
        self._result = result
        self.title = result.title
        self.folder = folder / result.name
        self.served: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def serving(self, version: str) -> Stage:
        self.served.append(version)
        return self

    def under(self, _: object) -> Stage:
        return self

    def result(self) -> ScenarioResult:
        return self._result


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Stage]:
    """A demo without a cluster, whose scenes go well."""
    results = {"first-release": good(), "good-release": good(), "errors": bad(), "slow": bad()}
    made = {name: Stage(replace(result, name=name), tmp_path) for name, result in results.items()}
    monkeypatch.setattr(local_cluster, "REPORT", tmp_path)
    monkeypatch.setattr(local_cluster, "prepare", lambda: None)
    monkeypatch.setattr(settings, "worktree_note", lambda: "Something is not committed.")
    monkeypatch.setattr(bootstrap, "install", lambda: "c0ffee")
    monkeypatch.setattr(images, "image", lambda recipe: recipe)
    monkeypatch.setattr(demo, "Kubernetes", object)
    monkeypatch.setattr(demo, "_environment", lambda _, drill, __: made[drill])
    _plays(monkeypatch, lambda *_: None)
    return made


def _plays(monkeypatch: pytest.MonkeyPatch, play: Callable[..., None]) -> None:
    scenes = tuple(replace(scene, play=play) for scene in demo.SCENES)
    monkeypatch.setattr(demo, "SCENES", scenes)


def test_every_scene_is_played_over_what_is_stable_then(stages: dict[str, Stage], tmp_path: Path) -> None:
    assert demo.main() == 0

    assert stages["first-release"].served == ["1.0"]
    assert stages["good-release"].served == ["1.0"]
    assert stages["errors"].served == stages["slow"].served == ["1.1"]
    assert (tmp_path / "index.html").is_file()


def test_a_scene_that_fails_fails_the_demo(
    stages: dict[str, Stage], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = ScenarioResult(
        "errors", "Errors", "production", "1.0", "1.2", None, good().record, problem="Not rolled back."
    )
    stages["errors"]._result = failed

    assert demo.main() == 1
    assert "✗ Errors: undecided" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "status"),
    [(NotReady("No cluster."), 1), (DrillFailed("No luck."), 1), (KeyboardInterrupt(), 130)],
)
def test_what_stops_the_demo_is_one_sentence(
    stages: dict[str, Stage],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    status: int,
) -> None:
    def fail() -> str:
        raise error

    monkeypatch.setattr(bootstrap, "install", fail)

    assert demo.main() == status
    assert (str(error) or "stopped") in capsys.readouterr().out


def test_the_platform_is_told_with_real_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    given: list[dict[str, object]] = []

    def output(command: list[str], *, stdin: str | None = None, **_: object) -> str:
        said.append(" ".join(command))
        if command[:2] == ["kubectl", "apply"]:
            *ours, environments, guard = (stdin or "").split("---\n")
            assert [yaml.safe_load(text)["kind"] for text in ours] == ["Secret", "Secret", "Receiver"]
            assert (environments, guard) == ("environments\n", "delivery-guard\n")
        if command[0] == "helm":
            given.append(json.loads(stdin or ""))
        return f"{command[2]}\n"

    monkeypatch.setattr(settings, "push_main", lambda: "c0ffee")
    monkeypatch.setattr(local_cluster, "output", output)
    monkeypatch.setattr(guard_image, "image", lambda: "localhost:30500/delivery-guard@sha256:1")
    monkeypatch.setattr(attestations, "public_key", lambda: "a key\n")
    monkeypatch.setattr(inbox, "manifests", lambda _: "kind: Receiver\n")

    assert bootstrap.install() == "c0ffee"
    assert said[0].endswith("-m delivery init")
    assert said[1].startswith("helm template environments charts/environments --namespace=argocd")
    assert said[2].startswith("helm template delivery-guard charts/delivery-guard --namespace=argocd")
    repository = "http://git.forge.svc/crm.git"
    assert given[0] == {"repoURL": repository, "extraValueFiles": ["../../cluster/values.yaml"]}
    assert given[1] == {
        "repoURL": repository,
        "image": {"repository": "localhost:30500/delivery-guard", "digest": "sha256:1"},
        "promotions": [],
        "attestations": {of: {"existingSecret": "delivery-guard-scan"} for of in ("scan", "sbom")},
        "notifications": {"existingSecret": "delivery-guard-notifications"},
        "registries": {"localhost:30500": "http://registry.forge.svc:5000"},
    }
    assert said[3].startswith("kubectl apply --server-side")
    assert "rollout status --namespace=argocd deployment/delivery-guard" in said[4]
    assert "rollout status --namespace=argocd deployment/delivery-verdicts" in said[5]
    assert "rollout status --namespace=monitoring deployment/receiver" in said[6]

    bootstrap.install(promotions=["dev>staging=1m"])
    assert given[2:] == [given[0], {**given[1], "promotions": ["dev>staging=1m"]}]
