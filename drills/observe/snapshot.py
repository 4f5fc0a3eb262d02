"""What the cluster looks like at one moment of a drill: objects of its API, reduced to what a drill asks about."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from delivery.kubernetes.objects import STRATEGY, noted

Object = dict[str, Any]

HASH_LABEL = "rollouts-pod-template-hash"
VERSION_LABEL = "app.kubernetes.io/version"
CANARY_WEIGHT = "nginx.ingress.kubernetes.io/canary-weight"


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
class Measurement:
    """One measurement of one metric of an analysis."""

    run: str
    metric: str
    phase: str
    value: str | None
    finished_at: str
    message: str | None = None


@dataclass(frozen=True)
class Analysis:
    """An AnalysisRun."""

    name: str
    pod_hash: str
    phase: str
    message: str | None
    measurements: tuple[Measurement, ...] = ()
    """The newest ones; Argo Rollouts keeps ten of each metric."""
    taken: int = 0
    """How many there were, those without an answer included."""


@dataclass(frozen=True)
class Pod:
    name: str
    pod_hash: str
    version: str
    ready: bool
    restarts: int = 0


@dataclass(frozen=True)
class Rollout:
    """What Argo Rollouts says about the Rollout `crm`."""

    phase: str
    message: str | None
    step: int | None
    steps: int
    waits_for_person: bool
    """Paused at a step that only `kubectl argo rollouts promote` ends."""
    aborted: bool
    stable_hash: str
    newest_hash: str
    image: str
    """The image in its specification: what Argo CD wants to run."""
    observed: bool
    """Whether the controller has seen the specification as it is."""
    strategy: str = ""
    """The name of the release's strategy."""
    replicas: int = 0
    """How many pods the stable version is to have; the autoscaler writes it."""

    @property
    def settled(self) -> bool:
        return self.observed and self.newest_hash == self.stable_hash


@dataclass(frozen=True)
class Application:
    """What Argo CD says about an environment."""

    sync: str | None
    health: str | None
    revision: str | None
    operation: str | None
    finished_at: str | None
    wanted_revision: str | None
    wanted_digest: str | None


@dataclass(frozen=True)
class Snapshot:
    """Everything at one moment; None where there is no such object."""

    at: float
    """Seconds since 1970 (UTC), when it was known."""
    rollout: Rollout | None = None
    weights: dict[str, int] | None = None
    """The router's: `stable` and `canary`, in percent."""
    analyses: tuple[Analysis, ...] = ()
    pods: tuple[Pod, ...] = ()
    application: Application | None = None

    @property
    def canary_weight(self) -> int | None:
        return None if self.weights is None else self.weights.get("canary", 0)

    def ready_pods(self, pod_hash: str) -> list[Pod]:
        return [pod for pod in self.pods if pod.pod_hash == pod_hash and pod.ready]

    def same_as(self, other: Snapshot) -> bool:
        """Whether nothing but the time differs."""
        return (self.rollout, self.weights, self.analyses, self.pods, self.application) == (
            other.rollout,
            other.weights,
            other.analyses,
            other.pods,
            other.application,
        )


@dataclass(frozen=True)
class Objects:
    """What the API returned for one environment."""

    rollout: Object | None = None
    weighted: Object | None = None
    """The router's object that holds the weights."""
    analysis_runs: list[Object] = field(default_factory=list)
    pods: list[Object] = field(default_factory=list)
    application: Object | None = None


def snapshot(at: float, objects: Objects) -> Snapshot:
    """Reduce the API's objects to what a drill asks about."""
    return Snapshot(
        at=at,
        rollout=_rollout(objects.rollout) if objects.rollout else None,
        weights=_weights(objects),
        analyses=tuple(sorted(map(_analysis, objects.analysis_runs), key=lambda run: run.name)),
        pods=tuple(sorted(_pods(objects.pods), key=lambda pod: pod.name)),
        application=_application(objects.application) if objects.application else None,
    )


def _rollout(thing: Object) -> Rollout:
    status, spec = thing.get("status") or {}, thing.get("spec") or {}
    containers = spec.get("template", {}).get("spec", {}).get("containers") or [{}]
    steps, index = (
        spec.get("strategy", {}).get("canary", {}).get("steps") or [],
        status.get("currentStepIndex"),
    )
    observed = str(status.get("observedGeneration", "")) == str(thing["metadata"].get("generation", ""))
    return Rollout(
        phase=status.get("phase", "Unknown"),
        message=status.get("message"),
        step=index,
        steps=len(steps),
        waits_for_person=bool(status.get("pauseConditions")) and _ends_by_person(steps, index),
        aborted=bool(status.get("abort")),
        stable_hash=status.get("stableRS", ""),
        newest_hash=status.get("currentPodHash", ""),
        image=containers[0].get("image", ""),
        observed=observed,
        strategy=noted(thing, STRATEGY),
        replicas=int(spec.get("replicas") or 0),
    )


