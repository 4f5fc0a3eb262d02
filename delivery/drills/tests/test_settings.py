from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from delivery.drills import local, settings
from delivery.drills.errors import NotReady
from delivery.drills.settings import changed


def test_settings_are_merged_into_what_is_there() -> None:
    text = "# production\nstrategy: {name: canary, hold: 0s}\nweights: [1]\n"

    found = yaml.safe_load(changed(text, {"strategy": {"hold": "9s"}, "weights": [2, 3], "new": {"a": 1}}))

    assert found == {"strategy": {"name": "canary", "hold": "9s"}, "weights": [2, 3], "new": {"a": 1}}


def test_an_empty_file_takes_settings() -> None:
    assert yaml.safe_load(changed("# nothing yet\n", {"a": {"b": 1}})) == {"a": {"b": 1}}


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Git server with production's settings on main and an empty branch of environments."""
    home = tmp_path / "remote.git"
    checkout = tmp_path / "checkout"
    for key, value in local.variables().items():
        if key.startswith("GIT_"):
            monkeypatch.setenv(key, value)
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(home))
    git(tmp_path, "clone", "--quiet", str(home), str(checkout))
    file = checkout / "environments" / "production" / "values.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("strategy: {hold: 0s}\n", encoding="utf-8")
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "--message", "start")
    git(checkout, "push", "--quiet", "origin", "HEAD:main", "HEAD:environments")
    monkeypatch.setattr(local, "GIT", str(home))
    monkeypatch.setattr(local, "CHECKOUT", checkout)
    return home


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def test_a_drills_settings_are_a_commit_on_top_of_main(remote: Path) -> None:
    main = git(remote, "rev-parse", "main")

    commit = settings.with_settings("production", {"strategy": {"hold": "9s"}})

    assert git(remote, "rev-parse", f"drills/{commit[:12]}") == commit
    assert git(remote, "rev-parse", f"{commit}^") == main == git(remote, "rev-parse", "main")
    assert "hold: 9s" in git(remote, "show", f"{commit}:environments/production/values.yaml")


def test_a_drills_text_is_a_commit_on_top_of_main_at_one_place(remote: Path) -> None:
    commit = settings.with_text("environments/production/values.yaml", "hold: .s", "hold: 9s")

    assert git(remote, "show", f"{commit}:environments/production/values.yaml") == "strategy: {hold: 9s}"
    with pytest.raises(NotReady, match="has 0 places like nowhere"):
        settings.with_text("environments/production/values.yaml", "nowhere", "9s")


def test_an_environment_without_settings_is_one_sentence(remote: Path) -> None:
    with pytest.raises(NotReady, match=r"has no environments/nowhere/values\.yaml on main"):
        settings.with_settings("nowhere", {})


def test_a_file_is_pushed_by_hand(remote: Path) -> None:
    settings.push_by_hand("dev/release.yaml", "nonsense", "break dev")

    assert git(remote, "show", "environments:dev/release.yaml") == "nonsense"


def test_the_checkout_becomes_main_and_stays_as_it_is(remote: Path) -> None:
    checkout = local.CHECKOUT
    git(checkout, "commit", "--quiet", "--allow-empty", "--message", "newer")
    (checkout / "environments" / "production" / "values.yaml").write_text("changed: true\n", encoding="utf-8")

    commit = settings.push_main()

    assert commit == git(remote, "rev-parse", "main") == git(checkout, "rev-parse", "HEAD")
    assert settings.worktree_note() == "1 changed files are not committed and therefore not part of this."
