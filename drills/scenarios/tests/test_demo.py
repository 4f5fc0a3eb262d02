"""The demo plays its scenes in order, and its exit status is the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from cluster import __main__ as cluster
from cluster import addresses, progress
from cluster.errors import ClusterError
from drills.errors import DrillFailed, NotReady
from drills.fixtures import attestations, bootstrap, images, local_cluster, settings
from drills.report import html
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
    monkeypatch.setattr(attestations, "private_key", lambda: None)
    monkeypatch.setattr(demo, "Kubernetes", object)
    monkeypatch.setattr(cluster, "started", progress.whole)
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


def test_one_bar_is_over_the_cluster_and_all_that_is_played(
    stages: dict[str, Stage], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[float] = []
    monkeypatch.setattr(html, "write_summary", lambda *_: left.append(progress.Whole.current.share()))  # type: ignore[union-attr]
    assert demo.main() == 0
    assert left == [1.0]
    told = capsys.readouterr().out
    assert "✓ Build and push the image 1.0  0.0 s  " in told
    assert addresses.ARGOCD in told


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
    [
        (NotReady("No cluster."), 1),
        (DrillFailed("No luck."), 1),
        (ClusterError("No root."), 1),
        (KeyboardInterrupt(), 130),
    ],
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
