"""Argo Rollouts' Rollout and its ReplicaSets, read from the API's objects once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from delivery.gitops.release import Release
from delivery.kubernetes.analysis import ATTEMPT, AnalysisRun
from delivery.kubernetes.objects import (
    POD_HASH,
    REVISION,
    STRATEGY,
    VERSION,
    VERSION_LABEL,
    Object,
    annotations_of,
    labels_of,
    noted,
    spec_of,
    status_of,
    time,
)

_OPEN_ENDED = frozenset({"pause", "analysis", "experiment"})
_UNDECIDED = ("", "Pending", "Running")
_BLUE_GREEN_GATES = {"prePromotionAnalysis": "PrePromotion", "postPromotionAnalysis": "PostPromotion"}


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The release that a Rollout or a ReplicaSet is of; empty what an older chart does not note."""

    name: str = ""
    revision: str = ""
    strategy: str = ""
    version: str = ""
    image: str = ""
    replicas: int = 0

    @property
    def digest(self) -> str:
        return self.image.partition("@")[2]


def _workload(thing: Object) -> dict[str, Any]:
    template = spec_of(thing).get("template") or {}
    containers = spec_of(template).get("containers") or [{}]
    return {
        "name": (thing.get("metadata") or {}).get("name", ""),
        "revision": noted(thing, REVISION),
        "strategy": noted(thing, STRATEGY),
        "version": noted(thing, VERSION)
        or labels_of(template).get(VERSION_LABEL)
        or labels_of(thing).get(VERSION_LABEL, ""),
        "image": containers[0].get("image", ""),
        "replicas": int(spec_of(thing).get("replicas") or 0),
    }


@dataclass(frozen=True, kw_only=True)
class ReplicaSet(Workload):
    pod_hash: str = ""
    ready: int = 0

    @classmethod
    def parse(cls, thing: Object) -> Self:
        ready = status_of(thing).get("readyReplicas") or 0
        return cls(pod_hash=labels_of(thing).get(POD_HASH, ""), ready=ready, **_workload(thing))


@dataclass(frozen=True)
class Condition:
    is_true: bool
    reason: str
    message: str
    since: datetime | None
    updated: datetime | None

    @classmethod
    def parse(cls, condition: Object) -> Self:
        return cls(
            condition.get("status") == "True",
            str(condition.get("reason") or ""),
            str(condition.get("message") or ""),
            time(condition.get("lastTransitionTime")),
            time(condition.get("lastUpdateTime")),
        )


