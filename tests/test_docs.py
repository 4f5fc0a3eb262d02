"""What the documents name exists: files, commands, options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import cluster.__main__ as cluster
from delivery.cli import main

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
INDEX = ROOT / "docs" / "decisions" / "README.md"
DOCUMENTS = [
    README,
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "docs" / "architecture.md",
    ROOT / "docs" / "pipeline.md",
    INDEX,
    *DECISIONS,
    *sorted((ROOT / "docs" / "runbooks").glob("*.md")),
    ROOT / "argocd" / "platform" / "README.md",
]
FOLDERS = (
    "analysis-templates|app|argocd|charts|cluster|delivery|docs|environments|monitoring|pipeline|policies|requirements"
    "|rollouts|tests"
)

named = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def code(text: str) -> list[str]:
    """What a document shows as code: words in backticks, and indented lines (no pictures) without their remarks."""
    blocks = [
        re.sub(r"\s{2,}#.*", "", line).strip() for line in re.findall(r"^ {4,7}(\S.*)$", text, re.MULTILINE)
    ]
    return [*re.findall(r"`([^`\n]+)`", text), *blocks]


@named
def test_links_resolve(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8"))
    broken = [
        link
        for link in links
        if "://" not in link and not (document.parent / link.partition("#")[0]).exists()
    ]
    assert not broken


@named
def test_files_in_backticks_exist(document: Path) -> None:
    words = code(document.read_text(encoding="utf-8"))
    files = [word for word in words if re.fullmatch(rf"(?:{FOLDERS})/[\w./*-]+", word)]
    assert not [file for file in files if not list(ROOT.glob(file.rstrip("/")))]


@named
def test_make_targets_exist(document: Path) -> None:
    targets = set(
        re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    words = code(document.read_text(encoding="utf-8"))
    assert {found[1] for word in words if (found := re.match(r"make ([a-z0-9-]+)", word))} <= targets


@named
def test_commands_of_the_cluster_exist(document: Path) -> None:
    text = "\n".join(code(document.read_text(encoding="utf-8")))
    assert set(re.findall(r"python -m cluster ([a-z]+)", text)) <= {*cluster.COMMANDS, "tools"}


@named
def test_delivery_takes_what_it_is_given(document: Path) -> None:
    for line in code(document.read_text(encoding="utf-8")):
        if re.match(r"delivery [a-z]+ \S", line):  # with arguments: all of them are parsed
            main._parser().parse_args(shlex.split(line)[1:])
        elif found := re.match(r"delivery ([a-z]+)$", line):
            assert f"\n    {found[1]} " in main._parser().format_help(), line


def test_the_readme_shows_the_daily_commands() -> None:
    shown = "\n".join(code(README.read_text(encoding="utf-8")))
    for command in ("make demo", "make test", "git push", "argocd app sync", "delivery status"):
        assert command in shown
    for verb in ("get", "promote", "abort"):
        assert f"kubectl argo rollouts {verb}" in shown


def test_every_decision_is_in_the_index() -> None:
    listed = re.findall(r"^- \[\d+\]\((.+?)\) ", INDEX.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == [each.name for each in DECISIONS]
    assert [int(name[:4]) for name in listed] == list(range(1, len(listed) + 1))


def test_the_package_and_its_charts_have_one_version() -> None:
    files = (
        ROOT / "pyproject.toml",
        *(ROOT / path for path in ("charts/crm/Chart.yaml", "argocd/Chart.yaml")),
    )
    versions = {re.search(r'^version[ =:]+"?([\d.]+)', file.read_text(), re.MULTILINE)[1] for file in files}  # type: ignore[index]
    assert len(versions) == 1


@pytest.mark.parametrize(("document", "lines"), [(README, 150), *((each, 25) for each in DECISIONS)])
def test_documents_are_short(document: Path, lines: int) -> None:
    assert len(document.read_text(encoding="utf-8").splitlines()) <= lines
