"""The packaged chart is complete without the repository."""

from __future__ import annotations

import json
import re
import subprocess
import tarfile
from pathlib import Path

import yaml

from tests.chart.rendering import CHART, EXAMPLES, RELEASE, ROOT


def test_it_renders_elsewhere_with_every_analysis(tmp_path: Path) -> None:
    helm("package", str(CHART), f"--destination={tmp_path}")
    (package,) = tmp_path.glob("crm-*.tgz")
    with tarfile.open(package) as files:
        files.extractall(tmp_path, filter="data")
    text = helm("template", "crm", str(tmp_path / "crm"), "--values=-", values=json.dumps(RELEASE))
    templates = [each for each in yaml.safe_load_all(text) if each and each["kind"] == "AnalysisTemplate"]
    written = [
        name
        for file in ROOT.glob("analysis-templates/*.yaml")
        for name in re.findall(r"^metadata:\n  name: (\S+)$", file.read_text(), re.MULTILINE)
    ]
    assert len(written) > 10
    assert sorted(each["metadata"]["name"] for each in templates) == sorted(written)
    assert all((tmp_path / "crm/examples" / f"{name}.yaml").is_file() for name in EXAMPLES)
    assert (tmp_path / "crm/README.md").read_text() == (CHART / "README.md").read_text()
    assert not [path for path in (tmp_path / "crm").rglob("*") if path.is_symlink()]


def helm(*arguments: str, values: str = "") -> str:
    done = subprocess.run(["helm", *arguments], input=values, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
