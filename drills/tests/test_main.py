"""The proof matrix plays what was asked for, and its exit status and its page are the truth."""

from __future__ import annotations

import inspect
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest

from drills import main, resume, runner
from drills.errors import NotReady
from drills.fixtures import bootstrap, images, local_cluster, settings
from drills.main import SCENARIOS
from drills.report import html, markdown
from drills.report.result import ScenarioResult
from drills.scenarios.releases import EXTENDED, MATRIX
from drills.scenarios.scenario import Scenario
from drills.tests import drills
from drills.tests.drills import bad, failed_analysis, good


class Environment:
    """An environment in which nothing happens."""

    def __init__(self, _name: str, _kubernetes: object, *, drill: str, title: str, **_: object) -> None:
        self.drill, self.title = drill, title

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def serving(self, _: str) -> None: ...


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The names of what was played, without a cluster; everything ends well."""
    names: list[str] = []

    def perform(environment: Any, _: Callable[[Any], None]) -> ScenarioResult:
        names.append(environment.drill)
        return replace(good(), name=environment.drill, title=environment.title)

    monkeypatch.setattr(local_cluster, "CHECKOUT", tmp_path)
    monkeypatch.setattr(local_cluster, "REPORT", tmp_path)
    monkeypatch.setattr(local_cluster, "prepare", lambda: None)
    monkeypatch.setattr(local_cluster, "output", lambda *_, **__: "")
    monkeypatch.setattr(settings, "worktree_note", lambda: None)
    monkeypatch.setattr(bootstrap, "install", lambda: "c0ffee")
    monkeypatch.setattr(images, "image", lambda recipe: recipe)
    monkeypatch.setattr(images, "head", lambda: "c0ffee" * 7)
    monkeypatch.setattr(resume, "FOLDER", tmp_path / "kept")
    monkeypatch.setattr(resume, "code", lambda: images.head()[:12])
    monkeypatch.setattr(html, "write_drill", lambda result, folder: folder / result.name)
    monkeypatch.setattr(runner, "Kubernetes", object)
    monkeypatch.setattr(main, "Environment", Environment)
    monkeypatch.setattr(html, "write_summary", lambda *_: (tmp_path / "summary.png").touch())
    monkeypatch.setattr(runner, "perform", perform)
    return names


@pytest.mark.parametrize(
    ("arguments", "scenarios", "page", "command"),
    [([], MATRIX, "proof", "make drills"), (["--extended"], EXTENDED, "extended", "make drills-extended")],
    ids=["matrix", "extended"],
)
def test_all_scenarios_make_the_page(
    played: list[str],
    tmp_path: Path,
    arguments: list[str],
    scenarios: tuple[Scenario, ...],
    page: str,
    command: str,
) -> None:
    assert main.main(arguments) == 0

    assert played == [scenario.name for scenario in scenarios]
    assert {file.name for file in tmp_path.iterdir()} >= {f"{page}.md", f"{page}.png"}
    assert not (tmp_path / "docs").exists()
    text = (tmp_path / f"{page}.md").read_text(encoding="utf-8")
    assert all(f"| {scenario.title} | promoted | 50 |" in text for scenario in scenarios)
    assert f"Written by `{command}` on" in text
    assert f"({page}.png)" in text


def test_a_name_is_played_once(played: list[str]) -> None:
    names = [scenario.name for scenario in SCENARIOS]

    assert len(set(names)) == len(names)
    with pytest.raises(SystemExit):
        main.main(["--extended", "good"])


def test_one_scenario_is_replayed_without_touching_the_page(played: list[str], tmp_path: Path) -> None:
    assert main.main(["errors"]) == 0

    assert played == ["errors"]
    assert not (tmp_path / "proof.md").exists()


@pytest.mark.usefixtures("played")
def test_istio_and_kyverno_are_added_where_a_scenario_wants_them(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(local_cluster, "output", lambda command, **_: commands.append(command[1:]))

    main.main(["good", "shares-nginx"])
    assert commands == []
    main.main(["good", "shares-istio", "ab-test-istio"])
    assert commands == [["-m", "cluster", "istio"]]
    main.main(["unsigned", "signed", "shares-istio"])
    assert commands[1:] == [["-m", "cluster", "istio"], ["-m", "cluster", "kyverno"]]


def test_a_scenario_is_played_as_often_as_asked_with_a_report_of_each(
    played: list[str], tmp_path: Path
) -> None:
    assert main.main(["good", "--times", "3"]) == 0

    assert played == ["good", "good-2", "good-3"]
    assert not (tmp_path / "proof.md").exists()


def test_a_run_goes_on_where_another_ended_at_the_same_commit(
    played: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fails = runner.perform

    def second_fails(environment: Any, play: Callable[[Any], None]) -> ScenarioResult:
        result = fails(environment, play)
        return replace(result, problem="No luck.") if environment.drill == "slow" else result

    monkeypatch.setattr(runner, "perform", second_fails)
    assert main.main(["errors", "slow", "bursts"]) == 1
    monkeypatch.setattr(runner, "perform", fails)
    played.clear()

    assert main.main(["errors", "slow", "bursts", "sick", "--resume"]) == 0
    assert played == ["slow", "sick"]
    played.clear()
    assert main.main(["errors"]) == 0
    assert played == ["errors"], "only who asks for it goes on"
    played.clear()
    monkeypatch.setattr(images, "head", lambda: "d0dd1e" * 7)
    assert main.main(["errors", "--resume"]) == 0
    assert played == ["errors"]
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_only_pages_may_change_between_two_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_git = partial(subprocess.run, cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.setattr(local_cluster, "CHECKOUT", tmp_path)
    run_git(["git", "init", "--quiet"])

    def after(path: str, text: str) -> str:
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        run_git(["git", "add", "--all"])
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        run_git(["git", *who, "commit", "--quiet", "--message", path])
        return resume.code()

    first = after("app/code.py", "1")
    assert after("docs/page.md", "newer") == after("README.md", "newer") == first
    assert after("app/code.py", "2") != first


def test_a_slow_machine_sends_less_and_its_page_says_so(
    played: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATE", "20")
    assert main.main([]) == 0

    assert len(played) == len(MATRIX)
    assert "Load: 20 requests/s" in (tmp_path / "proof.md").read_text(encoding="utf-8")


def test_a_number_of_times_that_makes_no_sense_is_refused(
    played: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main.main(["good", "--times", "0"])

    assert "--times must be 1 or more" in capsys.readouterr().err


@pytest.mark.parametrize("said", ["0", "51", "-5", "2.5", "fast"])
def test_a_rate_that_makes_no_sense_is_refused_before_anything_is_done(
    played: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], said: str
) -> None:
    monkeypatch.setenv("RATE", said)

    assert main.main(["good"]) == 1

    assert played == []
    assert (
        f"RATE is '{said}'; it must be a number of requests a second from 1 to 50." in capsys.readouterr().out
    )


def test_a_scenario_that_ends_otherwise_fails_the_run(
    played: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "perform", lambda *_: replace(good(), problem="Not promoted."))

    assert main.main(["good"]) == 1


def test_an_unknown_scenario_is_refused_with_those_that_exist(
    played: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["erors"])

    assert ended.value.code == 2
    assert "there is no scenario erors; there are: good, errors," in capsys.readouterr().err


def test_a_cluster_that_is_not_there_is_one_sentence(
    played: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> None:
        raise NotReady("No cluster is there.")

    monkeypatch.setattr(local_cluster, "prepare", missing)

    assert main.main([]) == 1
    assert "drills: No cluster is there." in capsys.readouterr().out


def test_names_are_unique() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    recipes = {scenario.recipe for scenario in SCENARIOS if scenario.recipe}
    assert len({recipe.version for recipe in recipes}) == len(recipes)


def test_a_scenario_takes_the_image_that_it_names() -> None:
    for scenario in SCENARIOS:
        inspect.signature(scenario.play).bind(None, *([scenario.recipe] if scenario.recipe else ()))


def test_the_images_of_the_chosen_scenarios_are_built_before(
    played: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[str] = []

    def build(recipe: images.Recipe) -> None:
        assert not played
        built.append(recipe.version)

    monkeypatch.setattr(images, "image", build)

    main.main(["slow", "newer-push", "quarantined"])

    assert sorted(built) == ["1.0", "1.1", "1.2", "1.2-little", "1.3"]


def test_the_page_says_what_was_measured_and_what_went_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "head", lambda: "c0ffee" * 7)
    wrong = replace(
        bad(), problem="Expected less.", version_in_git="1.0", rolled_back_at=drills.PUSHED + 28 + 6.2
    )

    shared = replace(
        good(), findings=["at 5 %: 5.01 % of 7306 requests", "at 20 %: 20.00 % of 5335 requests"]
    )
    page = markdown.suite("proof", [shared, wrong], 600)

    assert "1 of 2 scenarios ended as they should, in\n10 minutes" in page
    assert "| A good release | promoted | 50 | - | - | 0 of 1300 (0.00%) | 5 → 20 → 50 → 100 | 0 |" in page
    assert "| **rolled back** | 28 | 13.0 | 6.2 |" in page
    assert "Git 1.0, Rollout Healthy, Argo CD Synced, Healthy |" in page
    assert (
        "Measured beside that:\n\n"
        "- A good release: at 5 %: 5.01 % of 7306 requests; at 20 %: 20.00 % of 5335 requests\n\n"
    ) in page
    assert "- **A bad release**: Expected less." in page
    assert "Measured" not in markdown.suite("proof", [wrong], 600)


def test_the_weight_0_after_a_promotion_is_no_answer_to_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "head", lambda: "c0ffee" * 7)
    stray = replace(good(), record=drills.requests(9, 60, new_from=9, new_until=10, code=500))

    page = markdown.suite("proof", [stray], 600)

    assert stray.seconds_from_first_failure_to_zero is not None
    assert "| A good release | promoted | 50 | - | - |" in page


def test_measurements_are_those_of_this_release() -> None:
    earlier = failed_analysis(name="crm-0", taken=7)
    now = failed_analysis(taken=3)
    first, *others = bad().snapshots
    snapshots = [
        replace(first, analyses=(earlier,)),
        *(replace(each, analyses=(earlier, now)) for each in others),
    ]

    assert replace(bad(), snapshots=snapshots).measurements == 3
