"""Deletes the chart's ConfigMaps `…-config-<hash>` that no ReplicaSet, Deployment or Job names any more.

Argo CD must not prune them, because pods of an earlier version read theirs for as long as they may be started.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

from delivery.guard.decision import settled_since
from delivery.kubernetes.client import Object, Observed

_NAME = re.compile(r"[a-z0-9-]+-config-[0-9a-f]+")
# What is about to be used is new: a sync brings the configuration first and the pods after the migration.
_YOUNG = timedelta(hours=1)


class Configurations(Protocol):
    def observe(self, environment: str) -> Observed: ...

    def configurations(self, environment: str) -> dict[str, datetime]: ...

    def workloads(self, environment: str) -> list[Object]: ...

    def delete_configuration(self, environment: str, name: str) -> None: ...


def sweep(cluster: Configurations, environment: str, now: datetime) -> str:
    """Delete what is not used while the environment is at rest; what was deleted, empty where nothing was.

    Raises ClusterUnreachable.
    """
    # A sync on its way back may bring an old configuration to life again.
    if not _rests(cluster.observe(environment)):
        return ""
    gone = unused(cluster.configurations(environment), cluster.workloads(environment), now)
    for name in gone:
        cluster.delete_configuration(environment, name)
    return f"deleted {', '.join(gone)}: nobody uses it any more" if gone else ""


def unused(made: Mapping[str, datetime], workloads: Iterable[Object], now: datetime) -> list[str]:
    """The names of configuration that is an hour old and that no workload names anywhere."""
    named = {name for each in workloads for name in _NAME.findall(json.dumps(each.get("spec"), default=str))}
    return sorted(
        name for name, at in made.items() if _NAME.fullmatch(name) and name not in named and now - at > _YOUNG
    )


def _rests(seen: Observed) -> bool:
    status = (seen.application or {}).get("status") or {}
    synced = (status.get("sync") or {}).get("status") == "Synced"
    running = (status.get("operationState") or {}).get("phase") == "Running"
    return synced and not running and settled_since(seen.rollout) is not None
