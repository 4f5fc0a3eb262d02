"""Tells the cluster's Argo CD about the CRM, and its Git server what the CRM is."""

from __future__ import annotations

import sys

from delivery.drills import local, settings

# Durations, requests and services of a single machine, over each environment's own settings.
_EXTRA_VALUE_FILE = "../../cluster/values.yaml"


def install() -> str:
    """Push the checkout's HEAD as main, make the branch `environments` and apply argocd/; the commit that is main now.

    Can be repeated; changes nothing in the checkout.
    """
    commit = settings.push_main()
    local.output([sys.executable, "-m", "delivery", "init"])
    manifests = local.output(
        [
            *("helm", "template", "environments", "argocd", "--namespace", "argocd"),
            *(
                "--set",
                f"repoURL={local.GIT_IN_CLUSTER}",
                "--set",
                f"extraValueFiles={{{_EXTRA_VALUE_FILE}}}",
            ),
        ]
    )
    apply = ["kubectl", "apply", "--server-side", "--force-conflicts", "--filename", "-"]
    local.output(apply, stdin=manifests, seconds=120)
    return commit
