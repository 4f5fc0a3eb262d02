"""The very files that are shipped, rendered as the chart renders them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.analysis.arithmetic import Bets
from tests.analysis.promtool import Promtool
from tests.analysis.templates import Template

REPOSITORY = Path(__file__).resolve().parents[2]
RULES = REPOSITORY / "charts/crm/files/rules"
TEMPLATES = REPOSITORY / "analysis-templates"
NAMESPACE = "crm-production"

# A chart of nothing but these files, so that what is wrong elsewhere in charts/crm does not fail here.
CHART = {"apiVersion": "v2", "name": "only-the-analysis-templates", "version": "0.0.0"}
VALUES = {
    "analysis": {
        "guard": "http://guard.test:8080",
        "prometheus": "http://prometheus.test:9090",
        "scrapeInterval": "2s",
        "interval": "3s",
        "initialDelay": "5s",
        "count": 100,
        "window": "10s",
        "expected": [{"endpoint": "deals-list", "method": "GET", "status": 404, "version": "1.7"}],
    },
    "strategy": {"name": "canary"},
}
RENDER = """\
{{- range $path, $_ := .Files.Glob "analysis-templates/*.yaml" }}
{{ tpl ($.Files.Get $path) $ }}
---
{{- end }}
"""


def found(tool: str) -> str:
    path = shutil.which(tool)
    assert path, f"{tool} is not on PATH; `make test` puts it there"
    return path


def rules(name: str) -> str:
    text = (RULES / f"{name}.yaml").read_text()
    words = {"NAMESPACE": NAMESPACE, "INTERVAL": "2s", "CANARY": "crm-canary", "STABLE": "crm-stable"}
    return re.sub("|".join(rf"\b{word}\b" for word in words), lambda found: words[found[0]], text)


@pytest.fixture(scope="session")
def rules_text() -> str:
    return rules("verdicts")


@pytest.fixture(scope="session")
def business_rules() -> str:
    return rules("business")


@pytest.fixture(scope="session")
def regression_rules() -> str:
    return rules("regression")


@pytest.fixture(scope="session")
def bets(rules_text: str) -> Bets:
    return Bets.read_from(rules_text)


@pytest.fixture
def promtool(rules_text: str, business_rules: str, tmp_path: Path) -> Promtool:
    return Promtool(found("promtool"), (rules_text, business_rules), tmp_path, NAMESPACE)


@pytest.fixture
def comparing(regression_rules: str, tmp_path: Path) -> Promtool:
    """The rules of `regression`, which need nothing of the others."""
    return Promtool(found("promtool"), (regression_rules,), tmp_path, NAMESPACE)


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Template]:
    chart = tmp_path_factory.mktemp("chart")
    (chart / "templates").mkdir()
    (chart / "Chart.yaml").write_text(yaml.safe_dump(CHART))
    (chart / "values.yaml").write_text(yaml.safe_dump(VALUES))
    (chart / "templates/all.yaml").write_text(RENDER)
    shutil.copytree(TEMPLATES, chart / "analysis-templates")
    command = [found("helm"), "template", "crm", str(chart), "--namespace", NAMESPACE]
    rendered = subprocess.run(command, capture_output=True, text=True, check=False)
    assert rendered.returncode == 0, rendered.stderr
    documents = [document for document in yaml.safe_load_all(rendered.stdout) if document]
    return {document["metadata"]["name"]: Template(document) for document in documents}
