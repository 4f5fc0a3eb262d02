"""The status of each environment: its release in Git, the stable version, the canary, Argo CD."""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from delivery.cli.status_model import (
    AnalysisVerdict,
    ArgoCDStatus,
    ClusterStatus,
    EnvironmentStatus,
    GitStatus,
    Overview,
    Restrictions,
    VersionStatus,
)
from delivery.cli.status_table import lines, table
from delivery.errors import ClusterUnreachable, Refused, UnreadableRelease
from delivery.gitops import freeze, promoted, quarantine
from delivery.gitops.branch import EnvironmentsBranch, fetch_existing
from delivery.gitops.freeze import Frozen
from delivery.gitops.git import Repository
from delivery.gitops.quarantine import QuarantinedImage
from delivery.kubernetes import client
from delivery.kubernetes.analysis import answered
from delivery.kubernetes.annotations import VERSION, noted
from delivery.kubernetes.client import Object, Observed, is_moving

_HASH_LABEL = "rollouts-pod-template-hash"
_VERSION_LABEL = "app.kubernetes.io/version"
_FULL = 100
# Where in the chart it was refused.
_PLACE = re.compile(r"execution error at \([^)]*\): ")


def show(repository: Repository, *, as_json: bool) -> int:
    """Print every environment. 0, or 1 when something could not be known (which is then said)."""
    overview = observe(fetch_existing(repository))
    if as_json:
        print(json.dumps(_as_json(overview), indent=2))
    else:
        Console().print(table(overview.environments))
        for line in lines(overview.restrictions):
            Console().print(line)
        if overview.unknown:
            print(overview.unknown, file=sys.stderr)
    problems = overview.restrictions.problems or any(each.git.problem for each in overview.environments)
    return 1 if overview.unknown or problems else 0


def observe(branch: EnvironmentsBranch) -> Overview:
    """The status of all environments, by the branch as it was fetched and by the cluster."""
    environments = [EnvironmentStatus(name, in_git(branch, name)) for name in branch.names()]
    restrictions = _restrictions(branch, [each.name for each in environments])
    try:
        cluster = client.Cluster.from_kubeconfig()
        known = _names(branch, environments)
        seen = [
            environment_status(each.name, each.git, cluster.observe(each.name), known)
            for each in environments
        ]
    except ClusterUnreachable as error:
        return Overview(environments, restrictions, f"What runs is not known. {error}")
    return Overview(seen, restrictions)


def _restrictions(branch: EnvironmentsBranch, environments: Iterable[str]) -> Restrictions:
    problems: list[str] = []
    quarantined: tuple[QuarantinedImage, ...] = ()
    try:
        quarantined = quarantine.entries(branch)
    except Refused as refusal:
        problems.append(str(refusal))
    found: list[Frozen | None] = []
    try:
        found = [freeze.frozen(branch, name, datetime.now(tz=UTC)) for name in environments]
    except Refused as refusal:
        problems.append(str(refusal))
    return Restrictions(quarantined, tuple(each for each in found if each), tuple(problems))


def _as_json(overview: Overview) -> dict[str, Any]:
    restrictions = overview.restrictions
    return {
        "environments": [asdict(each) for each in overview.environments],
        "quarantined": [asdict(each) for each in restrictions.quarantined],
        "frozen": [asdict(each) | {"until": each.until.isoformat()} for each in restrictions.frozen],
        "problems": list(restrictions.problems),
        "unknown": overview.unknown,
    }


def in_git(branch: EnvironmentsBranch, environment: str) -> GitStatus:
    commit = branch.last_commit(environment)
    try:
        return GitStatus(commit, branch.release(environment))
    except UnreadableRelease as error:
        return GitStatus(commit, problem=str(error))


def environment_status(
    name: str, git: GitStatus, seen: Observed, known: Mapping[str, str] | None = None
) -> EnvironmentStatus:
    """One environment's status from its objects; `known` has versions by digest, where a ReplicaSet has none."""
    return EnvironmentStatus(name, git, _in_cluster(seen, known or {}), _in_argocd(git, seen))


def _names(branch: EnvironmentsBranch, environments: Iterable[EnvironmentStatus]) -> dict[str, str]:
    """The versions that Git knows, by digest."""
    records = promoted.copies_of(branch).values()
    known = {entry.digest: entry.version for record in records for entry in record.entries}
    images = [each.git.release.image for each in environments if each.git.release]
    return known | {image.digest: image.version for image in images}


