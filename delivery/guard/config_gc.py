"""Config garbage collection: the chart's ConfigMaps `…-config-<hash>` that no ReplicaSet, Deployment or Job names.

Argo CD must not prune them, because pods of an earlier version read theirs for as long as they may be started.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from delivery.kubernetes.client import Cluster
from delivery.kubernetes.objects import Object

_NAME = re.compile(r"[a-z0-9-]+-config-[0-9a-f]+")
# What is about to be used is new: a sync brings the configuration first and the pods after the migration.
_YOUNG = timedelta(hours=1)


def collect_garbage(cluster: Cluster, environment: str, now: datetime) -> str:
    """Delete what is not used while the environment is at rest; what was deleted, empty where nothing was.

    Raises ClusterUnreachable.
    """
    objects = cluster.observe(environment)
    application, rollout = objects.application, objects.rollout
    synced = application and application.sync == "Synced" and application.operation != "Running"
    # A sync of a rollback may bring an old configuration to life again.
    if not (synced and rollout and rollout.settled_since):
        return ""
    unused = _unused(cluster.config_maps(environment), cluster.workloads(environment), now)
    for name in unused:
        cluster.delete_config_map(environment, name)
    return f"deleted {', '.join(unused)}: no workload names it any more" if unused else ""


def _unused(created: Mapping[str, datetime], workloads: Iterable[Object], now: datetime) -> list[str]:
    """The names of configuration that is an hour old and that no workload names anywhere."""
    named = {name for each in workloads for name in _NAME.findall(json.dumps(each.get("spec"), default=str))}
    return sorted(
        name
        for name, at in created.items()
        if _NAME.fullmatch(name) and name not in named and now - at > _YOUNG
    )
