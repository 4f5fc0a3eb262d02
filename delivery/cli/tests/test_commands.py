"""init, release, promote and rollback, through the command line, on real servers."""

import os
import re
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from delivery.cli.main import main
from delivery.gitops import promoted
from delivery.gitops.release import Release
from delivery.tests.hosts import CODE, MOVE_BRANCH_ONCE, Pushed, Registry, Remote

NO_SUCH_DIGEST = "sha256:" + "0" * 64
PRODUCTION = "production/release.yaml"


@pytest.fixture
def branch(remote: Remote) -> Remote:
    """The remote with an environments branch."""
    assert main(["init"]) == 0
    return remote


@pytest.mark.parametrize(
    ("former", "now"),
    [("pardon", "unquarantine"), ("scanned", "check-scan"), ("running", "current-image")],
)
def test_names_of_version_1_0_go_on_and_are_in_no_help(
    capsys: pytest.CaptureFixture[str], former: str, now: str
) -> None:
    for arguments in ([former, "--help"], ["--help"]):
        with pytest.raises(SystemExit, match="0"):
            main(arguments)
    help_of_command, help_of_all = capsys.readouterr().out.split("usage: ")[1:]
    assert help_of_command.startswith(f"delivery {now} ")
    assert f"    {now}" in help_of_all
    assert f"    {former}" not in help_of_all


