"""`python -m pipeline.rendered CHART FOLDER`: write what runs where users are, for checkers of Kubernetes' own kinds.

The objects of each environment, and of an example for another cluster, get the namespace that they are installed into,
and a Rollout goes for the Deployment that it is to such a checker: the same pod template, the same selector. The image
recipes go along under the name that checkers know. Left out are the pod of `helm test`, which serves nobody, and dev:
its database and its secrets are made there, for developers, and hold nobody's data.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import Refuses, gate

SETTINGS = {
    "staging": ("rollouts/canary.yaml", "environments/staging/values.yaml"),
    "production": ("rollouts/canary.yaml", "environments/production/values.yaml"),
    "eks-nginx": ("charts/crm/examples/eks-nginx.yaml",),
}
"""By name of what runs somewhere, its value files."""
_IMAGE = ("image.repository=registry.example.com/crm", f"image.digest=sha256:{'a' * 64}", "image.version=1.0")


@gate("rendered")
def main(chart: Path, folder: Path) -> int:
    for name in SETTINGS:
        write(folder / f"{name}.yaml", objects(chart, name))
    for recipe in Path().glob("*/Containerfile"):
        text = recipe.read_text(encoding="utf-8")
        (folder / recipe.parent).mkdir(parents=True, exist_ok=True)
        (folder / recipe.parent / "Dockerfile").write_text(with_base(text), encoding="utf-8")
    return 0


def objects(chart: Path, name: str) -> Iterator[dict[str, Any]]:
    """What a release consists of there. Raises Refuses if the chart cannot be rendered."""
    namespace = f"crm-{name}"
    done = subprocess.run(
        [
            *("helm", "template", "crm", str(chart), "--skip-tests", f"--namespace={namespace}"),
            *(f"--values={file}" for file in SETTINGS[name]),
            *(f"--set={each}" for each in _IMAGE),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Refuses(f"helm cannot render {chart} for {name}: {done.stderr.strip()}")
    for each in yaml.safe_load_all(done.stdout):
        if each:
            yield as_known(each, namespace)


def as_known(made: dict[str, Any], namespace: str) -> dict[str, Any]:
    """The object as a checker of Kubernetes' own kinds understands it."""
    known = made | {"metadata": {"namespace": namespace} | made["metadata"]}
    return known | {"apiVersion": "apps/v1", "kind": "Deployment"} if made["kind"] == "Rollout" else known


def with_base(recipe: str) -> str:
    """An image recipe that names its base image itself, which a checker would not look up in the argument's default."""
    named = re.search(r"^ARG BASE=(\S+)$", recipe, re.MULTILINE)
    return recipe.replace("${BASE}", named[1]) if named else recipe


def write(file: Path, made: Iterator[dict[str, Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump_all(made, sort_keys=False), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
