"""An environment whose release failed: 1.1 is stable, 1.2 was aborted."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from delivery.gitops.branch import ReleaseRecord
from delivery.gitops.release import Release, ReleasedImage
from delivery.guard.decision import ObservedState
from delivery.kubernetes.analysis import ATTEMPT, AnalysisRun
from delivery.kubernetes.application import Application, Migration
from delivery.kubernetes.objects import POD_HASH, REVISION, STRATEGY, Object
from delivery.kubernetes.rollout import ReplicaSet, RolloutStatus

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def release(version: str, revision: str = "", digest: str = "") -> Release:
    last = version[-1]
    image = ReleasedImage("registry.example.com/crm", f"sha256:{(digest or last) * 64}", version)
    return Release((revision or last) * 40, image, "canary")


GOOD, BAD = release("1.1"), release("1.2")


def pods(of: Release) -> dict[str, Any]:
    return {
        "metadata": {"labels": {"app.kubernetes.io/version": of.image.version}},
        "spec": {"containers": [{"image": f"{of.image.repository}@{of.image.digest}"}]},
    }


def replica_set(of: Release, pod_hash: str, ready: int = 4) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"crm-{pod_hash}",
            "labels": {POD_HASH: pod_hash},
            "annotations": {REVISION: of.revision, STRATEGY: of.strategy},
        },
        "spec": {"replicas": 4, "template": pods(of)},
        "status": {"readyReplicas": ready},
    }


def rollout(of: Release = BAD, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "generation": 7,
            "annotations": {REVISION: of.revision, STRATEGY: of.strategy, ATTEMPT: "2"},
        },
        "spec": {"template": pods(of), "strategy": {"canary": {"steps": [], "trafficRouting": {}}}},
        "status": {"currentPodHash": "new", "stableRS": "old", "observedGeneration": "7", **status},
    }


def aborted(of: Release = BAD, at: str = "2026-01-02T11:59:58Z", **status: Any) -> dict[str, Any]:
    return rollout(of, abort=True, abortedAt=at, **status)


def run(name: str, phase: str, attempt: str = "2", **measurement: Any) -> dict[str, Any]:
    result = {"name": name, "phase": phase, "measurements": [measurement]}
    return {
        "metadata": {"labels": {POD_HASH: "new"}, "annotations": {ATTEMPT: attempt}},
        "status": {"phase": phase, "metricResults": [result]},
    }


def migration(of: Release = BAD, uid: str = "job-1") -> dict[str, Any]:
    condition = {
        "type": "Failed",
        "status": "True",
        "lastTransitionTime": "2026-01-02T11:59:50Z",
        "message": "Job has reached the specified backoff limit",
    }
    return {
        "metadata": {"uid": uid},
        "spec": {"template": pods(of)},
        "status": {"conditions": [condition]},
    }


def not_let_in(of: Release = BAD, started: str = "2026-01-02T11:59:50Z") -> dict[str, Any]:
    """Argo CD's Application while a webhook refuses the migration of a release, which is tried again and again."""
    values = {"release": {"revision": of.revision}, "image": {"digest": of.image.digest}}
    source = {"helm": {"valuesObject": values}}
    said = (
        'admission webhook "ivpol.validate.kyverno.svc-fail" denied the request: '
        "Policy signed-images failed:\n  not signed"
    )
    resources = [
        {"kind": "ConfigMap", "message": "configmap/crm created"},
        {"kind": "Job", "message": said},
    ]
    operation = {
        "phase": "Running",
        "startedAt": started,
        "syncResult": {"source": source, "resources": resources},
    }
    return {"spec": {"source": source}, "status": {"operationState": operation}}


def observed(
    rollout: Object | None = None,
    replica_sets: list[Object] | None = None,
    analysis_runs: list[Object] | None = None,
    migration: Object | None = None,
    application: Object | None = None,
    **other: Any,
) -> ObservedState:
    """Production with what differs from 1.2's abort by its error rate."""
    usual = ObservedState(
        environment="production",
        now=NOW,
        started=NOW,
        commit="b" * 40,
        release=BAD,
        is_rollback=False,
        history=(ReleaseRecord("b" * 40, BAD), ReleaseRecord("a" * 40, GOOD)),
        rollout=RolloutStatus.parse(aborted() if rollout is None else rollout),
        replica_sets=tuple(
            map(ReplicaSet.parse, replica_sets or [replica_set(GOOD, "old"), replica_set(BAD, "new")])
        ),
        analysis_runs=tuple(
            AnalysisRun.parse(each)
            for each in (
                [run("error-rate", "Failed", value="[12.3]")] if analysis_runs is None else analysis_runs
            )
        ),
        migration=Migration.parse(migration) if migration else None,
        application=Application.parse(application) if application else None,
    )
    return replace(usual, **other)