def released(remote: Remote, registry: Registry, version: str, to: str = "dev") -> Pushed:
    image = registry.push(remote.head, version)
    assert main(["release", "--image", str(image), "--to", to]) == 0
    return image


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must be refused, and return its one sentence."""
    capsys.readouterr()
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("delivery: ")
    assert printed.err.count("\n") == 1
    return printed.err


class TestInit:
    def test_makes_a_branch_of_its_own_without_releases(self, remote: Remote) -> None:
        assert main(["init"]) == 0
        assert remote.git("ls-tree", "-r", "--name-only", "environments").split() == ["README.md"]
        assert remote.git("rev-list", "--count", "environments").strip() == "1"

    def test_leaves_an_existing_branch_alone(
        self, branch: Remote, capsys: pytest.CaptureFixture[str]
    ) -> None:
        tip = branch.tip("environments")
        assert main(["init"]) == 0
        assert "exists already" in capsys.readouterr().out
        assert branch.tip("environments") == tip


class TestRelease:
    def test_writes_what_the_image_says_of_itself(self, branch: Remote, registry: Registry) -> None:
        image = released(branch, registry, "1.0")
        assert branch.release("dev") == {
            "revision": branch.head,
            "image": {"repository": image.repository, "digest": image.digest, "version": "1.0"},
            "strategy": "rolling-update",
        }

    def test_says_in_the_commit_what_runs_and_who_did_it(self, branch: Remote, registry: Registry) -> None:
        image = released(branch, registry, "1.0", to="production")
        message = branch.message()
        assert message.startswith("release 1.0 to production\n\n")
        for part in (str(image), f"revision: {branch.head}", "strategy: canary", "By: Ada <ada@example.com>"):
            assert part in message
        assert (
            branch.git("log", "-1", "--format=%an <%ae>", "environments").strip() == "Ada <ada@example.com>"
        )

    def test_leaves_the_other_environments_as_they_are(self, branch: Remote, registry: Registry) -> None:
        released(branch, registry, "1.0", to="production")
        before = branch.release("production")
        released(branch, registry, "1.1", to="dev")
        assert branch.release("production") == before

    def test_resolves_a_tag_to_a_digest(self, branch: Remote, registry: Registry) -> None:
        image = registry.push(branch.head, "1.2", tag="v1.2")
        assert main(["release", "--image", f"{image.repository}:v1.2", "--to", "dev"]) == 0
        assert branch.release("dev")["image"]["digest"] == image.digest

    def test_takes_the_labels_of_the_linux_image_of_an_index(
        self, branch: Remote, registry: Registry
    ) -> None:
        image = registry.push(branch.head, "1.3")
        index = registry.push_index((registry.push("f" * 40, "attestation"), "unknown"), (image, "linux"))
        assert main(["release", "--image", str(index), "--to", "dev"]) == 0
        assert branch.release("dev")["image"] == {
            "repository": index.repository,
            "digest": index.digest,
            "version": "1.3",
        }

    def test_options_override_the_labels(self, branch: Remote, registry: Registry) -> None:
        first = branch.head
        branch.commit_code({"README": "more\n"})
        image = registry.push(branch.head, "1.0")
        options = ["--revision", first[:10], "--version", "1.0-fix", "--strategy", "canary"]
        assert main(["release", "--image", str(image), "--to", "dev", *options]) == 0
        release = branch.release("dev")
        assert (release["revision"], release["image"]["version"], release["strategy"]) == (
            first,
            "1.0-fix",
            "canary",
        )

    def test_keeps_the_strategy_that_the_environment_has(self, branch: Remote, registry: Registry) -> None:
        image = registry.push(branch.head, "1.0")
        assert main(["release", "--image", str(image), "--to", "dev", "--strategy", "canary"]) == 0
        released(branch, registry, "1.1")
        assert branch.release("dev")["strategy"] == "canary"

    def test_the_same_again_changes_nothing(
        self, branch: Remote, registry: Registry, capsys: pytest.CaptureFixture[str]
    ) -> None:
        released(branch, registry, "1.0")
        tip = branch.tip("environments")
        released(branch, registry, "1.0")
        assert "nothing was changed" in capsys.readouterr().out
        assert branch.tip("environments") == tip

    @pytest.mark.parametrize(
        ("changes", "sentence"),
        [
            ({"--image": "crm:1.0"}, "with the registry's host, not 'crm:1.0'"),
            ({"--image": "{repository}"}, "needs a digest or a tag"),
            (
                {"--image": "{repository}@sha256:12"},
                "A digest is sha256: and 64 hexadecimal digits, not 'sha256:12'",
            ),
            ({"--image": "{repository}:a%b"}, "'a%b' cannot be a tag"),
            (
                {"--image": "{repository}@" + NO_SUCH_DIGEST},
                "The registry has no image {repository}@" + NO_SUCH_DIGEST,
            ),
            ({"--image": "{repository}:nothing"}, "The registry has no image {repository}:nothing"),
            ({"--image": "localhost:1/crm:1.0"}, "The registry localhost:1 cannot be reached: "),
            ({"--revision": "main"}, "A revision is a commit's 7 to 40 hexadecimal digits, not 'main'"),
            ({"--revision": "0" * 40}, "has no branch with the commit " + "0" * 40),
            (
                {"--version": "one point oh"},
                "image.version must be letters, digits, dots and dashes, not 'one point",
            ),
            ({"--strategy": "blue"}, "has no strategy blue; it has: canary, rolling-update"),
            ({"--strategy": "../x"}, "strategy must be the name of a file in rollouts/, not '../x'"),
            ({"--to": "qa"}, "has no environments/qa/values.yaml, so there is no environment qa"),
            ({"--to": "../dev"}, "An environment's name has small letters, digits and dashes only"),
        ],
    )
    def test_refuses(
        self,
        branch: Remote,
        registry: Registry,
        capsys: pytest.CaptureFixture[str],
        changes: dict[str, str],
        sentence: str,
    ) -> None:
        image = registry.push(branch.head, "1.0")
        tip = branch.tip("environments")
        options = {"--image": str(image), "--to": "dev"} | changes
        arguments = [
            part.replace("{repository}", image.repository) for pair in options.items() for part in pair
        ]
        error = refusal(capsys, "release", *arguments)
        assert sentence.replace("{repository}", image.repository) in error
        assert branch.tip("environments") == tip

    def test_refuses_an_image_without_labels(
        self, branch: Remote, registry: Registry, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bare = registry.push(version="1.0")
        error = refusal(capsys, "release", "--image", str(bare), "--to", "dev")
        assert "no label org.opencontainers.image.revision; build it with one or give --revision" in error
        assert main(["release", "--image", str(bare), "--to", "dev", "--revision", branch.head]) == 0

    def test_refuses_a_commit_that_cannot_be_deployed(
        self, branch: Remote, registry: Registry, capsys: pytest.CaptureFixture[str]
    ) -> None:
        branch.commit_code({"charts/crm/Chart.yaml": None})
        image = registry.push(branch.head, "1.0")
        assert "has no charts/crm/Chart.yaml" in refusal(
            capsys, "release", "--image", str(image), "--to", "dev"
        )

    def test_refuses_a_commit_that_no_branch_has(
        self, branch: Remote, registry: Registry, capsys: pytest.CaptureFixture[str]
    ) -> None:
        # A host that shares objects between forks hands such a commit out when asked for it by name.
        branch.git("config", "uploadpack.allowAnySHA1InWant", "true")
        stray = branch.commit("stray", CODE, "from a fork")
        branch.git("update-ref", "-d", "refs/heads/stray")
        image = registry.push(stray, "1.0")
        error = refusal(capsys, "release", "--image", str(image), "--to", "dev")
        assert f"has no branch with the commit {stray}" in error

    def test_refuses_when_the_branch_is_missing(
        self, remote: Remote, registry: Registry, capsys: pytest.CaptureFixture[str]
    ) -> None:
        image = registry.push(remote.head, "1.0")
        assert "make it with: delivery init" in refusal(
            capsys, "release", "--image", str(image), "--to", "dev"
        )


class TestReleaseFilesByHand:
    GOOD = (
        'revision: "{head}"\nimage:\n  repository: localhost:1/crm\n'
        "  digest: sha256:" + "a" * 64 + '\n  version: "1.0"\nstrategy: canary\n'
    )

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (("image:\n", "image: [\n"), "dev/release.yaml on the branch environments is not YAML (line "),
            (
                ('revision: "{head}"\n', ""),
                "dev/release.yaml on the branch environments has no field revision.",
            ),
            (("  digest: sha256:" + "a" * 64 + "\n", ""), "has no field image.digest."),
            (("strategy: canary\n", ""), "has no field strategy."),
            (('version: "1.0"', "version: 1.0"), "image.version must be text, so write it in quotes: '1.0'."),
            (("sha256:", "sha512:"), "image.digest must be sha256: and 64 hexadecimal digits, not 'sha512:"),
            (
                ('revision: "{head}"', "revision: main"),
                "revision must be a commit's 40 hexadecimal digits, not 'main'",
            ),
            (
                ("strategy: canary", "strategy: canary\nweight: 5"),
                "has a field that a release file does not know: weight",
            ),
            ((GOOD, "canary"), "must have the fields revision, image and strategy, and has none"),
        ],
    )
    def test_are_refused_by_file_and_field(
        self,
        branch: Remote,
        registry: Registry,
        capsys: pytest.CaptureFixture[str],
        change: tuple[str, str],
        sentence: str,
    ) -> None:
        broken = self.GOOD.replace(*change).replace("{head}", branch.head)
        branch.commit("environments", {"dev/release.yaml": broken})
        image = registry.push(branch.head, "1.0")
        for command in (["release", "--image", str(image), "--to", "dev"], ["promote", "dev", "staging"]):
            error = refusal(capsys, *command)
            assert sentence in error
            assert "delivery rollback dev" in error

    def test_stop_no_other_environment(self, branch: Remote, registry: Registry) -> None:
        branch.commit("environments", {"dev/release.yaml": "{"})
        released(branch, registry, "1.0", to="staging")
        assert branch.release("staging")["image"]["version"] == "1.0"

    def test_are_repaired_by_a_rollback(self, branch: Remote, registry: Registry) -> None:
        released(branch, registry, "1.0")
        before = branch.release("dev")
        branch.commit("environments", {"dev/release.yaml": "{"})
        assert main(["rollback", "dev"]) == 0
        assert branch.release("dev") == before


class TestPromote:
    def test_copies_revision_and_image_and_keeps_the_strategy(
        self, branch: Remote, registry: Registry
    ) -> None:
        released(branch, registry, "1.0")
        assert main(["promote", "dev", "staging"]) == 0
        dev, staging = branch.release("dev"), branch.release("staging")
        assert (staging["revision"], staging["image"]) == (dev["revision"], dev["image"])
        assert (dev["strategy"], staging["strategy"]) == ("rolling-update", "canary")
        assert branch.subjects()[0] == "promote 1.0 from dev to staging"

    def test_twice_changes_nothing(
        self, branch: Remote, registry: Registry, capsys: pytest.CaptureFixture[str]
    ) -> None:
        released(branch, registry, "1.0")
        main(["promote", "dev", "staging"])
        tip = branch.tip("environments")
        assert main(["promote", "dev", "staging"]) == 0
        assert "nothing was changed" in capsys.readouterr().out
        assert branch.tip("environments") == tip

    @pytest.mark.usefixtures("branch")
    def test_refuses_an_environment_without_a_release(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "dev has no release that could be promoted" in refusal(capsys, "promote", "dev", "staging")

    @pytest.mark.usefixtures("branch")
    def test_refuses_an_environment_to_itself(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "cannot be promoted to itself" in refusal(capsys, "promote", "dev", "dev")

    def test_refuses_an_image_that_is_gone(
        self, branch: Remote, registry: Registry, capsys: pytest.CaptureFixture[str]
    ) -> None:
        released(branch, registry, "1.0")
        text = branch.git("show", "environments:dev/release.yaml")
        gone = re.sub("sha256:[0-9a-f]{64}", NO_SUCH_DIGEST, text)
        branch.commit("environments", {"dev/release.yaml": gone})
        assert "The registry has no image" in refusal(capsys, "promote", "dev", "staging")


class TestRollback:
    def test_goes_back_to_the_release_before(self, branch: Remote, registry: Registry) -> None:
        first = released(branch, registry, "1.0", to="production")
        released(branch, registry, "1.1", to="production")
        released(branch, registry, "7.0", to="dev")
        assert main(["rollback", "production", "--reason", "deals were\nlost"]) == 0
        assert branch.release("production")["image"]["digest"] == first.digest
        message = branch.message()
        assert message.startswith("roll back production to 1.0\n\ndeals were lost\n\n")
        assert "version: 1.0 (was 1.1)" in message
        assert branch.release("dev")["image"]["version"] == "7.0"

    def test_again_goes_further_back_and_never_forth(
        self, branch: Remote, registry: Registry, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for version in ("1.0", "1.1", "1.2"):
            released(branch, registry, version)
        assert [main(["rollback", "dev"]), main(["rollback", "dev"])] == [0, 0]
        assert branch.release("dev")["image"]["version"] == "1.0"
        assert "dev has no earlier release to roll back to" in refusal(capsys, "rollback", "dev")

    def test_takes_a_revert_by_hand_for_what_it_is(self, branch: Remote, registry: Registry) -> None:
        for version in ("1.0", "1.1"):
            released(branch, registry, version)
        old = branch.git("show", "environments:dev/release.yaml")
        released(branch, registry, "1.2")
        branch.commit(
            "environments", {"dev/release.yaml": old}, 'Revert "release"\n\nThis reverts commit 12345.\n'
        )
        assert main(["rollback", "dev"]) == 0
        assert branch.release("dev")["image"]["version"] == "1.0"

    def test_goes_to_a_named_commit(self, branch: Remote, registry: Registry) -> None:
        released(branch, registry, "1.0")
        wanted = branch.tip("environments")
        assert wanted
        for version in ("1.1", "1.2"):
            released(branch, registry, version)
        assert main(["rollback", "dev", "--to", wanted[:10]]) == 0
        assert branch.release("dev")["image"]["version"] == "1.0"

    def test_refuses_a_commit_of_another_branch(
        self, branch: Remote, registry: Registry, capsys: pytest.CaptureFixture[str]
    ) -> None:
        released(branch, registry, "1.0")
        error = refusal(capsys, "rollback", "dev", "--to", branch.head)
        assert "is not a commit of the branch environments" in error

    def test_refuses_a_commit_before_the_first_release(
        self, branch: Remote, registry: Registry, capsys: pytest.CaptureFixture[str]
    ) -> None:
        start = branch.tip("environments")
        assert start
        released(branch, registry, "1.0")
        assert "dev had no release yet at" in refusal(capsys, "rollback", "dev", "--to", start)

    @pytest.mark.usefixtures("branch")
    def test_refuses_when_there_is_none(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert "production has no earlier release" in refusal(capsys, "rollback", "production")

    def test_refuses_a_revision_that_the_remote_lost(
        self, branch: Remote, registry: Registry, capsys: pytest.CaptureFixture[str]
    ) -> None:
        released(branch, registry, "1.0")
        branch.git("update-ref", "-d", "refs/heads/main")
        branch.commit_code(CODE | {"README": "history was rewritten\n"})
        released(branch, registry, "1.1")
        assert "any more" in refusal(capsys, "rollback", "dev")

    def test_does_not_wait_for_a_registry_that_is_down(
        self, branch: Remote, registry: Registry, capsys: pytest.CaptureFixture[str]
    ) -> None:
        lost = TestReleaseFilesByHand.GOOD.replace("{head}", branch.head)
        branch.commit("environments", {"dev/release.yaml": lost})
        released(branch, registry, "1.1")
        assert main(["rollback", "dev"]) == 0
        assert "Not checked whether the image is still there" in capsys.readouterr().out
        assert branch.release("dev")["image"]["repository"] == "localhost:1/crm"


class TestRollbackByTheRecord:
    """Where a guard has written down what became of each release."""

    def record(self, branch: Remote, *known: tuple[str, str]) -> None:
        """What the guard's copy says of these versions of production, in this order: an outcome for each."""
        found = promoted.PromotionRecord()
        for commit in branch.git("log", "--reverse", "--format=%H", "environments", "--", PRODUCTION).split():
            release = Release.parse(branch.git("show", f"{commit}:{PRODUCTION}"), "a release")
            for version, outcome in known:
                if version == release.image.version:
                    entry = promoted.PromotionEntry.of(release, outcome, datetime.now(tz=UTC))
                    found = (
                        found.with_promoted(entry)
                        if outcome == promoted.PROMOTED
                        else found.with_aborted(entry)
                        if outcome == promoted.ABORTED
                        else found.with_moving(entry)
                    )
        branch.commit("environments", {promoted.FILE: promoted.copy_text({"production": found})}, "record")

    def version(self, branch: Remote) -> str:
        return str(branch.release("production")["image"]["version"])

    def test_goes_to_what_was_promoted_and_not_to_what_was_replaced(
        self, branch: Remote, registry: Registry
    ) -> None:
        for version in ("1.1", "1.2", "1.3"):
            released(branch, registry, version, to="production")
        self.record(
            branch, ("1.1", promoted.PROMOTED), ("1.2", promoted.IN_PROGRESS), ("1.3", promoted.PROMOTED)
        )
        assert main(["rollback", "production"]) == 0
        assert self.version(branch) == "1.1"

    def test_ends_a_release_on_its_way_at_the_stable_one(self, branch: Remote, registry: Registry) -> None:
        for version in ("1.0", "1.1", "1.2"):
            released(branch, registry, version, to="production")
        self.record(branch, ("1.0", promoted.PROMOTED), ("1.1", promoted.PROMOTED))
        assert main(["rollback", "production", "--from", "1.2"]) == 0
        assert self.version(branch) == "1.1"

    def test_after_the_guards_own_says_that_it_is_done(
        self, branch: Remote, registry: Registry, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """It went one release further."""
        for version in ("1.0", "1.1"):
            released(branch, registry, version, to="production")
        back = branch.git("show", f"environments:{PRODUCTION}")
        released(branch, registry, "1.2", to="production")
        branch.commit("environments", {PRODUCTION: back}, "automatic rollback of production to 1.1")
        self.record(branch, ("1.0", promoted.PROMOTED), ("1.1", promoted.PROMOTED), ("1.2", promoted.ABORTED))
        tip = branch.tip("environments")
        capsys.readouterr()
        for words in (["rollback", "production"], ["rollback", "production", "--from", "1.2"]):
            assert main(words) == 0
            assert capsys.readouterr().out == (
                "production is rolled back from 1.2 to 1.1 already; nothing was changed."
                " To roll back further: delivery rollback production --from 1.1\n"
            )
        assert "production has 1.1 in Git, not 1.7; nothing was changed." in refusal(
            capsys, "rollback", "production", "--from", "1.7"
        )
        first = branch.git("log", "--reverse", "--format=%H", "environments", "--", PRODUCTION).split()[0]
        assert "not 1.7" in refusal(capsys, "rollback", "production", "--from", "1.7", "--to", first)
        assert branch.tip("environments") == tip
        assert main(["rollback", "production", "--from", "1.1"]) == 0
        assert self.version(branch) == "1.0"

    def test_of_two_people_only_the_first_rolls_back(
        self, branch: Remote, registry: Registry, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for version in ("1.0", "1.1", "1.2"):
            released(branch, registry, version, to="production")
        self.record(branch, *((version, promoted.PROMOTED) for version in ("1.0", "1.1", "1.2")))
        assert main(["rollback", "production"]) == 0
        assert main(["rollback", "production"]) == 0
        assert "is rolled back from 1.2 to 1.1 already" in capsys.readouterr().out
        assert self.version(branch) == "1.1"

    def test_to_what_was_never_promoted_says_that_it_takes_steps(
        self, branch: Remote, registry: Registry, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for version in ("1.0", "1.1", "1.2"):
            released(branch, registry, version, to="production")
        wanted = branch.git("log", "-2", "--format=%H", "environments", "--", PRODUCTION).split()[1]
        self.record(branch, ("1.0", promoted.PROMOTED), ("1.2", promoted.PROMOTED))
        assert main(["rollback", "production", "--to", wanted]) == 0
        assert "1.1 was never fully promoted in production" in capsys.readouterr().out

    def test_refuses_where_nothing_else_was_promoted(
        self, branch: Remote, registry: Registry, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for version in ("1.0", "1.1"):
            released(branch, registry, version, to="production")
        self.record(branch, ("1.0", promoted.IN_PROGRESS), ("1.1", promoted.PROMOTED))
        error = refusal(capsys, "rollback", "production")
        assert "production has no earlier release that was fully promoted to roll back to." in error


@pytest.mark.slow
class TestPushes:
    def test_at_the_same_moment_are_all_kept(self, branch: Remote, registry: Registry) -> None:
        images = {name: registry.push(branch.head, f"2.{name}") for name in ("dev", "staging", "production")}

        def release(environment: str) -> int:
            command = [
                sys.executable,
                "-m",
                "delivery",
                "release",
                "--image",
                str(images[environment]),
                "--to",
            ]
            return subprocess.run([*command, environment], check=False, cwd=_ROOT).returncode

        with ThreadPoolExecutor(len(images)) as pool:
            assert list(pool.map(release, images)) == [0, 0, 0]
        for environment, image in images.items():
            assert branch.release(environment)["image"]["digest"] == image.digest
        assert len(branch.subjects()) == 1 + len(images)

    def test_that_lose_a_race_are_made_again_on_the_new_branch(
        self, branch: Remote, registry: Registry
    ) -> None:
        # Once, the server moves the branch between our fetch and our push.
        other = branch.commit("other", {"staging/release.yaml": "x\n"})
        branch.git("update-ref", "refs/heads/other", other)
        _hook(branch, "pre-receive", MOVE_BRANCH_ONCE)
        released(branch, registry, "1.0")
        assert branch.release("dev")["image"]["version"] == "1.0"
        assert branch.subjects()[:2] == ["release 1.0 to dev", "somebody else"]

    def test_that_never_win_give_up(
        self,
        branch: Remote,
        registry: Registry,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(time, "sleep", lambda _: None)
        _hook(branch, "pre-receive", "echo 'cannot lock ref' >&2; exit 1")
        image = registry.push(branch.head, "1.0")
        error = refusal(capsys, "release", "--image", str(image), "--to", "dev")
        assert "Others pushed to environments first, 10 times in a row; nothing was changed" in error

    def test_that_the_server_declines_are_reported(
        self, branch: Remote, registry: Registry, capsys: pytest.CaptureFixture[str]
    ) -> None:
        _hook(branch, "pre-receive", "echo 'the freeze lasts until Monday' >&2; exit 1")
        image = registry.push(branch.head, "1.0")
        error = refusal(capsys, "release", "--image", str(image), "--to", "dev")
        assert "the freeze lasts until Monday" in error

    def test_that_are_killed_leave_nothing_wrong(
        self, branch: Remote, registry: Registry, tmp_path: Path
    ) -> None:
        """Killed with the commit made and the push under way: the branch stands, and the next run works."""
        started = tmp_path / "push-started"
        _hook(branch, "pre-receive", f"touch {started}; exec sleep 600")
        tip = branch.tip("environments")
        image = registry.push(branch.head, "1.0")
        command = [sys.executable, "-m", "delivery", "release", "--image", str(image), "--to", "dev"]
        process = subprocess.Popen(command, cwd=_ROOT, start_new_session=True)
        try:
            deadline = time.monotonic() + 20
            while not started.exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            assert started.exists()
        finally:
            os.killpg(process.pid, 9)
            process.wait()
        assert branch.tip("environments") == tip
        (branch.path / "hooks" / "pre-receive").unlink()
        released(branch, registry, "1.0")
        assert branch.release("dev")["image"]["digest"] == image.digest


_ROOT = Path(__file__).parents[3]


def _hook(remote: Remote, name: str, script: str) -> None:
    folder = remote.path / "hooks"
    folder.mkdir(exist_ok=True)
    hook = folder / name
    hook.write_text(f"#!/bin/sh\n{script}\n")
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
