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
            printed = local_cluster.output(command.split(), seconds=20)
        except NotReady as error:
            printed = f"{error}\n"
        (folder / f"{file}.txt").write_text(f"$ {command}\n{printed}", encoding="utf-8")
    return folder


def _commands(environment: str) -> dict[str, str]:
    name = f"crm-{environment}"
    here, rollout = f"kubectl --namespace {name}", local_cluster.ROLLOUT
    argocd = f"kubectl --namespace {ARGOCD_NAMESPACE} get"
    web = "--selector app.kubernetes.io/component=web"
    return {
        "rollout": f"kubectl argo rollouts get rollout {rollout} --namespace {name}",
        "rollout-describe": f"{here} describe rollout {rollout}",
        "analysis-runs": f"{here} get analysisruns --output yaml",
        "traefik": f"{here} get traefikservice,ingressroute,middleware --output yaml",
        "nginx": f"{here} get ingress --output yaml",
        "istio": f"{here} get virtualservice,gateway.networking.istio.io --output yaml",
        "pods": f"{here} get pods --output wide",
        "pods-describe": f"{here} describe pods {web}",
        "events": f"{here} get events --sort-by .lastTimestamp",
        "log-web": f"{here} logs {web} --tail 60 --prefix",
        "log-migrate": f"{here} logs job/crm-migrate --tail 60",
        "log-previous": f"{here} logs {web} --previous --tail 60 --prefix",
        "application": f"{argocd} application {name} --output yaml",
        "application-set": f"{argocd} applicationset {name} --output yaml",
        "log-rollouts": "kubectl --namespace argo-rollouts logs deployment/argo-rollouts --tail 100",
        "delivery-status": f"{sys.executable} -m delivery status",
    }