@dataclass(frozen=True, kw_only=True)
class RolloutStatus(Workload):
    """What Argo Rollouts reports about a Rollout, whose image and replicas are those of its specification."""

    phase: str | None = None
    message: str | None = None
    observed: bool = True
    """Whether the status speaks of the specification as it is, not of the one before."""
    stable_hash: str = ""
    newest_hash: str = ""
    aborted: bool = False
    aborted_at: datetime | None = None
    promotes_in_full: bool = False
    """Whether it leaves out the rest of its steps."""
    step: int | None = None
    steps: int = 0
    paused: bool = False
    waits_for_person: bool = False
    """Paused at a step that only `kubectl argo rollouts promote` ends."""
    at_open_ended_step: bool = False
    """A pause or an analysis, which lasts as long as it has to."""
    gate_waits: bool = False
    """Whether an analysis of a step, or before or after blue-green's switch, is undecided. A pause asks nothing."""
    last_gate: Mapping[str, str] = field(default_factory=dict)
    """The labels of the strategy's last analysis run; empty where the strategy has no gate."""
    routers: frozenset[str] | None = None
    """The routers that get the weights; None where replicas alone make them."""
    canary_weight: int | None = None
    stable_weight: int | None = None
    active_hash: str | None = None
    """With blue-green: the version that the active Service leads to."""
    is_blue_green: bool = False
    deadline_seconds: int | None = None
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    attempt: str = ""
    resource_version: str = field(default="", compare=False)

    @classmethod
    def parse(cls, thing: Object) -> Self:
        status, spec = status_of(thing), spec_of(thing)
        strategy = spec.get("strategy") or {}
        canary, blue_green = strategy.get("canary") or {}, strategy.get("blueGreen") or {}
        steps, index = canary.get("steps") or [], status.get("currentStepIndex")
        step = steps[index] if index is not None and index < len(steps) else {}
        gates = [number for number, each in enumerate(steps) if "analysis" in each]
        last_gate = {"rollout-type": "Step", "step-index": str(gates[-1])} if gates else {}
        for key, kind in _BLUE_GREEN_GATES.items():
            if key in blue_green:
                last_gate = {"rollout-type": kind}
        weights = (status.get("canary") or {}).get("weights") or {}
        metadata = thing.get("metadata") or {}
        return cls(
            phase=status.get("phase"),
            message=status.get("message"),
            # Argo Rollouts writes a text here.
            observed=str(status.get("observedGeneration", "")) == str(metadata.get("generation", "")),
            stable_hash=status.get("stableRS", ""),
            newest_hash=status.get("currentPodHash", ""),
            aborted=bool(status.get("abort")),
            aborted_at=time(status.get("abortedAt")),
            promotes_in_full=bool(status.get("promoteFull")),
            step=index,
            steps=len(steps),
            paused=bool(status.get("pauseConditions")),
            waits_for_person=bool(status.get("pauseConditions")) and step.get("pause") == {},
            at_open_ended_step=bool(_OPEN_ENDED & step.keys()),
            gate_waits=_gate_waits(status),
            last_gate=last_gate,
            routers=frozenset(canary["trafficRouting"] or ()) if "trafficRouting" in canary else None,
            canary_weight=weights.get("canary", {}).get("weight"),
            stable_weight=weights.get("stable", {}).get("weight"),
            active_hash=(status.get("blueGreen") or {}).get("activeSelector"),
            is_blue_green="blueGreen" in strategy,
            deadline_seconds=spec.get("progressDeadlineSeconds"),
            conditions={each["type"]: Condition.parse(each) for each in status.get("conditions") or []},
            attempt=str(annotations_of(thing).get(ATTEMPT) or ""),
            resource_version=str(metadata.get("resourceVersion")),
            **_workload(thing),
        )

    @property
    def is_moving(self) -> bool:
        """Whether it has newer pods than those of the last full promotion, aborted or not."""
        return bool(self.newest_hash) and self.newest_hash != self.stable_hash

    @property
    def settled(self) -> bool:
        return self.observed and self.newest_hash == self.stable_hash

    @property
    def settled_since(self) -> datetime | None:
        """Since when it has run one version in full with all pods ready; None while it does not.

        Argo Rollouts keeps these times itself, so a guard that is restarted knows them as well.
        """
        healthy, completed = self._since("Healthy"), self._since("Completed")
        whole = self.stable_hash and self.observed and not (self.is_moving or self.aborted)
        return max(healthy, completed or healthy) if whole and self.phase == "Healthy" and healthy else None

    @property
    def promoted_at(self) -> datetime | None:
        """When its newest version became its stable one; None while it has not."""
        return None if self.aborted or self.is_moving else self._since("Completed")

    def _since(self, condition: str) -> datetime | None:
        found = self.conditions.get(condition)
        return found.since if found and found.is_true else None

    def is_of(self, release: Release) -> bool:
        """Whether its specification is that release; what an older chart does not note does not count."""
        return (
            self.digest == release.image.digest
            and self.revision in ("", release.revision)
            and self.strategy in ("", release.strategy)
        )

    def has_run(self, run: AnalysisRun) -> bool:
        """Whether an analysis run is of its newest pods and of this attempt."""
        return (run.pod_hash, run.attempt) == (self.newest_hash, self.attempt)

    def has_passed_gates(self, runs: Iterable[AnalysisRun]) -> bool:
        """Whether the newest version got through its strategy's last gate; yes where the strategy has none.

        A gate that a person left out, by `promote` or `promote --full`, has no run or one that was ended before its
        time.
        """
        return not self.last_gate or any(
            self.has_run(run)
            and self.last_gate.items() <= run.labels.items()
            and run.phase == "Successful"
            and not run.terminated
            for run in runs
        )


def _gate_waits(status: Object) -> bool:
    canary, blue_green = status.get("canary") or {}, status.get("blueGreen") or {}
    # The first step asks about the image, before the new version has a pod that could be asked.
    first = status.get("currentStepIndex") == 0
    runs = (
        None if first else canary.get("currentStepAnalysisRunStatus"),
        blue_green.get("prePromotionAnalysisRunStatus"),
        blue_green.get("postPromotionAnalysisRunStatus"),
    )
    return any(run and run.get("status", "") in _UNDECIDED for run in runs)
