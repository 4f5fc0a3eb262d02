"""Release files pin old revisions: what today's application sets say is still taken by the charts of those."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from delivery.gitops.branch import ENVIRONMENTS
from delivery.gitops.release import Release, ReleasedImage
from tests.gitops.rendering import GUARD, IMAGE, REPOSITORY, ROOT, Manifest, manifests, named, render

# The last one before values got other names; what it is given beside its own files may never grow or be renamed.
OLD = "f50c457a00735a2fc281216c0fa2cbc722e9dc22"
FOLDERS = ("argocd", "charts/crm", "rollouts", "environments", "analysis-templates", "cluster/values.yaml")
STRATEGIES = ("canary", "blue-green", "ab-test", "rolling-update")


def git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=False)


@pytest.fixture(scope="module")
def revision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The old revision's files, as Argo CD's repository server checks them out."""
    if git("cat-file", "-e", f"{OLD}^{{commit}}").returncode:
        shallow = git("rev-parse", "--is-shallow-repository").stdout.strip() == b"true"
        assert shallow, f"this clone is whole and has no {OLD[:7]}: was its history rewritten?"
        if git("fetch", "--quiet", "--depth=1", "origin", OLD).returncode:
            pytest.skip(
                f"this clone is shallow, and its origin does not give {OLD[:7]}: git fetch --unshallow"
            )
    archive = git("archive", OLD, *FOLDERS)
    assert archive.returncode == 0, archive.stderr
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


def filled(node: Any, release: dict[str, Any]) -> Any:
    """What the ApplicationSet controller makes of a template with the fields of a release file."""
    if isinstance(node, dict):
        return {key: filled(value, release) for key, value in node.items()}
    if isinstance(node, list):
        return [filled(each, release) for each in node]
    if not isinstance(node, str):
        return node

    def field(found: re.Match[str]) -> str:
        value: Any = release
        for part in found[1].split("."):
            value = value[part]
        return str(value)

    text = re.sub(r"\{\{ \.([a-zA-Z.]+) \}\}", field, node)
    assert "{{" not in text, f"{node} asks for more than a release file has"
    return text


@pytest.mark.parametrize("local", [False, True], ids=["released", "local"])
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_old_release_renders_under_todays_application_sets(
    revision: Path, environment: str, local: bool
) -> None:
    sets = named(render(extraValueFiles=["../../cluster/values.yaml"] if local else []), "ApplicationSet")
    helm = sets[f"argocd/crm-{environment}"]["spec"]["template"]["spec"]["source"]["helm"]
    image = ReleasedImage("registry.example.com/crm", "sha256:" + "a" * 64, "1.1")
    for strategy in STRATEGIES:
        release = yaml.safe_load(Release(OLD, image, strategy).to_yaml())
        (rollout,) = of_kind(rendered(revision, filled(helm, release), f"crm-{environment}"), "Rollout")
        annotations = rollout["metadata"]["annotations"]
        assert annotations["delivery/revision"] == OLD
        assert annotations["crm/strategy"] == strategy
        (container,) = rollout["spec"]["template"]["spec"]["containers"]
        assert container["image"] == f"{image.repository}@{image.digest}"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_an_upgrade_cannot_change_is_as_it_was(revision: Path, environment: str) -> None:
    """Kubernetes refuses another selector or claim; another pod template would restart the database."""
    helm = {
        "releaseName": "crm",
        "valueFiles": [
            f"../../{file}" for file in ("rollouts/canary.yaml", f"environments/{environment}/values.yaml")
        ],
        "valuesObject": {"image": {"repository": "crm", "digest": "sha256:" + "a" * 64, "version": "1.1"}},
    }
    before, after = (rendered(checkout, helm, f"crm-{environment}") for checkout in (revision, ROOT))
    for kind in ("Rollout", "Deployment", "Service"):
        assert selectors(before, kind) == selectors(after, kind)
    assert of_kind(before, "StatefulSet") == of_kind(after, "StatefulSet")


def test_the_guards_chart_takes_every_object_over(revision: Path) -> None:
    """Helm deletes what it does not find in the charts' manifests, and refuses what cannot be changed (0046)."""
    operator = "monitoring.coreos.com/v1"
    values = {"repoURL": REPOSITORY, "guard": {"image": f"{IMAGE['repository']}@{IMAGE['digest']}"}}
    command = ("helm", "template", "environments", revision / "argocd", "--namespace=argocd", "--values=-")
    done = subprocess.run(
        (*command, f"--api-versions={operator}"),
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=True,
    )
    before = manifests(done.stdout)
    environments, guard = (manifests(text) for text in (render(), render(GUARD, apis=[operator])))
    assert sorted(map(fixed, before)) == sorted(map(fixed, [*environments, *guard]))
    # The label by which the guard's objects are kept meanwhile names them all, and nothing else.
    kept = [fixed(each) for each in before if instance(each) == "environments"]
    assert sorted(kept) == sorted(map(fixed, guard))


def fixed(manifest: Manifest) -> str:
    """What names an object, and what Kubernetes lets nobody change."""
    metadata, spec = manifest["metadata"], manifest.get("spec", {})
    names = [manifest["kind"], metadata.get("namespace"), metadata["name"], manifest.get("roleRef")]
    return json.dumps([*names, spec.get("selector") if manifest["kind"] == "Deployment" else None])


def instance(manifest: Manifest) -> str | None:
    instance: str | None = manifest["metadata"]["labels"].get("app.kubernetes.io/instance")
    return instance


def selectors(rendered: list[Manifest], kind: str) -> dict[str, Any]:
    return {each["metadata"]["name"]: each["spec"]["selector"] for each in of_kind(rendered, kind)}


def of_kind(rendered: list[Manifest], kind: str) -> list[Manifest]:
    return [each for each in rendered if each["kind"] == kind]


def rendered(revision: Path, helm: Manifest, namespace: str) -> list[Manifest]:
    """As Argo CD has it rendered by Helm."""
    chart = revision / "charts/crm"
    files = [f"--values={chart / file}" for file in helm["valueFiles"]]
    known = "--api-versions=monitoring.coreos.com/v1"
    done = subprocess.run(
        [
            "helm",
            "template",
            helm["releaseName"],
            chart,
            f"--namespace={namespace}",
            known,
            *files,
            "--values=-",
        ],
        input=json.dumps(helm["valuesObject"]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return manifests(done.stdout)
