"""Every alert leads to its page, and every page says the four things that are asked at night."""

from __future__ import annotations

import re

import pytest

from tests.chart.rendering import ROOT, Manifests

INDEX = ROOT / "docs/runbooks/README.md"
PAGES = {path.stem: path for path in INDEX.parent.glob("*.md") if path != INDEX}


def test_every_page_is_in_the_index() -> None:
    assert re.findall(r"^- \[(\w+)\]\(\1\.md\): ", INDEX.read_text(), re.MULTILINE) == sorted(PAGES)


def test_every_runbook_url_leads_to_the_alerts_own_page(manifests: Manifests) -> None:
    urls = {
        rule["alert"]: rule["annotations"]["runbook_url"]
        for manifest in manifests.of("PrometheusRule")
        for group in manifest["spec"]["groups"]
        for rule in group["rules"]
        if "alert" in rule
    }
    for alert, url in urls.items():
        assert url == f"https://git.example.com/crm/src/branch/main/docs/runbooks/{alert}.md"
    assert set(urls) == set(PAGES)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_says_what_it_means_and_what_to_do(name: str) -> None:
    text = PAGES[name].read_text()
    assert text.startswith(f"# {name}\n")
    parts = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert parts == ["Meaning", "Impact", "Diagnosis", "Mitigation"]
    commands = re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    assert commands, "a page without a command helps nobody"
    for command in commands:
        assert command.split()[0] in {"kubectl", "delivery", "git", "trivy", "cosign"}, command
