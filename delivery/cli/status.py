"""Where each environment stands: what Git says, what is stable, what is the canary, what Argo CD thinks."""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from delivery.cli.status_model import (
    Environment,
    InArgoCD,
    InCluster,
    InGit,
    Rules,
    Standing,
    Verdict,
    Version,
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
    standing = stand(fetch_existing(repository))
    if as_json:
        print(json.dumps(_as_json(standing), indent=2))
    else:
        Console().print(table(standing.environments))
        for line in lines(standing.rules):
            Console().print(line)
        if standing.unknown:
            print(standing.unknown, file=sys.stderr)
    problems = standing.rules.problems or any(each.git.problem for each in standing.environments)
    return 1 if standing.unknown or problems else 0


def stand(branch: EnvironmentsBranch) -> Standing:
    """Where all environments stand, by the branch as it was fetched and by the cluster."""
    environments = [Environment(name, in_git(branch, name)) for name in branch.names()]
    rules = _rules(branch, [each.name for each in environments])
    try:
        cluster = client.Cluster.from_kubeconfig()
        known = _names(branch, environments)
        seen = [judge(each.name, each.git, cluster.observe(each.name), known) for each in environments]
    except ClusterUnreachable as error:
        return Standing(environments, rules, f"Not known: what runs. {error}")
    return Standing(seen, rules)


def _rules(branch: EnvironmentsBranch, environments: Iterable[str]) -> Rules:
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
    return Rules(quarantined, tuple(each for each in found if each), tuple(problems))


def _as_json(standing: Standing) -> dict[str, Any]:
    rules = standing.rules
    return {
        "environments": [asdict(each) for each in standing.environments],
        "quarantined": [asdict(each) for each in rules.quarantined],
        "frozen": [asdict(each) | {"until": each.until.isoformat()} for each in rules.frozen],
        "problems": list(rules.problems),
        "unknown": standing.unknown,
    }


def in_git(branch: EnvironmentsBranch, environment: str) -> InGit:
    commit = branch.last_commit(environment)
    try:
        return InGit(commit, branch.release(environment))
    except UnreadableRelease as error:
        return InGit(commit, problem=str(error))


def judge(name: str, git: InGit, seen: Observed, known: Mapping[str, str] | None = None) -> Environment:
    """Put together what one environment's objects say; `known` has versions by digest, where a ReplicaSet has none."""
    return Environment(name, git, _in_cluster(seen, known or {}), _in_argocd(git, seen))


def _names(branch: EnvironmentsBranch, environments: Iterable[Environment]) -> dict[str, str]:
    """The versions that Git knows, by digest."""
    records = promoted.copies_of(branch).values()
    known = {entry.digest: entry.version for record in records for entry in record.entries}
    images = [each.git.release.image for each in environments if each.git.release]
    return known | {image.digest: image.version for image in images}


def _in_cluster(seen: Observed, known: Mapping[str, str]) -> InCluster | None:
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
    return InCluster(
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
) -> Version | None:
    for replica_set in replica_sets:
        if _labels(replica_set).get(_HASH_LABEL) != pod_hash or not pod_hash:
            continue
        template = replica_set.get("spec", {}).get("template", {})
        containers = template.get("spec", {}).get("containers") or [{}]
        digest = containers[0].get("image", "").partition("@")[2] or None
        return Version(
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


def _verdicts(pod_hash: str, runs: Iterable[Object]) -> list[Verdict]:
    """The newest measurement of each question about a canary; a question that failed stays failed."""
    newest: dict[str, tuple[bool, str, Verdict]] = {}
    for run in runs:
        if _labels(run).get(_HASH_LABEL) != pod_hash:
            continue
        for result in run.get("status", {}).get("metricResults") or []:
            measured: Object = (result.get("measurements") or [{}])[-1]
            phase = result.get("phase", "Pending")
            says = answered(measured.get("value")).get("says")
            message = measured.get("message") or says or result.get("message")
            verdict = Verdict(result["name"], phase, measured.get("value"), message)
            decided = phase in ("Failed", "Error")
            rank = (decided, str(run["metadata"].get("creationTimestamp", "")), verdict)
            if verdict.question not in newest or rank[:2] >= newest[verdict.question][:2]:
                newest[verdict.question] = rank
    return [newest[question][2] for question in sorted(newest)]


def _in_argocd(git: InGit, seen: Observed) -> InArgoCD | None:
    problem = _condition(seen.application_set, "ErrorOccurred")
    if seen.application is None:
        return InArgoCD(message=_sentence(problem)) if problem else None
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
    return InArgoCD(
        sync=status.get("sync", {}).get("status"),
        health=status.get("health", {}).get("status"),
        revision=status.get("sync", {}).get("revision"),
        behind=behind,
        message=_sentence(problem or syncing or next(iter(conditions), None)),
    )


def _sentence(message: str | None) -> str | None:
    """What Helm or its schema refuses, where Argo CD tells that with the whole command and all that it printed."""
    if message is None or "helm template" not in message:
        return message
    said = message.rpartition("Error: ")[2].partition("Use --debug flag")[0]
    return " ".join(_PLACE.sub("", said).split())


def _condition(thing: Object | None, kind: str) -> str | None:
    for condition in ((thing or {}).get("status") or {}).get("conditions") or []:
        if condition.get("type") == kind and condition.get("status") == "True":
            return str(condition.get("message", kind))
    return None


def _labels(thing: Object) -> dict[str, str]:
    return thing.get("metadata", {}).get("labels") or {}
