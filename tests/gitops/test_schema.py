"""What Argo CD's own API takes, and what the charts refuse before that."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gitops.rendering import ENVIRONMENTS, GUARD, PLATFORM, ROOT, lint, refusal, render


def kubeconform(location: str, *files: Path) -> subprocess.CompletedProcess[str]:
    command = ["kubeconform", "-strict", "-summary", "-schema-location", location, *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("chart", [ENVIRONMENTS, GUARD])
def test_helm_finds_no_fault(chart: str) -> None:
    done = lint(chart)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("chart", [ENVIRONMENTS, GUARD])
def test_every_value_is_described(chart: str) -> None:
    schema = json.loads((ROOT / f"charts/{chart}/values.schema.json").read_text())
    described = dict(properties(schema))
    assert {"repoURL", "environments", "name"} <= set(described)
    assert [name for name, each in described.items() if not each.get("description", "").endswith(".")] == []


def properties(node: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        yield from node.get("properties", {}).items()
        for each in node.values():
            yield from properties(each)


def test_the_api_accepts_every_field(tmp_path: Path, schema_location: str) -> None:
    (tmp_path / "usual.yaml").write_text(render())
    (tmp_path / "local.yaml").write_text(render(extraValueFiles=["../../cluster/values.yaml"]))
    (tmp_path / "guard.yaml").write_text(render(GUARD))
    everything = {
        "imagePullSecrets": [{"name": "registry"}],
        "promotions": ["dev>staging=15m"],
        "attestations": {"scan": {"existingSecret": "scan"}, "sbom": {"existingSecret": "sbom"}},
        "notifications": {"existingSecret": "notifications"},
        "registries": {"localhost:30500": "http://registry.forge.svc:5000"},
    }
    (tmp_path / "whole.yaml").write_text(render(GUARD, apis=["monitoring.coreos.com/v1"], **everything))
    names = ("project.yaml", "applications.yaml", "monitors.yaml", "issuer.yaml", "signed-images.yaml")
    platform = [PLATFORM / name for name in names]
    done = kubeconform(schema_location, tmp_path, *platform)
    assert done.returncode == 0, done.stdout
    assert "Skipped: 0" in done.stdout


@pytest.mark.parametrize("field", ["preserveResourcesOnDeletion", "jqPathExpressions", "valuesObject"])
def test_the_api_refuses_a_field_that_it_does_not_know(
    tmp_path: Path, schema_location: str, rendered: str, field: str
) -> None:
    (tmp_path / "wrong.yaml").write_text(rendered.replace(f"{field}:", f"{field}x:"))
    done = kubeconform(schema_location, tmp_path)
    assert done.returncode == 1
    assert f"{field}x" in done.stdout


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"repoURL": ""}, "/repoURL"),
        ({"repoURL": "https://ada:secret@git.example.com/crm.git"}, "/repoURL"),  # pragma: allowlist secret
        ({"repoURl": "x"}, "repoURl"),
        ({"environments": []}, "/environments"),
        ({"environments": [{"name": "Dev"}]}, "/environments/0/name"),
        ({"environments": [{"name": "dev", "namespace": "kube-system"}]}, "namespace"),
        ({"extraValueFiles": ["/etc/passwd"]}, "/extraValueFiles/0"),
        ({"pollSeconds": 1}, "/pollSeconds"),
        # What was in this chart once: nobody upgrades past docs/decisions/0046 unawares, and loses the guard.
        ({"guard": {"image": ""}}, "'guard' not allowed"),
    ],
)
def test_values_that_make_no_sense_are_refused_by_name(values: dict[str, Any], named: str) -> None:
    assert named in refusal(**values)
