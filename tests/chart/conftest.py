"""What the chart's tests need besides Helm: the schemas of everything that it may render."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.chart import schemas
from tests.chart.rendering import ROOT

MODULES = {
    # module: (the go.mod in cluster/tools that pins it, where its CRDs are)
    "github.com/argoproj/argo-rollouts": ("kubernetes", "manifests/crds/*-crd.yaml"),
    "github.com/prometheus-operator/prometheus-operator": (
        "prometheus-operator",
        "example/prometheus-operator-crd/*.yaml",
    ),
    "github.com/traefik/traefik/v3": ("manifests", "integration/fixtures/k8s/01-traefik-crd.yml"),
}


@pytest.fixture(scope="session")
def crd_files() -> list[Path]:
    """The CRDs of exactly the versions that the cluster runs; CRD_DIR names a folder of others."""
    if folder := os.environ.get("CRD_DIR"):
        return sorted(Path(folder).glob("*.y*ml"))
    found = [sorted(_module(module, tool).glob(pattern)) for module, (tool, pattern) in MODULES.items()]
    assert all(found), f"no CRDs in the Go module cache for {MODULES}; build the tools or set CRD_DIR"
    return [path for paths in found for path in paths]


@pytest.fixture(scope="session")
def schema_location(tmp_path_factory: pytest.TempPathFactory, crd_files: list[Path]) -> str:
    """Where kubeconform finds the schemas."""
    folder = tmp_path_factory.mktemp("schemas")
    swagger = _module("k8s.io/kubernetes", "kubernetes") / "api/openapi-spec/swagger.json"
    schemas.write(folder, swagger=swagger, crds=crd_files)
    return str(folder / schemas.LOCATION)


def _module(module: str, tool: str) -> Path:
    pins = (ROOT / "cluster/tools" / tool / "go.mod").read_text()
    pin = re.search(rf"{re.escape(module)} (v\S+)", pins)
    assert pin, f"cluster/tools/{tool}/go.mod does not name {module}"
    return _module_cache() / f"{module}@{pin[1]}"


def _module_cache() -> Path:
    if folder := os.environ.get("GOMODCACHE"):
        return Path(folder)
    try:
        asked = subprocess.run(["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        return Path.home() / "go/pkg/mod"
    return Path(asked.stdout.strip())
