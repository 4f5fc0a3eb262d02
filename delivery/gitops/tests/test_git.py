"""How `delivery` finds, reaches and leaves alone what it works on."""

import subprocess
from functools import partial
from pathlib import Path

import pytest

from delivery.cli.main import main
from delivery.errors import Refused
from delivery.gitops import git
from delivery.gitops.branch import FILE, Change, EnvironmentsBranch, fetch_existing, publish
from delivery.guard.tests.states import GOOD
from delivery.tests import slow
from delivery.tests.git_http import served
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
    error = capsys.readouterr().err
    assert sentence in error
    assert "secret" not in error


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

    monkeypatch.setattr("delivery.cli.commands.init", interrupted)
    assert main(["init"]) == 130
    assert capsys.readouterr().err.startswith("delivery: stopped")


def test_a_server_that_stays_silent_is_given_up_and_nobody_is_left_behind() -> None:
    """Not even git-remote-http, which is Git's own child and would keep the connection."""
    with (
        slow.server(slow.SILENCE) as (port, accepted),
        git.opened(f"http://127.0.0.1:{port}/crm.git", Path.cwd(), patience=0.5) as repository,
    ):
        left = repository._path / "shallow.lock"
        left.touch()
        with pytest.raises(Refused, match=r"git fetch did not end within 0\.5 s"):
            repository.fetch_branch("environments")
        accepted[0].settimeout(10)
        while accepted[0].recv(1024):
            pass
        assert not left.exists(), "what a killed Git leaves would refuse every other"


def test_of_a_bounded_history_only_commits_come_and_few(remote: Remote) -> None:
    names = [remote.commit_code({f"charts/crm/{number}": "x\n"}) for number in range(5)]
    remote.commit("environments", {"README.md": "one\n"})
    remote.commit("environments", {"README.md": "two\n"})
    with git.opened(str(remote.path), Path.cwd()) as repository:
        branch = fetch_existing(repository)
        repository.fetch_history(3)
        assert [repository.commit_on_remote(name) for name in names] == [None, None, *names[2:]]
        assert repository.is_ancestor(names[2], of=names[4])
        listed = repository._git("cat-file", "--batch-all-objects", "--batch-check=%(objecttype)").split()
        assert listed.count("commit") == 3 + 2
        assert listed.count("tree") == listed.count("blob") == 2, "those of the branch environments"
        assert repository.paths(names[4], "charts/crm/4") == {"charts/crm/4"}, "what is asked for comes"

        assert fetch_existing(repository).tip == branch.tip
        assert len(repository.commits(str(branch.tip))) == 2


@pytest.mark.parametrize("commits", [None, 10], ids=["history", "bounded history"])
def test_a_change_that_was_another_branch_before_is_whole(remote: Remote, commits: int | None) -> None:
    """As a pull request to the branch is: its commits have come already, without what is in them."""
    file = f"production/{FILE}"
    remote.commit("environments", {"README.md": "start\n"})
    with git.opened(str(remote.path), Path.cwd()) as repository:
        fetch_existing(repository)
        remote.git("branch", "change", "environments")
        remote.commit("change", {file: "first: try\n"})
        tip = remote.commit("change", {file: GOOD.to_yaml()})
        repository.fetch_history(commits)
        remote.git("update-ref", "refs/heads/environments", tip)

        branch = fetch_existing(repository)
        assert branch.release("production") == GOOD
        assert [each.files for each in repository.commits(tip, 2)] == [{file: True}] * 2
        assert repository.text(f"{tip}~1", file) == "first: try\n"


def _always(change: Change, _: EnvironmentsBranch) -> Change:
    return change


def test_a_copy_that_is_kept_for_long_is_tidied(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "_FETCHES_BEFORE_TIDYING", 4)
    file = f"production/{FILE}"
    with git.opened(str(remote.path), Path.cwd()) as repository:
        for number in range(9):
            remote.commit("environments", {file: GOOD.to_yaml(), "README.md": f"{number}\n"})
            fetch_existing(repository)
            change = Change({"by-us": f"{number}\n"}, "ours")
            assert publish(repository, partial(_always, change))
        files = [each for each in (repository._path / "objects").rglob("*") if each.is_file()]
        assert len(files) < 30
        assert fetch_existing(repository).release("production") == GOOD
        assert len(repository.commits(repository.fetch_branch("environments") or "")) == 18


def test_what_is_larger_than_any_file_may_be_is_not_fetched(remote: Remote) -> None:
    remote.commit("environments", {"large": "x" * 3_000_000, "README.md": "small\n"})
    with git.opened(str(remote.path), Path.cwd()) as repository:
        branch = fetch_existing(repository)
        assert branch.text("README.md") == "small\n"
        listed = repository._git("cat-file", "--batch-all-objects", "--batch-check=%(objectsize)").split()
        assert max(map(int, listed)) < 1000
        assert publish(repository, lambda _: Change({"README.md": "changed\n"}, "ours"))
    assert remote.git("cat-file", "-s", "environments:large").strip() == "3000000"


def test_a_server_that_leaves_nothing_out_is_read_as_well(remote: Remote) -> None:
    remote.git("config", "uploadpack.allowFilter", "false")
    remote.commit("environments", {"large": "x" * 3_000_000, "README.md": "small\n"})
    with git.opened(str(remote.path), Path.cwd()) as repository:
        branch = fetch_existing(repository)
        repository.fetch_history(3)
        assert branch.text("README.md") == "small\n"
        with pytest.raises(Refused, match="has 3,000,000 bytes, and 1,048,576 are the most"):
            branch.text("large")
        assert publish(repository, lambda _: Change({"README.md": "changed\n"}, "ours"))


@pytest.mark.parametrize("over_http", [False, True])
def test_a_file_that_was_too_large_to_be_fetched_is_written_anew(remote: Remote, over_http: bool) -> None:
    large = b"# " + b"x" * 5_000_000
    remote.commit("environments", {"dev/release.yaml": "a: 1\n", "production/release.yaml": large})
    with served(remote.path.parent) as server:
        url = f"{server}/{remote.path.name}" if over_http else str(remote.path)
        with git.opened(url, Path.cwd()) as repository:
            tip = repository.fetch_branch("environments")
            commit = repository.commit({"production/release.yaml": "b: 2\n"}, "smaller", tip)
            repository.push(commit, "environments")
    assert remote.git("show", "environments:production/release.yaml") == "b: 2\n"