def _ends_by_person(steps: list[Object], index: int | None) -> bool:
    return index is not None and index < len(steps) and steps[index].get("pause", {"duration": ""}) == {}


def router(rollout: Object | None) -> str | None:
    """The router whose weights Argo Rollouts sets, as in WEIGHTED_OBJECTS; None where it is none of them."""
    strategy = ((rollout or {}).get("spec") or {}).get("strategy") or {}
    routing = (strategy.get("canary") or {}).get("trafficRouting") or {}
    return next((name for name in WEIGHTED_OBJECTS if name in routing), None)


def _weights(objects: Objects) -> dict[str, int] | None:
    """The shares of stable and canary: the router's own, else what Argo Rollouts has set in another one.

    With blue-green the active Service has everything: the new version, until it is the stable one.
    """
    rollout = objects.rollout or {}
    status = rollout.get("status") or {}
    spec = (rollout.get("spec") or {}).get("strategy") or {}
    if "blueGreen" in spec:
        newest, active = status.get("currentPodHash"), (status.get("blueGreen") or {}).get("activeSelector")
        share = 100 if newest == active and newest != status.get("stableRS") else 0
    elif name := router(rollout):
        share = _share(name, objects.weighted or {})
    elif rollout:
        weights = (status.get("canary") or {}).get("weights") or {}
        share = int((weights.get("canary") or {}).get("weight") or 0)
    else:
        return None
    return {"stable": 100 - share, "canary": share}


def _share(name: str, weighted: Object) -> int:
    """The canary's percent in a router's object; 0 where there is none yet."""
    spec = weighted.get("spec") or {}
    match name:
        case "traefik":
            services = (spec.get("weighted") or {}).get("services") or []
            weights = {service["name"]: service.get("weight") for service in services}
        case "istio":
            routes = [each for route in spec.get("http") or [] for each in route.get("route") or []]
            weights = {each["destination"]["host"]: each.get("weight") for each in routes}
        case _:
            annotations = (weighted.get("metadata") or {}).get("annotations") or {}
            weights = {"crm-canary": annotations.get(CANARY_WEIGHT)}
    return int(weights.get("crm-canary") or 0)


def _analysis(thing: Object) -> Analysis:
    status, name = thing.get("status") or {}, thing["metadata"]["name"]
    return Analysis(
        name=name,
        pod_hash=_labels(thing).get(HASH_LABEL, ""),
        phase=status.get("phase", "Pending"),
        message=status.get("message"),
        measurements=tuple(
            Measurement(
                run=name,
                metric=result["name"],
                phase=measured.get("phase", ""),
                value=measured.get("value"),
                finished_at=measured.get("finishedAt") or "",
                message=measured.get("message"),
            )
            for result in status.get("metricResults") or []
            for measured in result.get("measurements") or []
        ),
        taken=sum(
            result.get("count", 0) + result.get("error", 0) for result in status.get("metricResults") or []
        ),
    )


def _pods(things: Iterable[Object]) -> Iterable[Pod]:
    for thing in things:
        labels, status = _labels(thing), thing.get("status") or {}
        if HASH_LABEL not in labels or thing["metadata"].get("deletionTimestamp"):
            continue
        conditions = {each["type"]: each["status"] for each in status.get("conditions") or []}
        yield Pod(
            name=thing["metadata"]["name"],
            pod_hash=labels[HASH_LABEL],
            version=labels.get(VERSION_LABEL, ""),
            ready=conditions.get("Ready") == "True",
            restarts=sum(each.get("restartCount", 0) for each in status.get("containerStatuses") or []),
        )


def _application(thing: Object) -> Application:
    status, source = thing.get("status") or {}, (thing.get("spec") or {}).get("source") or {}
    operation = status.get("operationState") or {}
    return Application(
        sync=(status.get("sync") or {}).get("status"),
        health=(status.get("health") or {}).get("status"),
        revision=(status.get("sync") or {}).get("revision"),
        operation=operation.get("phase"),
        finished_at=operation.get("finishedAt"),
        wanted_revision=source.get("targetRevision"),
        wanted_digest=((source.get("helm") or {}).get("valuesObject") or {}).get("image", {}).get("digest"),
    )


def _labels(thing: Object) -> dict[str, str]:
    return thing["metadata"].get("labels") or {}
