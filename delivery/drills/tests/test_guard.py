from __future__ import annotations

from pathlib import Path

import pytest

from delivery.drills import guard, images, local


class Builder:
    """Stands in for buildah: keeps names of images and writes down what it was told."""

    def __init__(self) -> None:
        self.there: set[str] = {"localhost/delivery-guard:outdated"}
        self.told: list[str] = []
        self.built_from: list[str] = []

    def platform_image(self) -> str:
        return "localhost/platform:1"

    def has_image(self, name: str) -> bool:
        return name in self.there

    def build_options(self) -> list[str]:
        return []

    def host_certificates(self) -> str:
        return "--volume=certificates"

    def buildah(self, *arguments: str | Path, log: str = "") -> None:  # noqa: ARG002  # as the builder has it
        words = list(map(str, arguments))
        self.told.append(" ".join(words))
        if words[0] == "rmi":
            self.there -= set(words)
            return
        context = Path(words[-1])
        self.built_from = sorted(
            str(file.relative_to(context)) for file in context.rglob("*") if file.is_file()
        )
        self.there |= {word.removeprefix("--tag=") for word in words if word.startswith("--tag=")}

    def buildah_output(self, *arguments: str) -> str:  # noqa: ARG002  # as the builder has it
        return "\n".join(sorted(self.there))

    def push(self, name: str, repository: str, *options: str) -> str:
        assert (repository, options[0]) == ("delivery-guard", "--compression-format=zstd")
        assert name in self.there
        return f"sha256:{name.rpartition(':')[2]}"


FILES = {
    guard.CONTAINERFILE: "FROM x",
    "delivery/cli.py": "1",
    "delivery/guard/watch.py": "1",
    "delivery/guard/tests/test_watch.py": "1",
    "delivery/drills/demo.py": "1",
    "requirements/delivery.txt": "1",
    "requirements/app.txt": "1",
    "app/x.py": "1",
}


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Builder:
    """A checkout, and the builder that is told to build it."""
    monkeypatch.setattr(local, "CHECKOUT", tmp_path)
    local.output(["git", "init", "--quiet"])
    commit(tmp_path, FILES)
    builder = Builder()
    monkeypatch.setattr(guard, "builder", builder)
    return builder


def commit(checkout: Path, files: dict[str, str]) -> None:
    for file, text in files.items():
        (checkout / file).parent.mkdir(parents=True, exist_ok=True)
        (checkout / file).write_text(text, encoding="utf-8")
    for command in (["add", "."], ["commit", "--quiet", "--message", "change"]):
        local.output(["git", *command], env=local.variables())


def test_the_image_holds_delivery_as_head_has_it_without_drills_and_tests(
    builder: Builder, tmp_path: Path
) -> None:
    (tmp_path / "delivery/uncommitted.py").touch()

    assert guard.image().startswith("localhost:30500/delivery-guard@sha256:")

    assert builder.built_from == [
        guard.CONTAINERFILE,
        "delivery/cli.py",
        "delivery/guard/watch.py",
        "requirements/delivery.txt",
    ]
    build = builder.told[0]
    assert "--build-arg=BASE=localhost/platform:1" in build
    assert f"--build-arg=REVISION={images.head()}" in build


def test_it_is_built_once_and_outdated_ones_go(builder: Builder) -> None:
    assert guard.image() == guard.image()

    assert [words.split()[0] for words in builder.told] == ["bud", "rmi"]
    assert "localhost/delivery-guard:outdated" not in builder.there


@pytest.mark.parametrize(
    "file", ["app/x.py", "delivery/drills/demo.py", "delivery/guard/tests/test_watch.py"]
)
def test_what_it_does_not_hold_makes_no_new_one(builder: Builder, tmp_path: Path, file: str) -> None:
    before = guard.image()
    commit(tmp_path, {file: "2"})

    assert guard.image() == before


@pytest.mark.parametrize("file", ["delivery/cli.py", "requirements/delivery.txt", guard.CONTAINERFILE])
def test_what_it_holds_makes_a_new_one(builder: Builder, tmp_path: Path, file: str) -> None:
    before = guard.image()
    commit(tmp_path, {file: "2"})

    assert guard.image() != before
