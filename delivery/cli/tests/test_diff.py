"""`delivery diff` renders this repository's own chart for two releases, with helm itself."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from delivery.cli.diff import Difference, shown
from delivery.cli.main import main
from delivery.gitops.release import Release, ReleasedImage
from delivery.tests.hosts import Remote

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).parents[3]
_FOLDERS = ("charts", "rollouts", "environments", "analysis-templates", "cluster/values.yaml")


@pytest.fixture(autouse=True)
def _helm() -> None:
    if shutil.which("helm") is None:
        pytest.fail("The program helm is not on PATH; run these tests by `make test`.")


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    """A remote with this repository's chart and settings on main, links included."""
    made = Remote(tmp_path / "crm.git")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *_FOLDERS], cwd=_ROOT, capture_output=True, check=True, text=True
    ).stdout.split("\0")
    folder = tmp_path / "code"
    for path in filter(None, listed):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(_ROOT / path, folder / path, follow_symlinks=False)
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message=code"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    subprocess.run(["git", "push", "--quiet", str(made.path), "HEAD:main"], cwd=folder, check=True)
    monkeypatch.setenv("DELIVERY_REMOTE", str(made.path))
    return made


@pytest.fixture
def old(remote: Remote) -> Release:
    image = ReleasedImage("registry.example.com/crm", f"sha256:{'1' * 64}", "1.1")
    release = Release(remote.head, image, "canary")
    remote.commit("environments", {"production/release.yaml": release.to_yaml()})
    return release


def staging_has(remote: Remote, old: Release, **changes: str) -> None:
    """A newer image in staging, of a newer commit if files change; staging's strategy is another one."""
    revision = remote.commit("main", changes) if changes else old.revision
    image = replace(old.image, digest=f"sha256:{'2' * 64}", version="1.2")
    release = Release(revision, image, "rolling-update")
    remote.commit("environments", {"staging/release.yaml": release.to_yaml()})


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["diff", "staging", "production"]) == 0
    return capsys.readouterr().out


def test_a_new_image_is_shown_where_it_runs(
    remote: Remote, old: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    staging_has(remote, old)
    text = printed(capsys)
    assert text.startswith("Promoting staging (1.2) to production (1.1) changes:\n")
    rollout = text.partition("\nRollout crm\n")[2].partition("\n\n")[0].splitlines()
    changed = {line.split(": ", 1)[1] for line in rollout if line.startswith("+") and "image:" in line}
    assert changed == {f"registry.example.com/crm@sha256:{'2' * 64}"}
    own = [line for line in text.splitlines() if "setWeight" in line]
    assert not any(line.startswith(("+", "-")) for line in own), "production keeps its own strategy"


def test_what_differs_in_its_marks_alone_is_only_named(
    remote: Remote, old: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    label = "{app.kubernetes.io/version: {{ .Values.image.version | quote }}}"
    more = f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: more\n  labels: {label}\n"
    revision = remote.commit("main", {"charts/crm/templates/more.yaml": more})
    remote.commit("environments", {"production/release.yaml": replace(old, revision=revision).to_yaml()})
    staging_has(remote, replace(old, revision=revision))
    assert "\nOnly version and revision differ: ConfigMap more\n" in printed(capsys)


def test_a_setting_is_shown_in_the_map_whose_name_it_changes(
    remote: Remote, old: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    path = "environments/production/values.yaml"
    values = yaml.safe_load(remote.git("show", f"main:{path}"))
    staging_has(remote, old, **{path: yaml.safe_dump(values | {"domain": "elsewhere.example.com"})})
    text = printed(capsys)
    config = text.partition("\nConfigMap crm-config-…\n")[2].partition("\n\n")[0]
    assert "+" in config
    assert "elsewhere.example.com" in config
    assert "(new)" not in text


def test_added_and_removed_objects_are_named(
    remote: Remote, old: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    more = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more}\ndata: {a: b}\n"
    staging_has(remote, old, **{"charts/crm/templates/more.yaml": more})
    assert "\nConfigMap more (new)\n" in printed(capsys)
    swapped = {"staging": old, "production": replace(old, revision=remote.head)}
    remote.commit("environments", {f"{name}/release.yaml": each.to_yaml() for name, each in swapped.items()})
    assert "\nConfigMap more (removed)\n" in printed(capsys)


def test_a_first_release_is_all_new(remote: Remote, old: Release, capsys: pytest.CaptureFixture[str]) -> None:
    staging_has(remote, old)
    remote.commit("environments", {"production/release.yaml": None})
    text = printed(capsys)
    assert "Promoting staging (1.2) to production (no release) changes:" in text
    assert "\nRollout crm (new)\n" in text


def test_the_same_release_changes_nothing(
    remote: Remote, old: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    remote.commit("environments", {"staging/release.yaml": old.to_yaml()})
    assert printed(capsys) == "Promoting staging (1.1) to production (1.1) changes nothing.\n"


def test_a_chart_that_cannot_be_rendered_is_refused_in_one_sentence(
    remote: Remote, old: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    staging_has(remote, old, **{"charts/crm/templates/broken.yaml": "{{ fail `choose one` }}"})
    capsys.readouterr()
    assert main(["diff", "staging", "production"]) == 1
    error = capsys.readouterr().err
    assert "The chart of 1.2 (" in error
    assert "choose one" in error
    assert error.count("\n") == 1


def test_without_helm_it_says_so(
    remote: Remote,
    old: Release,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    staging_has(remote, old)
    only_git = tmp_path / "bin"
    only_git.mkdir()
    (only_git / "git").symlink_to(str(shutil.which("git")))
    monkeypatch.setenv("PATH", str(only_git))
    assert main(["diff", "staging", "production"]) == 1
    assert "The program helm is not on PATH" in capsys.readouterr().err


def test_colours_tell_what_goes_from_what_comes() -> None:
    text = shown(Difference("It", {"Rollout crm": ["@@ -1 +1 @@", "-old", "+new"]}))
    styles = {text.plain[span.start : span.end].strip(): str(span.style) for span in text.spans}
    assert (styles["-old"], styles["+new"]) == ("not bold red", "not bold green")
