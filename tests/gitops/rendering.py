"""Renders charts/environments and charts/delivery-guard with the real Helm."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
Manifest = dict[str, Any]

ENVIRONMENTS, GUARD = "environments", "delivery-guard"
PLATFORM = ROOT / "argocd" / "platform"
REPOSITORY = "https://git.example.com/crm.git"
IMAGE = {"repository": "registry.example.com/delivery-guard", "digest": "sha256:" + "a" * 64}
NEEDED: dict[str, dict[str, Any]] = {
    ENVIRONMENTS: {"repoURL": REPOSITORY},
    GUARD: {"repoURL": REPOSITORY, "image": IMAGE},
}
"""Values without which a chart is refused, by its name, which is its release's as well."""


def render(chart: str = ENVIRONMENTS, *, apis: Sequence[str] = (), **values: Any) -> str:
    """What Helm makes of these values, on a cluster that also has these APIs."""
    done = _helm(chart, values, *(f"--api-versions={api}" for api in apis))
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(chart: str = ENVIRONMENTS, **values: Any) -> str:
    """Return the sentence with which Helm refuses these values."""
    done = _helm(chart, values)
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


def lint(chart: str) -> subprocess.CompletedProcess[str]:
    return _run(chart, {}, "helm", "lint", "--strict", "--quiet")


def _helm(chart: str, values: dict[str, Any], *options: str) -> subprocess.CompletedProcess[str]:
    return _run(chart, values, "helm", "template", chart, "--namespace=argocd", *options)


def _run(chart: str, values: dict[str, Any], *command: str) -> subprocess.CompletedProcess[str]:
    given = json.dumps(NEEDED[chart] | values)
    command = (*command, str(ROOT / "charts" / chart), "--values=-")
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False)
