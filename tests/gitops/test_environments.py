"""How a release file becomes an Application, and what one environment cannot do to another."""

import json
import re
from typing import Any

import pytest
import yaml

from delivery.gitops.branch import BRANCH, ENVIRONMENTS, path_of
from delivery.gitops.release import Release, ReleasedImage
from tests.gitops.rendering import PLATFORM, REPOSITORY, ROOT, Manifest, named, render

RELEASE = Release("1" * 40, ReleasedImage("registry.example.com/crm", "sha256:" + "a" * 64, "1.1"), "canary")


@pytest.fixture(params=ENVIRONMENTS)
def environment(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def application_set(rendered: str, environment: str) -> Manifest:
    spec: Manifest = named(rendered, "ApplicationSet")[f"argocd/crm-{environment}"]["spec"]
    return spec


@pytest.fixture
def application(application_set: Manifest) -> Manifest:
    assert application_set["template"]["metadata"]["name"] == f"crm-{_environment(application_set)}"
    spec: Manifest = application_set["template"]["spec"]
    return spec


def test_each_environment_has_a_set_of_its_own(rendered: str) -> None:
    assert set(named(rendered, "ApplicationSet")) == {f"argocd/crm-{name}" for name in ENVIRONMENTS}


def test_a_set_reads_one_file_of_the_branch(application_set: Manifest, environment: str) -> None:
    (generator,) = application_set["generators"]
    assert generator["git"] == {
        "repoURL": REPOSITORY,
        "revision": BRANCH,
        "files": [{"path": path_of(environment)}],
        "requeueAfterSeconds": 60,
    }


def test_a_release_file_that_lacks_a_field_changes_nothing(application_set: Manifest) -> None:
    assert application_set["goTemplate"] is True
    assert application_set["goTemplateOptions"] == ["missingkey=error"]


def test_nothing_that_vanishes_deletes_what_runs(application_set: Manifest) -> None:
    assert application_set["syncPolicy"] == {
        "applicationsSync": "create-update",
        "preserveResourcesOnDeletion": True,
    }
    assert "finalizers" not in application_set["template"]["metadata"]


def test_the_template_asks_only_for_what_a_release_file_has(application: Manifest) -> None:
    release = yaml.safe_load(RELEASE.to_yaml())
    for field in _fields(application):
        found: Any = release
        for part in field.split("."):
            assert part in found, f"no {field} in a release file"
            found = found[part]
    assert set(_fields(application)) == {
        "revision",
        "strategy",
        "image.repository",
        "image.digest",
        "image.version",
    }


def test_the_one_source_is_the_chart_at_the_released_revision(
    application: Manifest, environment: str
) -> None:
    assert "sources" not in application
    source = application["source"]
    assert (source["repoURL"], source["path"]) == (REPOSITORY, "charts/crm")
    assert source["targetRevision"].startswith(
        '{{ if regexMatch "^[0-9a-f]{40}$" .revision }}{{ .revision }}'
    )
    assert "{{ fail " in source["targetRevision"]
    helm = source["helm"]
    assert helm["releaseName"] == "crm"
    assert helm["valueFiles"] == [
        "../../rollouts/{{ .strategy }}.yaml",
        f"../../environments/{environment}/values.yaml",
    ]
    assert set(helm["valuesObject"]) == {"image", "release"}
    assert helm["valuesObject"]["release"] == {"revision": "{{ .revision }}"}
    assert set(helm["valuesObject"]["image"]) == {"repository", "digest", "version"}


def test_the_value_files_exist(application: Manifest) -> None:
    for path in application["source"]["helm"]["valueFiles"]:
        for strategy in ("canary", "rolling-update"):
            assert (ROOT / "charts/crm" / path.replace("{{ .strategy }}", strategy)).is_file()


def test_the_local_clusters_file_lies_over_the_environments() -> None:
    text = render(extraValueFiles=["../../cluster/values.yaml"])
    for application_set in named(text, "ApplicationSet").values():
        files = application_set["spec"]["template"]["spec"]["source"]["helm"]["valueFiles"]
        assert files[-1] == "../../cluster/values.yaml"
        assert len(files) == 3


def test_git_is_followed_but_weights_and_replicas_belong_to_those_who_move_them(
    application: Manifest,
) -> None:
    policy = application["syncPolicy"]
    assert policy["automated"] == {"prune": True, "selfHeal": True}
    assert set(policy["syncOptions"]) == {"RespectIgnoreDifferences=true", "ApplyOutOfSyncOnly=true"}
    assert application["ignoreDifferences"] == [
        {
            "group": "traefik.io",
            "kind": "TraefikService",
            "jqPathExpressions": [".spec.weighted.services[].weight"],
        },
        {
            "group": "networking.istio.io",
            "kind": "VirtualService",
            "name": "crm-weights",
            "jqPathExpressions": [".spec.http[].route[].weight"],
        },
        {
            "group": "gateway.networking.k8s.io",
            "kind": "HTTPRoute",
            "name": "crm",
            "jqPathExpressions": [".spec.rules[].backendRefs[].weight"],
        },
        {"group": "argoproj.io", "kind": "Rollout", "jsonPointers": ["/spec/replicas"]},
        {"group": "batch", "kind": "Job", "jsonPointers": ["/spec/template/spec/containers/0/image"]},
    ]


LONGEST_SYNC = int(
    yaml.safe_load((PLATFORM / "argo-cd-values.yaml").read_text())["configs"]["params"][
        "controller.sync.timeout.seconds"
    ]
)


def test_a_sync_that_fails_is_tried_again_for_as_long_as_it_may_last(application: Manifest) -> None:
    platform = yaml.safe_load_all((PLATFORM / "applications.yaml").read_text())
    for spec in (application, *(each["spec"] for each in platform)):
        retry = spec["syncPolicy"]["retry"]
        assert retry["refresh"] is True
        assert retry["backoff"] == {"duration": "5s", "factor": 2, "maxDuration": "30s"}
        waits = [min(5 * 2**number, 30) for number in range(retry["limit"])]
        assert sum(waits) >= LONGEST_SYNC


def test_no_sync_keeps_a_newer_one_waiting_for_ever() -> None:
    """With `refresh` Argo CD 3.6.1 still retries the source that the sync began with, and a migration may hang."""
    schema = json.loads((ROOT / "charts/crm/values.schema.json").read_text())
    longest_migration = schema["properties"]["migration"]["properties"]["deadlineSeconds"]["maximum"]
    # A minute for what a sync does before its migration.
    assert longest_migration + 60 <= LONGEST_SYNC <= 600


def test_namespaces_enforce_pod_security_restricted_and_outlive_the_chart(rendered: str) -> None:
    namespaces = named(rendered, "Namespace")
    assert set(namespaces) == {f"crm-{name}" for name in ENVIRONMENTS}
    for namespace in namespaces.values():
        for mode in ("enforce", "audit", "warn"):
            assert namespace["metadata"]["labels"][f"pod-security.kubernetes.io/{mode}"] == "restricted"
        assert namespace["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def _environment(application_set: Manifest) -> str:
    environment: str = application_set["template"]["metadata"]["labels"]["delivery.crm/environment"]
    return environment


def _fields(node: Any) -> list[str]:
    """Every `.field` that a Go template in the manifest reads."""
    if isinstance(node, dict):
        return [field for value in node.values() for field in _fields(value)]
    if isinstance(node, list):
        return [field for value in node for field in _fields(value)]
    if not isinstance(node, str):
        return []
    actions = re.findall(r"{{(.*?)}}", node)
    return [field for action in actions for field in re.findall(r"(?<=\s)\.([a-z][\w.]*)", action)]
