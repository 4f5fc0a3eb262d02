from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from delivery import sbom
from delivery.drills import images, local, scan
from delivery.registry import Reference
from delivery.scans import newest


def test_a_good_image_has_no_fault() -> None:
    assert images.good("1.0") == images.Recipe("1.0")


@pytest.mark.parametrize(
    ("recipe", "version", "call"),
    [
        (images.errors(), "1.2", "break_it(share=1.0)"),
        (images.errors(share=0.5, version="1.2-half"), "1.2-half", "break_it(share=0.5)"),
        (images.slow(seconds=3.0), "1.3", "break_it(share=1.0, seconds=3.0)"),
        (images.bursts(), "1.20", "break_it(seconds=4.0, every=20.0)"),
        (images.crash_loop(), "1.21", "break_it()"),
        (images.never_ready(), "1.22", "break_it(after=0.0)"),
        (images.sick(), "1.30", "break_it(after=25.0)"),
        (images.hoarding(), "1.31", "break_it(seconds=0.5, every=0.6)"),
        (images.lost_wins(), "1.32", "break_it()"),
        (images.lost_writes(), "1.23", "break_it()"),
        (images.failing_tasks(), "1.24", "break_it()"),
    ],
)
def test_a_fault_is_python_that_ends_in_its_call(recipe: images.Recipe, version: str, call: str) -> None:
    tree = ast.parse(recipe.fault)

    assert recipe.version == version
    assert ast.unparse(tree.body[-1]) == call


def test_an_image_is_named_by_its_digest() -> None:
    assert images.Image("1.0", "sha256:1", "c0ffee").reference == "localhost:30500/crm@sha256:1"


def test_the_content_depends_on_files_and_base() -> None:
    keys = {
        images.content_key(files, base) for files in ("100644 blob a", "100644 blob b") for base in ("x", "y")
    }

    assert len(keys) == 4


class Builder:
    """Stands in for buildah: keeps names of images and writes down what it was told."""

    def __init__(self) -> None:
        self.there: set[str] = {"localhost/crm:outdated"}
        self.told: list[str] = []
        self.results: dict[str, tuple[bytes, ...]] = {}
        self.lists: dict[tuple[str, str], list[bytes]] = {}

    def base_image(self) -> str:
        return "localhost/crm-base:1"

    def has_image(self, name: str) -> bool:
        return name in self.there

    def build_options(self) -> list[str]:
        return []

    def host_certificates(self) -> str:
        return "--volume=certificates"

    def buildah(self, *arguments: str, log: str = "") -> None:  # noqa: ARG002  # as the builder has it
        self.told.append(" ".join(map(str, arguments)))
        match arguments[0]:
            case "bud":
                context = Path(arguments[-1])
                assert (context / images.CONTAINERFILE).is_file()
                assert not (context / "README.md").exists()
                self.there.add(
                    next(str(each) for each in arguments if "--tag=" in str(each)).removeprefix("--tag=")
                )
            case "commit":
                self.there.add(arguments[-1])
            case "copy":
                self.module = Path(arguments[-2]).read_text(encoding="utf-8")
            case "rmi":
                self.there -= set(arguments)

    def buildah_output(self, *arguments: str) -> str:
        return "\n".join(sorted(self.there)) if arguments[0] == "images" else "a-container\n"

    def attach(self, repository: str, digest: str, *envelopes: bytes) -> None:
        assert repository == local.REPOSITORY
        self.results[digest] = envelopes

    def push(self, name: str, repository: str) -> str:
        assert repository == "crm"
        return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"

    def bundles(self, reference: Reference, kind: str) -> list[bytes]:
        return self.lists.get((str(reference.digest), kind), [])

    def attach_bundle(self, repository: str, digest: str, envelope: bytes, kind: str) -> None:
        assert repository == local.REPOSITORY
        bundle = json.dumps({"dsseEnvelope": json.loads(envelope)}).encode()
        self.lists.setdefault((digest, kind), []).append(bundle)


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Builder]:
    """A checkout with an app, and the builder that is told to build it."""
    for file, text in (
        (images.CONTAINERFILE, "FROM x"),
        (images.FAULTY_MODULE, "good = 1\n"),
        ("README.md", ""),
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text, encoding="utf-8")
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "app.txt").touch()
    monkeypatch.setattr(local, "CHECKOUT", tmp_path)
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "start"]):
        local.output(["git", *command], env=local.variables())
    builder = Builder()
    monkeypatch.setattr(images, "builder", builder)
    monkeypatch.setattr(scan, "attach", builder.attach)
    monkeypatch.setattr(scan, "attach_bundle", builder.attach_bundle)
    monkeypatch.setattr(images, "bundles", builder.bundles)
    monkeypatch.setattr(scan, "key_file", lambda: tmp_path / "scan-key.pem")
    images.image.cache_clear()
    yield builder
    images.image.cache_clear()


def test_an_image_is_built_once_and_says_what_it_is(builder: Builder) -> None:
    image = images.image(images.good("1.0"))
    again = images.image(images.good("1.0"))

    assert image is again
    assert (image.version, image.revision) == ("1.0", images.head())
    config = next(words for words in builder.told if words.startswith("config"))
    assert f"--label=org.opencontainers.image.revision={images.head()}" in config
    assert "--env=VERSION=1.0" in config
    assert not [words for words in builder.told if words.startswith("copy")]


def test_another_version_builds_no_content_anew(builder: Builder) -> None:
    first = images.image(images.good("1.0"))
    second = images.image(images.good("1.1"))

    assert first.digest != second.digest
    assert len([words for words in builder.told if words.startswith("bud")]) == 1


def test_a_faulty_image_has_a_broken_module_with_fresh_bytecode(builder: Builder) -> None:
    images.image(images.errors())

    assert builder.module.startswith("good = 1\n")
    assert builder.module.endswith("break_it(share=1.0)\n")
    compiled = next(words for words in builder.told if "compileall" in words)
    assert compiled.endswith(f"/{images.FAULTY_MODULE}")


def test_a_fault_may_be_a_file_of_its_own(builder: Builder) -> None:
    images.image(images.bad_migration())

    assert builder.module.startswith("# A drill's fault: a migration")
    assert "SELECT 1 / 0" in builder.module


def test_images_of_earlier_contents_are_dropped(builder: Builder) -> None:
    images.image(images.good("1.0"))

    assert "localhost/crm:outdated" not in builder.there
    assert len(builder.there) == 2


@pytest.mark.parametrize(
    ("recipe", "critical"), [(images.good("1.0"), 0), (images.errors(), 0), (images.vulnerable(), 1)]
)
def test_an_image_comes_with_its_signed_scan_result(
    builder: Builder, recipe: images.Recipe, critical: int
) -> None:
    image = images.image(recipe)
    (envelope,) = builder.results[image.digest]
    key = scan.private_key().public_key()
    found = newest([envelope], digest=image.digest, key=key, now=datetime.now(tz=UTC))
    assert len(found.critical) == critical


def test_an_image_that_nobody_scanned_has_no_result(builder: Builder) -> None:
    images.image(images.unscanned())
    assert not builder.results


def test_a_list_of_what_is_in_an_image_is_signed_once(builder: Builder) -> None:
    for _ in range(2):
        images.image.cache_clear()
        image = images.image(images.good("1.0"))
    (bundle,) = builder.lists[image.digest, sbom.PREDICATE]
    key = scan.private_key().public_key()
    assert sbom.packages([bundle], digest=image.digest, key=key) == 3


def test_an_image_that_nobody_listed_has_no_list(builder: Builder) -> None:
    images.image(images.unlisted(version="1.0"))
    assert not builder.lists