def _in_cluster(seen: Observed, known: Mapping[str, str]) -> ClusterStatus | None:
    if seen.rollout is None:
        return None
    status: Object = seen.rollout.get("status", {})
    weights: Object = status.get("canary", {}).get("weights") or {}
    stable_hash, newest_hash = status.get("stableRS", ""), status.get("currentPodHash", "")
    moving = is_moving(status)
    steps = seen.rollout.get("spec", {}).get("strategy", {}).get("canary", {}).get("steps") or []
    index = status.get("currentStepIndex")
    canary_weight = weights.get("canary", {}).get("weight")
    stable_weight = weights.get("stable", {}).get("weight", _FULL if not moving else None)
    return ClusterStatus(
        phase=status.get("phase"),
        message=status.get("message"),
        step=f"{index}/{len(steps)}" if moving and index is not None else None,
        aborted=bool(status.get("abort")),
        stable=_version(stable_hash, seen.replica_sets, stable_weight, known),
        canary=_version(newest_hash, seen.replica_sets, canary_weight, known) if moving else None,
        verdicts=_verdicts(newest_hash, seen.analysis_runs) if moving else [],
    )


def _version(
    pod_hash: str, replica_sets: Iterable[Object], weight: int | None, known: Mapping[str, str]
) -> VersionStatus | None:
    for replica_set in replica_sets:
        if _labels(replica_set).get(_HASH_LABEL) != pod_hash or not pod_hash:
            continue
        template = replica_set.get("spec", {}).get("template", {})
        containers = template.get("spec", {}).get("containers") or [{}]
        digest = containers[0].get("image", "").partition("@")[2] or None
        return VersionStatus(
            version=noted(replica_set, VERSION)
            or _labels(template).get(_VERSION_LABEL)
            or known.get(digest or "")
            or (digest or pod_hash)[:19],
            digest=digest,
            pod_hash=pod_hash,
            ready=replica_set.get("status", {}).get("readyReplicas", 0),
            weight=weight,
        )
    return None


def _verdicts(pod_hash: str, runs: Iterable[Object]) -> list[AnalysisVerdict]:
    """The newest measurement of each analysis of a canary; one that failed stays failed."""
    newest: dict[str, tuple[bool, str, AnalysisVerdict]] = {}
    for run in runs:
        if _labels(run).get(_HASH_LABEL) != pod_hash:
            continue
        for result in run.get("status", {}).get("metricResults") or []:
            measured: Object = (result.get("measurements") or [{}])[-1]
            phase = result.get("phase", "Pending")
            said = answered(measured.get("value")).get("says")
            message = measured.get("message") or said or result.get("message")
            verdict = AnalysisVerdict(result["name"], phase, measured.get("value"), message)
            decided = phase in ("Failed", "Error")
            rank = (decided, str(run["metadata"].get("creationTimestamp", "")), verdict)
            if verdict.question not in newest or rank[:2] >= newest[verdict.question][:2]:
                newest[verdict.question] = rank
    return [newest[question][2] for question in sorted(newest)]


def _in_argocd(git: GitStatus, seen: Observed) -> ArgoCDStatus | None:
    problem = _condition(seen.application_set, "ErrorOccurred")
    if seen.application is None:
        return ArgoCDStatus(message=_sentence(problem)) if problem else None
    status: Object = seen.application.get("status", {})
    source: Object = seen.application.get("spec", {}).get("source", {})
    image = source.get("helm", {}).get("valuesObject", {}).get("image", {})
    wanted = git.release
    behind = wanted is not None and (
        source.get("targetRevision") != wanted.revision or image.get("digest") != wanted.image.digest
    )
    operation: Object = status.get("operationState", {})
    syncing = operation.get("message") if operation.get("phase") in ("Running", "Failed", "Error") else None
    conditions = [
        each.get("message", "") for each in status.get("conditions") or [] if "Error" in each.get("type", "")
    ]
    return ArgoCDStatus(
        sync=status.get("sync", {}).get("status"),
        health=status.get("health", {}).get("status"),
        revision=status.get("sync", {}).get("revision"),
        behind=behind,
        message=_sentence(problem or syncing or next(iter(conditions), None)),
    )


def _sentence(message: str | None) -> str | None:
    """What Helm or its schema refuses, which Argo CD reports with the whole command and all that it printed."""
    if message is None or "helm template" not in message:
        return message
    reason = message.rpartition("Error: ")[2].partition("Use --debug flag")[0]
    return " ".join(_PLACE.sub("", reason).split())


def _condition(thing: Object | None, kind: str) -> str | None:
    for condition in ((thing or {}).get("status") or {}).get("conditions") or []:
        if condition.get("type") == kind and condition.get("status") == "True":
            return str(condition.get("message", kind))
    return None


def _labels(thing: Object) -> dict[str, str]:
    return thing.get("metadata", {}).get("labels") or {}
