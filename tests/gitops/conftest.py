import pytest

from cluster import go_tools
from tests.chart import schemas
from tests.gitops.rendering import render


@pytest.fixture(scope="session")
def rendered() -> str:
    return render()


@pytest.fixture(scope="session")
def schema_location(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where kubeconform finds the schemas of Kubernetes and of the Argo CD that the cluster runs."""
    folder = tmp_path_factory.mktemp("argocd-schemas")
    swagger = go_tools.module_dir("kubernetes", "k8s.io/kubernetes") / "api/openapi-spec/swagger.json"
    crds = sorted(
        go_tools.module_dir("kubernetes", "github.com/argoproj/argo-cd/v3").glob("manifests/crds/*-crd.yaml")
    )
    assert crds, "no CRDs of Argo CD in the Go module cache; build the tools"
    schemas.write(folder, swagger=swagger, crds=crds)
    return str(folder / schemas.LOCATION)
