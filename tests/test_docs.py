"""What the documents name exists: files, commands, options."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

import cluster.__main__ as cluster
from delivery.cli import main

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("0*.md"))
INDEX = ROOT / "docs" / "decisions" / "README.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
TUTORIAL = ROOT / "docs" / "tutorial.md"
PAGES = [
    README,
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "charts/crm/README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "runbooks").glob("*.md")),
    *sorted((ROOT / "docs" / "incidents").glob("*.md")),
]
DOCUMENTS = [*PAGES, INDEX, *DECISIONS]
COLUMNS = 120
FOLDERS = (
    "analysis-templates|app|argocd|charts|cluster|delivery|docs|drills|environments|monitoring|pipeline|policies|requirements"
    "|rollouts|tests"
)

# What these are called now is in docs/glossary.md.
FORMER_WORDS = re.compile(
    r"\bways? back\b|(?<!self-)\bheal(?:s|ed|ing)?\b|\bannouncer\b|\bdeeds?\b|\bprobers?\b|\bsightings?\b"
    r"|\bdrills-more\b|\bpardon|\bfigures\b|\bnobody felt\b|\bquestion `|\bis put back\b|\bpeople are told\b",
    re.IGNORECASE,
)
# What a table's row or a command says cannot be broken into lines.
UNBREAKABLE = re.compile(r"\||    |<!--")

named = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def code(text: str) -> list[str]:
    """What a document shows as code: words in backticks, and indented or fenced lines without their remarks."""
    lines = [*re.findall(r"^ {4,7}(\S.*)$", text, re.MULTILINE), *"\n".join(fenced(text)).splitlines()]
    blocks = [re.sub(r"\s{2,}#.*", "", line).strip() for line in lines]
    return [*re.findall(r"(?<!`)`([^`\n]+)`", text), *blocks]


def fenced(text: str) -> list[str]:
    """The blocks of commands between fences."""
    return re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


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
        if re.match(r"delivery [a-z-]+ \S", line):  # with arguments: all of them are parsed
            main._parser().parse_args(shlex.split(line)[1:])
        elif found := re.match(r"delivery ([a-z-]+)$", line):
            assert re.search(rf"^    {found[1]}\s", main._parser().format_help(), re.MULTILINE), line


def test_the_readme_shows_the_daily_commands() -> None:
    shown = "\n".join(code(README.read_text(encoding="utf-8")))
    for command in ("make demo", "make test", "git push", "argocd app sync", "delivery status"):
        assert command in shown
    for verb in ("get", "promote", "abort"):
        assert f"kubectl argo rollouts {verb}" in shown


def test_every_decision_is_in_the_index() -> None:
    listed = re.findall(r"^- \[\d+\]\((.+?)\) ", INDEX.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == [each.name for each in DECISIONS]
    titles = [each.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ") for each in DECISIONS]
    shown = re.findall(r"^- \[(\d+)\]\(.+?\) (.+)$", INDEX.read_text(encoding="utf-8"), re.MULTILINE)
    assert [" ".join(each) for each in shown] == titles
    assert [int(name[:4]) for name in listed] == list(range(1, len(listed) + 1))


def test_the_package_and_its_charts_have_one_version() -> None:
    files = (ROOT / "pyproject.toml", *ROOT.glob("charts/*/Chart.yaml"))
    versions = {re.search(r'^version[ =:]+"?([\d.]+)', file.read_text(), re.MULTILINE)[1] for file in files}  # type: ignore[index]
    assert (len(files), len(versions)) == (4, 1)


@pytest.mark.parametrize("document", DECISIONS, ids=lambda path: path.name)
def test_a_decision_is_short_and_has_its_three_parts(document: Path) -> None:
    lines = document.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 25
    assert lines[0].startswith(f"# {document.name[:4]} ")
    assert re.fullmatch(r"Status: (accepted|superseded by \[\d{4}\]\(.+\)), 20\d\d-\d\d-\d\d", lines[1])
    assert [line for line in lines if line.startswith("## ")] == [
        "## Context",
        "## Decision",
        "## Consequences",
    ]


@pytest.mark.parametrize("document", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_fit_into_a_terminal(document: Path) -> None:
    lines = enumerate(document.read_text(encoding="utf-8").splitlines(), start=1)
    broken = [(number, line) for number, line in lines if document == README or not UNBREAKABLE.match(line)]
    assert [(number, line) for number, line in broken if len(line) > COLUMNS] == []


@named
def test_words_are_those_of_the_glossary(document: Path) -> None:
    text = " ".join(document.read_text(encoding="utf-8").split())
    assert FORMER_WORDS.findall(text) == []


def test_make_lists_its_targets_in_groups_at_80_columns() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^\w+$", listed, re.MULTILINE) == ["Start", "Develop", "Verify", "Release"]
    assert {"demo", "local-image", "lint", "types", "unit", "test", "release"} <= set(
        re.findall(r"^  make ([a-z0-9-]+) ", listed, re.MULTILINE)
    )
    assert [line for line in listed.splitlines() if len(line) > 80] == []


def test_every_feature_of_the_map_has_its_folder() -> None:
    section = ARCHITECTURE.read_text(encoding="utf-8").partition("## Map\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (?!feature|--)(.+?) \| (.+?) \|$", section, re.MULTILINE)
    assert len(rows) >= 20
    for feature, folders in rows:
        found = re.findall(r"`([^`]+)`", folders)
        assert found, feature
        assert [folder for folder in found if not (ROOT / folder).exists()] == []


def test_the_tutorial_can_be_played() -> None:
    """Each of its commands is one that the other tests here know; tests/e2e plays them."""
    commands = "".join(fenced(TUTORIAL.read_text(encoding="utf-8")))
    assert subprocess.run(["bash", "-n"], input=commands, text=True, check=False).returncode == 0
    programs = {line.split()[0] for line in commands.splitlines()}
    assert programs <= {"curl", "delivery", "eval", "export", "git", "make", "sed"}
    assert "<" not in commands
    assert "…" not in commands


def test_the_tutorials_change_is_one_line_of_the_crm(tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", "--shared", ROOT, tmp_path], check=True)
    change = next(
        block for block in fenced(TUTORIAL.read_text(encoding="utf-8")) if block.startswith("git switch")
    )
    identity = ("-c", "user.name=A reader", "-c", "user.email=reader@example.com")
    script = change.replace("git commit", shlex.join(["git", *identity, "commit", "--quiet"]))

    subprocess.run(["bash", "-euc", script], cwd=tmp_path, check=True, capture_output=True)

    changed = subprocess.run(
        ["git", "diff", "--numstat", "HEAD~"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert changed.split() == ["1", "1", "app/crm/api/root.py"]
