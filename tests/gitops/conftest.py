import pytest

from tests.chart import schemas
from tests.chart.conftest import _module
from tests.gitops.rendering import render


@pytest.fixture(scope="session")
def rendered() -> str:
    return render()


@pytest.fixture(scope="session")
def schema_location(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where kubeconform finds the schemas of Kubernetes and of the Argo CD that the cluster runs."""
    folder = tmp_path_factory.mktemp("argocd-schemas")
    swagger = _module("k8s.io/kubernetes", "kubernetes") / "api/openapi-spec/swagger.json"
    crds = sorted(_module("github.com/argoproj/argo-cd/v3", "kubernetes").glob("manifests/crds/*-crd.yaml"))
    assert crds, "no CRDs of Argo CD in the Go module cache; build the tools"
    schemas.write(folder, swagger=swagger, crds=crds)
    return str(folder / schemas.LOCATION)
