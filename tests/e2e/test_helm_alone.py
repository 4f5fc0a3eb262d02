"""The chart without Argo CD: `helm install` on a cluster that has Argo Rollouts and Traefik."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cluster.waiting import until
from drills.fixtures import images, local_cluster
from drills.observe.watcher import Kubernetes

pytestmark = pytest.mark.e2e

NAMESPACE = "crm-helm"
LABELS = ("enforce", "audit", "warn")
# What a small machine without a storage class needs; everything else is the chart's own.
SMALL = {
    "autoscaling.enabled": "false",
    "web.replicas": "1",
    "web.resources.requests.cpu": "20m",
    "worker.resources.requests.cpu": "20m",
    "database.embedded.persistence.enabled": "false",
    "redis.embedded.persistence.enabled": "false",
    "domain": "helm.localhost",
}


@pytest.fixture
def namespace(kubernetes: Kubernetes) -> Iterator[str]:
    """A namespace that enforces Pod Security `restricted`."""
    run("kubectl", "create", "namespace", NAMESPACE)
    levels = [f"pod-security.kubernetes.io/{label}=restricted" for label in LABELS]
    run("kubectl", "label", "namespace", NAMESPACE, *levels)
    yield NAMESPACE
    run("kubectl", "delete", "namespace", NAMESPACE)


def test_helm_install_alone_gives_a_working_crm(namespace: str, tmp_path: Path) -> None:
    image = images.image(images.good("1.0"))
    settings = SMALL | {
        "image.repository": local_cluster.REPOSITORY,
        "image.digest": image.digest,
        "image.version": image.version,
    }
    pairs = [
        word
        for key, value in settings.items()
        for word in ("--set-string" if "image" in key else "--set", f"{key}={value}")
    ]

    # Packaged, as somebody has it who has no checkout.
    run("helm", "package", str(local_cluster.CHECKOUT / "charts" / "crm"), f"--destination={tmp_path}")
    (package,) = tmp_path.glob("crm-*.tgz")
    run("helm", "install", "crm", str(package), f"--namespace={namespace}", *pairs)

    until(lambda: answers("/health/"), what="a healthy answer of the CRM", seconds=180)
    people = {"username": "helm", "email": "helm@example.com", "password": "a long enough secret"}
    registered = ask("POST", "/api/v1/auth/register/", people)
    assert registered.status_code == 201, registered.text
    run("helm", "test", "crm", f"--namespace={namespace}", "--timeout=2m")
    run("helm", "uninstall", "crm", f"--namespace={namespace}")


def answers(path: str) -> bool:
    try:
        return ask("GET", path).status_code == 200
    except httpx.HTTPError:
        return False


def ask(method: str, path: str, body: dict[str, str] | None = None) -> httpx.Response:
    host = {"Host": "api.helm.localhost"}
    return httpx.request(method, f"{local_cluster.HTTP}{path}", json=body, headers=host, timeout=10)


def run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words[:3])}: {done.stdout}{done.stderr}"
