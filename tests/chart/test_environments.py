"""Every environment with every strategy, as released and as on the local cluster."""

import subprocess
from itertools import product
from pathlib import Path

import pytest

from tests.chart.rendering import (
    ENVIRONMENTS,
    EXAMPLES,
    ROUTERS,
    STRATEGIES,
    Manifest,
    Manifests,
    example,
    lint,
    render,
    routed_by,
)

Place = tuple[str, str, bool]
EVERYWHERE: list[Place] = list(product(ENVIRONMENTS, STRATEGIES, (False, True)))


def name(of: Place | str) -> str:
    return of if isinstance(of, str) else f"{of[0]}-{of[1]}{'-local' if of[2] else ''}"


def rendered(of: Place | str) -> Manifests:
    return example(of) if isinstance(of, str) else render(of[0], of[1], local=of[2])


@pytest.fixture(params=[*EVERYWHERE, *EXAMPLES], ids=name)
def manifests(request: pytest.FixtureRequest) -> Manifests:
    """Of every environment, and of the examples for other clusters."""
    return rendered(request.param)


def test_there_are_three_environments_and_a_strategy_for_each_need() -> None:
    assert ENVIRONMENTS == ("dev", "production", "staging")
    assert EXAMPLES == ("bare", "eks-nginx")
    assert {"canary", "rolling-update"} <= set(STRATEGIES)


def test_the_api_accepts_every_field(tmp_path: Path, schema_location: str) -> None:
    everything: list[Place | str] = [*EVERYWHERE, *EXAMPLES]
    for each in everything:
        (tmp_path / f"{name(each)}.yaml").write_text(rendered(each).text)
    for router, strategy in product(ROUTERS, STRATEGIES):
        values = routed_by(router, tls={"secret": "crm-tls", "issuer": "" if router == "istio" else "ours"})
        (tmp_path / f"{router}-{strategy}.yaml").write_text(render("dev", strategy, values=values).text)
    (tmp_path / "no-router.yaml").write_text(render("dev", values={"routing": {"provider": "none"}}).text)
    done = _kubeconform(schema_location, tmp_path)
    assert done.returncode == 0, done.stdout
    assert "Skipped: 0" in done.stdout


@pytest.mark.parametrize(
    ("router", "field"),
    [("nginx", "pathType"), ("istio", "delegate"), ("gatewayAPI", "backendRefs"), ("traefik", "issuerRef")],
)
def test_the_routers_apis_refuse_a_field_that_they_do_not_know(
    tmp_path: Path, schema_location: str, router: str, field: str
) -> None:
    values = routed_by(router, tls={"issuer": "" if router == "istio" else "ours"})
    text = render("production", "canary", values=values).text
    (tmp_path / "wrong.yaml").write_text(text.replace(f"{field}:", f"{field}x:"))
    done = _kubeconform(schema_location, tmp_path)
    assert done.returncode == 1
    assert f"{field}x" in done.stdout


def test_the_api_refuses_a_field_that_it_does_not_know(tmp_path: Path, schema_location: str) -> None:
    text = render("production", "canary").text
    (tmp_path / "wrong.yaml").write_text(text.replace("progressDeadlineAbort:", "progressDeadlineAborts:"))
    done = _kubeconform(schema_location, tmp_path)
    assert done.returncode == 1
    assert "progressDeadlineAborts" in done.stdout


def _kubeconform(location: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = ["kubeconform", "-strict", "-summary", "-schema-location", location, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("environment", "strategy"), list(product(ENVIRONMENTS, STRATEGIES)))
def test_helm_has_nothing_to_say(environment: str, strategy: str) -> None:
    assert "0 chart(s) failed" in lint(environment, strategy)


def test_every_pod_keeps_to_pod_security_restricted(manifests: Manifests) -> None:
    for name, pod in manifests.pod_specs().items():
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True, name
        assert context["runAsUser"] > 0, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), name
        kinds = {next(key for key in volume if key != "name") for volume in pod.get("volumes", [])}
        assert kinds <= {"emptyDir", "configMap", "secret", "projected", "persistentVolumeClaim"}, name
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name


def test_no_pod_gets_a_token_it_does_not_need(manifests: Manifests) -> None:
    for name, pod in manifests.pod_specs().items():
        makes_secrets = name.startswith("Job crm-secrets-")
        assert pod["automountServiceAccountToken"] is makes_secrets, name
        assert pod["serviceAccountName"] == ("crm-secrets" if makes_secrets else "crm"), name
        assert pod["enableServiceLinks"] is False, name
    assert all(account["automountServiceAccountToken"] is False for account in manifests.of("ServiceAccount"))


