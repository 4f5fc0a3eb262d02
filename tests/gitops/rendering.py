"""Renders argocd/ with the real Helm."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "argocd"
PLATFORM = CHART / "platform"
REPOSITORY = "https://git.example.com/crm.git"

Manifest = dict[str, Any]


def render(*, apis: Sequence[str] = (), **values: Any) -> str:
    """What Helm makes of these values, on a cluster that also has these APIs."""
    done = _helm({"repoURL": REPOSITORY, **values}, *(f"--api-versions={api}" for api in apis))
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(**values: Any) -> str:
    """Return the sentence with which Helm refuses these values."""
    done = _helm({"repoURL": REPOSITORY, **values})
    assert done.returncode, f"{values} were rendered"
    return done.stderr


def manifests(text: str) -> list[Manifest]:
    return [found for found in yaml.safe_load_all(text) if found]


def named(text: str, kind: str) -> dict[str, Manifest]:
    """The manifests of a kind, by namespace/name or name."""
    found = [manifest for manifest in manifests(text) if manifest["kind"] == kind]
    by_name = {_name(manifest): manifest for manifest in found}
    assert len(by_name) == len(found)
    return by_name


def _name(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    return "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))


def _helm(values: dict[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
    command = ["helm", "template", "environments", str(CHART), "--namespace", "argocd", "--values", "-"]
    command += options
    return subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)
