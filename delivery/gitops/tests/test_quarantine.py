"""A quarantined image is released by nobody until somebody lifts the quarantine."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import yaml

from delivery.cli.main import main
from delivery.gitops.quarantine import FILE, QuarantinedImage
from delivery.tests.hosts import Registry, Remote


def quarantined(digest: str) -> str:
    entry = QuarantinedImage(
        digest, "1.1", "production", "2026-11-24T03:00:00Z", "error-rate: 22 of 30 failed"
    )
    return yaml.safe_dump([asdict(entry)])


@pytest.fixture
def image(remote: Remote, registry: Registry) -> str:
    assert main(["init"]) == 0
    return str(registry.push(remote.tip("main"), "1.1"))


def digest_of(image: str) -> str:
    return image.partition("@")[2]


def test_release_and_promote_refuse_it_until_it_is_unquarantined(
    remote: Remote, image: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["release", "--image", image, "--to", "dev"]) == 0
    tip = remote.commit("environments", {FILE: quarantined(digest_of(image))})
    capsys.readouterr()

    assert main(["release", "--image", image, "--to", "production"]) == 1
    assert main(["promote", "dev", "staging"]) == 1
    error = capsys.readouterr().err
    sentence = (
        "1.1 is quarantined since 2026-11-24T03:00:00Z, "
        "when it failed in production (error-rate: 22 of 30 failed)"
    )
    assert error.count(sentence) == 2
    assert remote.tip("environments") == tip

    assert main(["unquarantine", digest_of(image), "--reason", "the database was full"]) == 0
    assert remote.subjects()[0] == "unquarantine 1.1"
    assert "the database was full" in remote.message()
    assert main(["promote", "dev", "staging"]) == 0


@pytest.mark.parametrize(
    ("digest", "reason", "sentence"),
    [
        ("sha256:0", "because", "sha256:0 is not quarantined; quarantined: no image."),
        ("sha256:0", " ", "Lifting a quarantine needs a reason"),
    ],
)
def test_unquarantining_nothing_or_for_no_reason_is_refused(
    image: str, capsys: pytest.CaptureFixture[str], digest: str, reason: str, sentence: str
) -> None:
    assert main(["unquarantine", digest, "--reason", reason]) == 1
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- [unfinished\n", "quarantine.yaml on the branch environments is not YAML"),
        (
            "- digest: sha256:1\n",
            "entries have the texts at, digest, environment, reason, version",
        ),
        ("digest: sha256:1\n", "must be a list"),
    ],
)
def test_a_file_that_cannot_be_read_lets_nothing_through(
    remote: Remote, image: str, capsys: pytest.CaptureFixture[str], text: str, sentence: str
) -> None:
    remote.commit("environments", {FILE: text})
    capsys.readouterr()

    assert main(["release", "--image", image, "--to", "dev"]) == 1
    assert sentence in capsys.readouterr().err


class TestARollback:
    """What is quarantined is rolled back to by nobody, and a file that nobody can read holds up none."""

    @pytest.fixture
    def images(self, remote: Remote, registry: Registry) -> list[str]:
        assert main(["init"]) == 0
        made = [str(registry.push(remote.tip("main"), version)) for version in ("1.0", "1.1", "1.2")]
        for image in made:
            assert main(["release", "--image", image, "--to", "production"]) == 0
        return made

    def test_goes_past_it(self, remote: Remote, images: list[str]) -> None:
        remote.commit("environments", {FILE: quarantined(digest_of(images[1]))})
        assert main(["rollback", "production"]) == 0
        assert remote.release("production")["image"]["version"] == "1.0"

    def test_says_when_there_is_no_other(
        self, remote: Remote, images: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        both = quarantined(digest_of(images[0])) + quarantined(digest_of(images[1]))
        remote.commit("environments", {FILE: both})
        assert main(["rollback", "production"]) == 1
        error = capsys.readouterr().err
        assert "production has no earlier release to roll back to that is not quarantined." in error

    def test_to_it_is_refused_until_it_is_unquarantined(
        self, remote: Remote, images: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        wanted = remote.git("rev-parse", "environments~1").strip()
        remote.commit("environments", {FILE: quarantined(digest_of(images[1]))})
        assert main(["rollback", "production", "--to", wanted]) == 1
        assert "1.1 is quarantined since" in capsys.readouterr().err
        assert main(["unquarantine", digest_of(images[1]), "--reason", "it was the disk"]) == 0
        assert main(["rollback", "production", "--to", wanted]) == 0
        assert remote.release("production")["image"]["version"] == "1.1"

    def test_is_not_held_up_by_a_file_that_cannot_be_read(self, remote: Remote, images: list[str]) -> None:
        assert images
        remote.commit("environments", {FILE: "- [unfinished\n"})
        assert main(["rollback", "production"]) == 0
        assert remote.release("production")["image"]["version"] == "1.1"
