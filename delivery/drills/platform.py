"""Tells the cluster's Argo CD about the CRM, and its Git server what the CRM is."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import yaml

from cluster import addresses
from delivery.drills import guard, local, receiver, scan, settings

# Durations, requests and services of a single machine, over each environment's own settings.
_EXTRA_VALUE_FILE = "../../cluster/values.yaml"


def install(*, promotions: Sequence[str] = ()) -> str:
    """Push HEAD as main, make the branch `environments`, apply argocd/, wait for the guard and for whoever is told.

    Returns main's commit now.

    promotions: what the guard promotes by itself, such as dev>staging=15m. Can be repeated; changes nothing in the
    checkout.
    """
    commit = settings.push_main()
    local.output([sys.executable, "-m", "delivery", "init"])
    image = guard.image()
    values = {
        "repoURL": local.GIT_IN_CLUSTER,
        "extraValueFiles": [_EXTRA_VALUE_FILE],
        "guard": {
            "image": image,
            "promotions": list(promotions),
            "scanKeySecret": scan.SECRET,
            "sbomKeySecret": scan.SECRET,
            "peopleSecret": receiver.PEOPLE_SECRET,
            # The node knows the registry by its own port, a pod by its Service.
            "registries": {addresses.REGISTRY: addresses.REGISTRY_IN_CLUSTER},
        },
    }
    template = ["helm", "template", "environments", "argocd", "--namespace", "argocd", "--values", "-"]
    # Without a cluster to ask, Helm takes our word that its Prometheus has an operator.
    manifests = local.output(
        [*template, "--api-versions", "monitoring.coreos.com/v1"], stdin=json.dumps(values)
    )
    apply = ["kubectl", "apply", "--server-side", "--force-conflicts", "--filename", "-"]
    ours = yaml.safe_dump_all([scan.secret(), receiver.people(), *receiver.manifests(image)])
    local.output(apply, stdin=f"{ours}---\n{manifests}", seconds=120)
    for namespace, deployment in (
        ("argocd", "delivery-guard"),
        ("argocd", "delivery-verdicts"),
        (receiver.NAMESPACE, receiver.NAME),
    ):
        ready = ["kubectl", "rollout", "status", f"--namespace={namespace}", f"deployment/{deployment}"]
        local.output([*ready, "--timeout=120s"], seconds=130)
    return commit
