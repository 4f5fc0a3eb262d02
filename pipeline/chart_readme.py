"""`python -m pipeline.chart_readme`: write charts/crm/README.md by helm-docs.

Values are described once, in values.schema.json. helm-docs reads comments of values.yaml, so it gets one made of both.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import Refuses, gate

CHART = Path(__file__).resolve().parents[1] / "charts/crm"
FILE = CHART / "README.md"
TEMPLATE = "README.md.gotmpl"


def text() -> str:
    """The text that the file must have. Raises Refuses if helm-docs cannot make it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("Chart.yaml", TEMPLATE):
            shutil.copy(CHART / file, folder)
        (folder / "values.yaml").write_text(described(), encoding="utf-8")
        options = [f"--chart-search-root={folder}", "--sort-values-order=file", "--log-level=warn"]
        try:
            done = subprocess.run(["helm-docs", *options], capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise Refuses("there is no helm-docs: run python -m cluster tools helm-docs") from None
        if done.returncode or not (folder / FILE.name).exists():
            raise Refuses(f"helm-docs cannot write {FILE.name}: {done.stderr.strip()}")
        return (folder / FILE.name).read_text(encoding="utf-8")


def described() -> str:
    """values.yaml with the schema's descriptions as helm-docs reads them; what has no default is null."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    return "\n".join(_lines(schema, schema["definitions"], values, "")) + "\n"


def _lines(
    node: dict[str, Any], definitions: dict[str, Any], values: dict[str, Any], indent: str
) -> Iterator[str]:
    for key, child in node["properties"].items():
        reference = child.get("$ref", "").rpartition("/")[2]
        known = {**definitions.get(reference, {}), **child}
        if "properties" in known and reference != "resources":
            yield f"{indent}{key}:"
            yield from _lines(known, definitions, values.get(key, {}), f"{indent}  ")
        else:
            value, types = values.get(key), known.get("type", [])
            of = "" if value is not None else f"({types if isinstance(types, str) else types[0]}) "
            yield f"{indent}# -- {of}{known['description']}"
            yield f"{indent}{key}: {json.dumps(value)}"


def is_stale() -> bool:
    """Raises Refuses."""
    return not FILE.exists() or FILE.read_text(encoding="utf-8") != text()


@gate("chart_readme")
def main() -> int:
    if is_stale():
        FILE.write_text(text(), encoding="utf-8")
        print(f"wrote charts/crm/{FILE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
