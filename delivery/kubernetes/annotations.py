"""What the chart notes on a Rollout, and Argo Rollouts copies to its ReplicaSets: the release that they are of."""

from __future__ import annotations

from typing import Any

REVISION = "delivery.crm/revision"
"""The release's commit of the code."""
STRATEGY, VERSION = "delivery.crm/strategy", "delivery.crm/version"
# As charts of revisions before 1.1 write them, which may run for two releases more (docs/decisions/0045).
BEFORE = {REVISION: "delivery/revision", STRATEGY: "crm/strategy", VERSION: "crm/version"}


def noted(thing: dict[str, Any], annotation: str) -> str:
    """Empty where the chart has noted nothing."""
    annotations = thing.get("metadata", {}).get("annotations") or {}
    return str(annotations.get(annotation) or annotations.get(BEFORE[annotation]) or "")
