"""What the chart's tests need besides Helm: the schemas of everything that it may render."""

import os
from pathlib import Path

import pytest

from cluster import go_tools
from tests.chart import schemas

MODULES = {
    # module: (the go.mod in cluster/tools that pins it, where its CRDs are)
    "github.com/argoproj/argo-rollouts": ("argo-rollouts", "manifests/crds/*-crd.yaml"),
    "github.com/prometheus-operator/prometheus-operator": (
        "argo-rollouts",
        "example/prometheus-operator-crd/*.yaml",
    ),
    "github.com/cert-manager/cert-manager": ("manifests", "deploy/crds/cert-manager.io_*.yaml"),
    "istio.io/api": ("manifests", "kubernetes/customresourcedefinitions.gen.yaml"),
    "sigs.k8s.io/gateway-api": ("manifests", "config/crd/standard/gateway.networking.k8s.io_*.yaml"),
    "github.com/traefik/traefik/v3": ("manifests", "integration/fixtures/k8s/01-traefik-crd.yml"),
}


@pytest.fixture(scope="session")
def crd_files() -> list[Path]:
    """The CRDs of exactly the versions that the cluster runs, and of routers; CRD_DIR names a folder of others."""
    if folder := os.environ.get("CRD_DIR"):
        return sorted(Path(folder).glob("*.y*ml"))
    found = [
        sorted(go_tools.module_dir(tool, module).glob(pattern)) for module, (tool, pattern) in MODULES.items()
    ]
    assert all(found), f"a module of {MODULES} holds no CRDs"
    return [path for paths in found for path in paths]


@pytest.fixture(scope="session")
def schema_location(tmp_path_factory: pytest.TempPathFactory, crd_files: list[Path]) -> str:
    """Where kubeconform finds the schemas."""
    folder = tmp_path_factory.mktemp("schemas")
    swagger = go_tools.module_dir("kubernetes", "k8s.io/kubernetes") / "api/openapi-spec/swagger.json"
    schemas.write(folder, swagger=swagger, crds=crd_files)
    return str(folder / schemas.LOCATION)
