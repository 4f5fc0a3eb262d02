"""What somebody wants to read after a drill failed, written to files."""

from __future__ import annotations

import sys
from pathlib import Path

from delivery.kubernetes.client import ARGOCD_NAMESPACE
from drills.errors import NotReady
from drills.fixtures import local_cluster


def write(environment: str, folder: Path) -> Path:
    """One file a command, with the error where it failed; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, command in _commands(environment).items():
        try:
            printed = local_cluster.output(command, seconds=20)
        except NotReady as error:
            printed = f"{error}\n"
        (folder / f"{file}.txt").write_text(f"$ {' '.join(command)}\n{printed}", encoding="utf-8")
    return folder


def _commands(environment: str) -> dict[str, list[str]]:
    kubectl = ["kubectl", "--namespace", f"crm-{environment}"]
    argocd = ["kubectl", "--namespace", ARGOCD_NAMESPACE]
    application = f"crm-{environment}"
    return {
        "rollout": [
            "kubectl",
            "argo",
            "rollouts",
            "get",
            "rollout",
            local_cluster.ROLLOUT,
            "--namespace",
            f"crm-{environment}",
        ],
        "rollout-describe": [*kubectl, "describe", "rollout", local_cluster.ROLLOUT],
        "analysis-runs": [*kubectl, "get", "analysisruns", "--output", "yaml"],
        "traefik": [*kubectl, "get", "traefikservice,ingressroute,middleware", "--output", "yaml"],
        "nginx": [*kubectl, "get", "ingress", "--output", "yaml"],
        "istio": [*kubectl, "get", "virtualservice,gateway.networking.istio.io", "--output", "yaml"],
        "pods": [*kubectl, "get", "pods", "--output", "wide"],
        "pods-describe": [*kubectl, "describe", "pods", "--selector", "app.kubernetes.io/component=web"],
        "events": [*kubectl, "get", "events", "--sort-by", ".lastTimestamp"],
        "log-web": [
            *kubectl,
            "logs",
            "--selector",
            "app.kubernetes.io/component=web",
            "--tail",
            "60",
            "--prefix",
        ],
        "log-migrate": [*kubectl, "logs", "job/crm-migrate", "--tail", "60"],
        "log-previous": [
            *(*kubectl, "logs", "--selector", "app.kubernetes.io/component=web"),
            *("--previous", "--tail", "60", "--prefix"),
        ],
        "application": [*argocd, "get", "application", application, "--output", "yaml"],
        "application-set": [*argocd, "get", "applicationset", application, "--output", "yaml"],
        "log-rollouts": [
            "kubectl",
            "--namespace",
            "argo-rollouts",
            "logs",
            "deployment/argo-rollouts",
            "--tail",
            "100",
        ],
        "delivery-status": [sys.executable, "-m", "delivery", "status"],
    }
