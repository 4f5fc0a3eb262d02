"""What Argo CD's own API takes, and what the chart refuses before that."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.gitops.rendering import PLATFORM, refusal, render


def kubeconform(location: str, *files: Path) -> subprocess.CompletedProcess[str]:
    command = ["kubeconform", "-strict", "-summary", "-schema-location", location, *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_api_accepts_every_field(tmp_path: Path, schema_location: str) -> None:
    (tmp_path / "usual.yaml").write_text(render())
    (tmp_path / "local.yaml").write_text(render(extraValueFiles=["../../cluster/values.yaml"]))
    guard = {"image": f"registry.example.com/guard@sha256:{'a' * 64}", "scanKeySecret": "scan"}
    (tmp_path / "guarded.yaml").write_text(render(apis=["monitoring.coreos.com/v1"], guard=guard))
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
    ],
)
def test_values_that_make_no_sense_are_refused_by_name(values: dict[str, Any], named: str) -> None:
    assert named in refusal(**values)
