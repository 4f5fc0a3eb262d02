"""What the cluster looks like at one moment of a drill: objects of its API, reduced to what a drill asks about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from delivery.kubernetes.analysis import AnalysisRun
from delivery.kubernetes.application import Application
from delivery.kubernetes.objects import (
    POD_HASH,
    Object,
    annotations_of,
    labels_of,
    spec_of,
    status_of,
)
from delivery.kubernetes.rollout import RolloutStatus

_CANARY_WEIGHT = "nginx.ingress.kubernetes.io/canary-weight"


@dataclass(frozen=True)
class WeightedObject:
    """The object of a router that holds the weights, as the API is asked for it."""

    group: str
    version: str
    plural: str
    name: str


# By the key of the Rollout's trafficRouting.
WEIGHTED_OBJECTS = {
    "traefik": WeightedObject("traefik.io", "v1alpha1", "traefikservices", "crm"),
    "nginx": WeightedObject("networking.k8s.io", "v1", "ingresses", "crm-crm-canary"),
    "istio": WeightedObject("networking.istio.io", "v1", "virtualservices", "crm-weights"),
}


@dataclass(frozen=True)
class Pod:
    name: str
    pod_hash: str
    ready: bool
    restarts: int = 0


@dataclass(frozen=True)
class Snapshot:
    """Everything at one moment; None where there is no such object."""

    at: float
    """Seconds since 1970 (UTC), when it was known."""
    rollout: RolloutStatus | None = None
    weights: dict[str, int] | None = None
    """The router's: `stable` and `canary`, in percent."""
    analyses: tuple[AnalysisRun, ...] = ()
    pods: tuple[Pod, ...] = ()
    application: Application | None = None

    @property
    def canary_weight(self) -> int | None:
        return None if self.weights is None else self.weights.get("canary", 0)

    def ready_pods(self, pod_hash: str) -> list[Pod]:
        return [pod for pod in self.pods if pod.pod_hash == pod_hash and pod.ready]

    def same_as(self, other: Snapshot) -> bool:
        """Whether nothing but the time differs."""
        return replace(self, at=other.at) == other


@dataclass(frozen=True)
class Objects:
    """What the API returned for one environment."""

    rollout: RolloutStatus | None = None
    weighted: Object | None = None
    """The router's object that holds the weights."""
    analysis_runs: list[Object] = field(default_factory=list)
    pods: list[Object] = field(default_factory=list)
    application: Object | None = None


def snapshot(at: float, objects: Objects) -> Snapshot:
    """Reduce the API's objects to what a drill asks about."""
    return Snapshot(
        at=at,
        rollout=objects.rollout,
        weights=_weights(objects.rollout, objects.weighted or {}),
        analyses=tuple(sorted(map(AnalysisRun.parse, objects.analysis_runs), key=lambda run: run.name)),
        pods=tuple(sorted(_pods(objects.pods), key=lambda pod: pod.name)),
        application=Application.parse(objects.application) if objects.application else None,
    )


def router(rollout: RolloutStatus | None) -> str | None:
    """The router whose weights Argo Rollouts sets, as in WEIGHTED_OBJECTS; None where it is none of them."""
    routers = (rollout and rollout.routers) or ()
    return next((name for name in WEIGHTED_OBJECTS if name in routers), None)


def _weights(rollout: RolloutStatus | None, weighted: Object) -> dict[str, int] | None:
    """The shares of stable and canary: the router's own, else what Argo Rollouts has set in another one.

    With blue-green the active Service has everything: the new version, until it is the stable one.
    """
    if rollout is None:
        return None
    if rollout.is_blue_green:
        share = 100 if rollout.is_moving and rollout.newest_hash == rollout.active_hash else 0
    elif name := router(rollout):
        share = _share(name, weighted)
    else:
        share = rollout.canary_weight or 0
    return {"stable": 100 - share, "canary": share}


def _share(name: str, weighted: Object) -> int:
    """The canary's percent in a router's object; 0 where there is none yet."""
    spec = spec_of(weighted)
    match name:
        case "traefik":
            services = (spec.get("weighted") or {}).get("services") or []
            weights = {service["name"]: service.get("weight") for service in services}
        case "istio":
            routes = [each for route in spec.get("http") or [] for each in route.get("route") or []]
            weights = {each["destination"]["host"]: each.get("weight") for each in routes}
        case _:
            weights = {"crm-canary": annotations_of(weighted).get(_CANARY_WEIGHT)}
    return int(weights.get("crm-canary") or 0)


def _pods(things: Iterable[Object]) -> Iterable[Pod]:
    for thing in things:
        labels, status = labels_of(thing), status_of(thing)
        if POD_HASH not in labels or thing["metadata"].get("deletionTimestamp"):
            continue
        conditions = {each["type"]: each["status"] for each in status.get("conditions") or []}
        yield Pod(
            name=thing["metadata"]["name"],
            pod_hash=labels[POD_HASH],
            ready=conditions.get("Ready") == "True",
            restarts=sum(each.get("restartCount", 0) for each in status.get("containerStatuses") or []),
        )
