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
from delivery.kubernetes.analysis import AnalysisRun, answered
from delivery.kubernetes.client import EnvironmentObjects
from delivery.kubernetes.rollout import ReplicaSet

_FULL = 100
# Where in the chart it was refused.
_PLACE = re.compile(r"execution error at \([^)]*\): ")


def show(repository: Repository, *, as_json: bool) -> int:
    """Print every environment. 0, or 1 with a message when something could not be read."""
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
    name: str, git: GitStatus, objects: EnvironmentObjects, known: Mapping[str, str] | None = None
) -> EnvironmentStatus:
    """One environment's status from its objects; `known` has versions by digest, where a ReplicaSet has none."""
    return EnvironmentStatus(name, git, _in_cluster(objects, known or {}), _in_argocd(git, objects))


def _names(branch: EnvironmentsBranch, environments: Iterable[EnvironmentStatus]) -> dict[str, str]:
    """The versions that Git knows, by digest."""
    records = promoted.copies_of(branch).values()
    known = {entry.digest: entry.version for record in records for entry in record.entries}
    images = [each.git.release.image for each in environments if each.git.release]
    return known | {image.digest: image.version for image in images}


def _in_cluster(objects: EnvironmentObjects, known: Mapping[str, str]) -> ClusterStatus | None:
    rollout = objects.rollout
    if rollout is None:
        return None
    moving = rollout.is_moving
    stable_weight = rollout.stable_weight
    if stable_weight is None and not moving:
        stable_weight = _FULL
    stable, newest = objects.replica_set(rollout.stable_hash), objects.replica_set(rollout.newest_hash)
    return ClusterStatus(
        phase=rollout.phase,
        message=rollout.message,
        step=f"{rollout.step}/{rollout.steps}" if moving and rollout.step is not None else None,
        aborted=rollout.aborted,
        stable=_version(stable, stable_weight, known),
        canary=_version(newest, rollout.canary_weight, known) if moving else None,
        verdicts=_verdicts(rollout.newest_hash, objects.analysis_runs) if moving else [],
    )


def _version(of: ReplicaSet | None, weight: int | None, known: Mapping[str, str]) -> VersionStatus | None:
    if of is None:
        return None
    version = of.version or known.get(of.digest) or (of.digest or of.pod_hash)[:19]
    return VersionStatus(version, of.digest or None, of.pod_hash, of.ready, weight)


def _verdicts(pod_hash: str, runs: Iterable[AnalysisRun]) -> list[AnalysisVerdict]:
    """The newest measurement of each analysis of a canary; one that failed stays failed."""
    newest: dict[str, tuple[bool, str, AnalysisVerdict]] = {}
    for run in runs:
        for result in run.results if run.pod_hash == pod_hash else ():
            last = result.last
            message = last.message or answered(last.value).get("says") or result.message
            verdict = AnalysisVerdict(result.name, result.phase, last.value, message)
            rank = (result.phase in ("Failed", "Error"), run.created, verdict)
            if verdict.question not in newest or rank[:2] >= newest[verdict.question][:2]:
                newest[verdict.question] = rank
    return [newest[question][2] for question in sorted(newest)]


def _in_argocd(git: GitStatus, objects: EnvironmentObjects) -> ArgoCDStatus | None:
    problem, application = objects.application_set_error, objects.application
    if application is None:
        return ArgoCDStatus(message=_sentence(problem)) if problem else None
    wanted = git.release
    behind = wanted is not None and (
        (application.wanted_revision, application.wanted_digest) != (wanted.revision, wanted.image.digest)
    )
    unfinished = application.operation in ("Running", "Failed", "Error")
    syncing = application.operation_message if unfinished else None
    return ArgoCDStatus(
        sync=application.sync,
        health=application.health,
        revision=application.revision,
        behind=behind,
        message=_sentence(problem or syncing or next(iter(application.errors), None)),
    )


def _sentence(message: str | None) -> str | None:
    """What Helm or its schema refuses, which Argo CD reports with the whole command and all that it printed."""
    if message is None or "helm template" not in message:
        return message
    reason = message.rpartition("Error: ")[2].partition("Use --debug flag")[0]
    return " ".join(_PLACE.sub("", reason).split())
