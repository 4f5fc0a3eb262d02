"""How `delivery` finds, reaches and leaves alone what it works on."""

import subprocess
from pathlib import Path

import pytest

from delivery import git
from delivery.cli import main
from delivery.errors import Refused
from delivery.tests.hosts import Remote


def checkout(remote: str, folder: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    subprocess.run(["git", "remote", "add", "origin", remote], cwd=folder, check=True)
    return folder


def test_without_a_remote_the_origin_of_the_checkout_is_used(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = checkout("../crm.git", tmp_path / "work") / "deep"
    inside.mkdir()
    monkeypatch.delenv("DELIVERY_REMOTE")
    monkeypatch.chdir(inside)
    assert main(["init"]) == 0
    assert remote.tip("environments")


def test_the_checkout_is_not_touched(remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = checkout(str(remote.path), tmp_path / "work")
    monkeypatch.chdir(work)
    monkeypatch.setenv("GIT_DIR", str(work / ".git"))  # as inside a hook
    before = sorted(path for path in work.rglob("*"))
    assert main(["init"]) == 0
    assert sorted(path for path in work.rglob("*")) == before


def test_an_option_goes_before_the_environment(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELIVERY_REMOTE", "/nowhere")
    assert main(["init", "--remote", str(remote.path)]) == 0


def test_without_any_remote_it_says_what_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init"]) == 1
    assert "give --remote, set DELIVERY_REMOTE or run inside a Git checkout" in capsys.readouterr().err


def test_a_remote_that_does_not_answer_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["init", "--remote", str(tmp_path / "nothing")]) == 1
    assert f"{tmp_path}/nothing: git fetch failed: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("remote_url", "sentence"),
    [
        (
            "https://ada:secret@example.com/crm.git",  # pragma: allowlist secret
            "holds a password; give it to a Git credential helper",
        ),
        ("--upload-pack=touch /tmp/x", "A remote is an address"),
    ],
)
def test_addresses_that_would_do_harm_are_refused(
    remote_url: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", f"--remote={remote_url}"]) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert "secret" not in said


def test_what_git_says_is_repeated_without_passwords() -> None:
    with pytest.raises(Refused) as refused:
        git._run(["ls-remote", "nowhere://ada:secret@example.com/crm.git"])  # pragma: allowlist secret
    assert "secret" not in str(refused.value)


def test_the_checkout_says_how_to_sign_in(remote: Remote, tmp_path: Path) -> None:
    work = checkout(str(remote.path), tmp_path / "work")
    subprocess.run(["git", "config", "credential.helper", "store --file=/x"], cwd=work, check=True)
    with git.opened(str(remote.path), work) as repository:
        assert repository._git("config", "--get-all", "credential.helper").strip() == "store --file=/x"


def test_without_an_identity_the_account_is_named(
    remote: Remote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.delenv(variable)
    monkeypatch.setattr("getpass.getuser", lambda: "lovelace")
    assert main(["init"]) == 0
    author = remote.git("log", "-1", "--format=%an %ae", "environments").strip()
    assert author.startswith("lovelace lovelace@")


def test_without_git_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["init", "--remote", "x"]) == 1
    assert "The program git is not installed" in capsys.readouterr().err


def test_wrong_usage_has_its_own_exit_status() -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["release"])
    assert stopped.value.code == 2


def test_an_interrupt_is_no_traceback(
    remote: Remote, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("delivery.commands.init", interrupted)
    assert main(["init"]) == 130
    assert capsys.readouterr().err.startswith("delivery: stopped")
