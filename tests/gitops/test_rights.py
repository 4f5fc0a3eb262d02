"""Who may do what: the project, and the account that a sync acts as."""

from itertools import product

import pytest

from cluster import go_tools
from tests.chart import rendering as crm
from tests.gitops.rendering import PLATFORM, REPOSITORY, Manifest, manifests, named

CHILDREN = {("", "Pod"), ("apps", "ReplicaSet"), ("argoproj.io", "AnalysisRun")}
NAMESPACES = {"crm-dev", "crm-staging", "crm-production"}
Right = tuple[str, str, str]


@pytest.fixture
def project(rendered: str) -> Manifest:
    spec: Manifest = named(rendered, "AppProject")["argocd/crm"]["spec"]
    return spec


@pytest.fixture(scope="session")
def chart() -> list[Manifest]:
    """Everything that charts/crm renders anywhere."""
    combinations = product(crm.ENVIRONMENTS, crm.STRATEGIES, (False, True))
    rendered = [
        crm.render(environment, strategy, local=local) for environment, strategy, local in combinations
    ]
    routed = [crm.render(values=crm.routed_by(router)) for router in crm.ROUTERS]
    return [manifest for each in [*rendered, *routed, crm.render()] for manifest in each]


def rights(role: Manifest) -> set[Right]:
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_the_project_is_closed(project: Manifest) -> None:
    assert project["sourceRepos"] == [REPOSITORY]
    assert {destination["namespace"] for destination in project["destinations"]} == NAMESPACES
    assert {destination["server"] for destination in project["destinations"]} == {
        "https://kubernetes.default.svc"
    }
    assert project["clusterResourceWhitelist"] == []


def test_the_project_lets_through_exactly_what_the_chart_renders(
    project: Manifest, chart: list[Manifest]
) -> None:
    allowed = {(each["group"], each["kind"]) for each in project["namespaceResourceWhitelist"]}
    assert allowed >= CHILDREN
    assert allowed - CHILDREN == {_group_and_kind(manifest) for manifest in chart}


def test_the_chart_puts_nothing_outside_its_namespace(chart: list[Manifest]) -> None:
    namespaced = {manifest["metadata"].get("namespace") for manifest in chart}
    assert namespaced <= {None, *NAMESPACES}


def test_a_sync_acts_as_the_environments_own_deployer(project: Manifest, rendered: str) -> None:
    accounts = {
        each["namespace"]: each["defaultServiceAccount"] for each in project["destinationServiceAccounts"]
    }
    assert accounts == {namespace: f"{namespace}:crm-deployer" for namespace in NAMESPACES}
    assert set(named(rendered, "ServiceAccount")) == {f"{namespace}/crm-deployer" for namespace in NAMESPACES}


def test_a_deployer_has_rights_in_its_own_namespace_only(rendered: str) -> None:
    kinds = {manifest["kind"] for manifest in manifests(rendered)}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding"}
    bindings = named(rendered, "RoleBinding")
    assert set(bindings) == {f"{namespace}/crm-deployer" for namespace in NAMESPACES}
    for binding in bindings.values():
        (subject,) = binding["subjects"]
        assert subject["namespace"] == binding["metadata"]["namespace"]


def test_a_deployer_manages_exactly_the_projects_kinds(rendered: str, chart: list[Manifest]) -> None:
    for role in named(rendered, "Role").values():
        made = {(group, resource) for group, resource, verb in rights(role) if verb == "create"}
        assert len(made) == len({_group_and_kind(manifest) for manifest in chart} | {("", "Secret")})
        assert {group for group, _ in made} == {_group_and_kind(manifest)[0] for manifest in chart}


def test_a_deployer_cannot_read_secrets_enter_pods_or_raise_its_rights(rendered: str) -> None:
    for role in named(rendered, "Role").values():
        had = rights(role)
        assert not any("*" in right for right in had)
        assert {verb for _, resource, verb in had if resource == "secrets"} == {"create"}
        assert not {resource for _, resource, _ in had} & {
            "pods/exec",
            "pods/attach",
            "serviceaccounts/token",
        }
        assert not {verb for _, _, verb in had} & {"bind", "escalate", "impersonate"}


def test_a_deployer_may_look_at_its_own_namespace(rendered: str) -> None:
    """Argo CD reads it before it applies a Role or RoleBinding, as the deployer."""
    for name, role in named(rendered, "Role").items():
        namespace, _, _ = name.partition("/")
        (rule,) = [rule for rule in role["rules"] if "namespaces" in rule["resources"]]
        assert (rule["resourceNames"], rule["verbs"]) == ([namespace], ["get"])


def test_a_deployer_holds_every_right_that_the_chart_grants(rendered: str, chart: list[Manifest]) -> None:
    """Kubernetes refuses a Role that grants more than its creator has."""
    granted = {right for manifest in chart if manifest["kind"] == "Role" for right in rights(manifest)}
    assert granted
    for role in named(rendered, "Role").values():
        assert granted <= rights(role)


def test_the_platform_names_an_account_for_its_syncs() -> None:
    """Impersonation is for all projects or none."""
    text = (PLATFORM / "project.yaml").read_text()
    (account,) = named(text, "AppProject")["argocd/platform"]["spec"]["destinationServiceAccounts"]
    namespace, _, name = account["defaultServiceAccount"].partition(":")
    assert f"{namespace}/{name}" in named(text, "ServiceAccount")


def test_the_platforms_parts_are_pinned_and_allowed() -> None:
    project = named((PLATFORM / "project.yaml").read_text(), "AppProject")["argocd/platform"]["spec"]
    for application in named((PLATFORM / "applications.yaml").read_text(), "Application").values():
        spec = application["spec"]
        assert spec["source"]["repoURL"] in project["sourceRepos"]
        assert spec["source"]["targetRevision"].lstrip("v").count(".") == 2
        destination = spec["destination"]
        assert destination in project["destinations"]


def test_the_environments_certificates_have_an_issuer_of_the_platform() -> None:
    (issuer,) = manifests((PLATFORM / "issuer.yaml").read_text())
    wanted = {
        certificate["spec"]["issuerRef"]["name"]
        for environment in crm.ENVIRONMENTS
        for certificate in crm.render(environment, "canary").of("Certificate")
    }
    assert (issuer["kind"], {issuer["metadata"]["name"]}) == ("ClusterIssuer", wanted)
    assert issuer["spec"]["acme"]["server"] == "https://acme-v02.api.letsencrypt.org/directory"


def test_the_certificates_are_checked_against_the_version_that_is_installed() -> None:
    text = (PLATFORM / "applications.yaml").read_text()
    installed = named(text, "Application")["argocd/cert-manager"]["spec"]["source"]["targetRevision"]
    assert installed == go_tools.module_version("manifests", "github.com/cert-manager/cert-manager")


def _group_and_kind(manifest: Manifest) -> tuple[str, str]:
    group, _, _ = manifest["apiVersion"].rpartition("/")
    return group, manifest["kind"]