def test_every_container_says_what_it_needs(manifests: Manifests) -> None:
    for name, pod in manifests.pod_specs().items():
        for container in pod["containers"]:
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}, name
            assert set(container["resources"]["limits"]) == {"cpu", "memory"}, name


def test_the_crms_own_pods_run_the_released_digest(manifests: Manifests) -> None:
    data = ("postgres:15-bookworm", "redis:7-bookworm")
    images = {c["image"] for pod in manifests.pod_specs().values() for c in pod["containers"]}
    released = {image for image in images if not image.endswith(data)}
    assert released == {"registry.example.com/crm@sha256:" + "a1" * 32}


def test_every_object_carries_the_common_labels(manifests: Manifests) -> None:
    for manifest in manifests:
        labels = manifest["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "crm"
        assert labels["app.kubernetes.io/instance"] == "crm"
        assert labels["app.kubernetes.io/part-of"] == "crm"
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["app.kubernetes.io/component"]


def test_only_workloads_name_the_version(manifests: Manifests) -> None:
    """On anything else it would make every release rewrite objects that it does not change."""
    named = {
        (manifest["kind"], manifest["metadata"]["name"])
        for manifest in manifests
        if manifest["metadata"]["labels"].get("app.kubernetes.io/version") == "1.1"
    }
    workloads = {
        ("Rollout", "crm"),
        ("Deployment", "crm-worker"),
        ("Deployment", "crm-beat"),
        ("Job", "crm-migrate"),
    }
    assert named == workloads


def test_selectors_find_the_pods_of_their_own_workload(manifests: Manifests) -> None:
    workloads = [m for m in manifests if m["kind"] in {"Rollout", "Deployment", "StatefulSet"}]
    selectors = [w["spec"]["selector"]["matchLabels"] for w in workloads]
    for workload, selector in zip(workloads, selectors, strict=True):
        labels = workload["spec"]["template"]["metadata"]["labels"]
        assert selector.items() <= labels.items()
        assert selectors.count(selector) == 1, "two workloads would fight for the same pods"


def test_no_pod_template_of_a_data_service_names_the_release(manifests: Manifests) -> None:
    for data in manifests.of("StatefulSet"):
        labels = data["spec"]["template"]["metadata"]["labels"]
        assert "app.kubernetes.io/version" not in labels, "a release would restart the database"


def test_a_sync_ends_with_the_rollout(manifests: Manifests) -> None:
    """Whatever came later would wait for a paused Rollout, and meanwhile no revert is synced."""
    assert _wave(manifests.one("Rollout")) == 0
    for manifest in manifests:
        annotations = manifest["metadata"].get("annotations", {})
        assert _wave(manifest) <= 0
        assert "PruneLast" not in annotations.get("argocd.argoproj.io/sync-options", "")
        if "helm.sh/hook" in annotations:  # Argo CD would make PostSync of post-install
            assert annotations["argocd.argoproj.io/hook"] == "Sync"
        assert annotations.get("argocd.argoproj.io/hook", "Sync") == "Sync"


@pytest.mark.parametrize("of", EVERYWHERE, ids=name)
def test_waves_are_data_then_migration_then_the_rest(of: Place) -> None:
    manifests = rendered(of)
    waves: dict[int, set[str]] = {-2: set(), -1: set(), 0: set()}
    for manifest in manifests:
        waves[_wave(manifest)].add(manifest["kind"])
    assert waves[-1] == {"Job"}
    scaling = {"HorizontalPodAutoscaler", "PodDisruptionBudget"}
    certificates = (
        set() if manifests.one("IngressRoute")["spec"]["entryPoints"] == ["web"] else {"Certificate"}
    )
    assert waves[0] == {"Rollout", "Deployment", "IngressRoute"} | scaling | certificates
    assert {"ConfigMap", "ServiceAccount", "Service", "AnalysisTemplate", "PrometheusRule"} <= waves[-2]


def test_rendering_again_gives_the_same() -> None:
    """Argo CD renders without a cluster, at every sync: what is random would be a change each time."""
    first, second = render("dev"), render("dev", values={"logLevel": "INFO"})  # cached by values
    assert first.text == second.text
    assert not first.of("Secret")


def _wave(manifest: Manifest) -> int:
    return int(manifest["metadata"].get("annotations", {}).get("argocd.argoproj.io/sync-wave", 0))
