import pytest

from cluster import go_tools
from tests.chart import schemas
from tests.gitops.rendering import render


@pytest.fixture(scope="session")
def rendered() -> str:
    return render()


@pytest.fixture(scope="session")
def schema_location(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where kubeconform finds the schemas of Kubernetes, Argo CD, the Prometheus operator, cert-manager and Kyverno."""
    folder = tmp_path_factory.mktemp("argocd-schemas")
    swagger = go_tools.module_dir("kubernetes", "k8s.io/kubernetes") / "api/openapi-spec/swagger.json"
    crds = sorted(
        go_tools.module_dir("kubernetes", "github.com/argoproj/argo-cd/v3").glob("manifests/crds/*-crd.yaml")
    )
    operator = go_tools.module_dir("argo-rollouts", "github.com/prometheus-operator/prometheus-operator")
    monitors = sorted(operator.glob("example/prometheus-operator-crd/*monitors.yaml"))
    certificates = go_tools.module_dir("manifests", "github.com/cert-manager/cert-manager")
    issuers = sorted(certificates.glob("deploy/crds/cert-manager.io_clusterissuers.yaml"))
    assert issuers, "no CRDs of cert-manager in its module"
    assert crds, "no CRDs of Argo CD in the Go module cache; build the tools"
    assert monitors, "no CRDs of the Prometheus operator in the Go module cache; build the tools"
    kyverno = go_tools.module_dir("supply-chain", "github.com/kyverno/kyverno")
    policies = sorted(kyverno.glob("config/crds/policies.kyverno.io/*_imagevalidatingpolicies.yaml"))
    assert policies, "no CRDs of Kyverno in its module"
    schemas.write(folder, swagger=swagger, crds=[*crds, *monitors, *issuers, *policies])
    return str(folder / schemas.LOCATION)
