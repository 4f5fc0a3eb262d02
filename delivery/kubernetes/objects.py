"""Objects of the Kubernetes API, and what the chart notes on those that it makes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

Object = dict[str, Any]

POD_HASH = "rollouts-pod-template-hash"
VERSION_LABEL = "app.kubernetes.io/version"

# Annotations of a Rollout, which Argo Rollouts copies to its ReplicaSets: the release that they are of.
REVISION = "delivery.crm/revision"
"""The release's commit of the code."""
STRATEGY, VERSION = "delivery.crm/strategy", "delivery.crm/version"
# As charts of revisions before 1.1 write them, which may run for two releases more (docs/decisions/0045).
BEFORE = {REVISION: "delivery/revision", STRATEGY: "crm/strategy", VERSION: "crm/version"}


def noted(thing: Object, annotation: str) -> str:
    """Empty where the chart has noted nothing."""
    found = annotations_of(thing)
    return str(found.get(annotation) or found.get(BEFORE[annotation]) or "")


def annotations_of(thing: Object) -> Object:
    return (thing.get("metadata") or {}).get("annotations") or {}


def labels_of(thing: Object) -> Object:
    return (thing.get("metadata") or {}).get("labels") or {}


def status_of(thing: Object) -> Object:
    return thing.get("status") or {}


def spec_of(thing: Object) -> Object:
    return thing.get("spec") or {}


def true_condition(thing: Object, kind: str) -> Object:
    """The condition of that type, if it is true; else empty."""
    conditions = status_of(thing).get("conditions") or []
    found = (each for each in conditions if (each.get("type"), each.get("status")) == (kind, "True"))
    return next(found, {})


def time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
