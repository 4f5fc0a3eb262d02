"""What is to be done about an environment, from what is seen alone: no clock, no Git, no cluster in here.

The same sight always gives the same decision, so a restarted guard goes on where the other stopped, and a
repeated event changes nothing: once Git has gone back, the aborted Rollout no longer belongs to Git's release.

No two clocks are compared: whether a failed migration or a refused sync is of an earlier try is known by its name.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from delivery.gitops.branch import ReleaseRecord
from delivery.gitops.promoted import identity
from delivery.gitops.release import Release
from delivery.kubernetes.analysis import Count, findings
from delivery.kubernetes.annotations import REVISION, STRATEGY, noted
from delivery.kubernetes.client import Object, is_moving

OLD = timedelta(minutes=20)
# What Argo Rollouts gets to notice a deadline by itself.
_GRACE = timedelta(seconds=15)
# How the API server says that a webhook, such as Kyverno's, or a policy of its own has refused something.
_DENIED = re.compile(r"\bdenied (?:the )?request: (.*)", re.DOTALL)
HASH = "rollouts-pod-template-hash"
_ATTEMPT = "rollout.argoproj.io/revision"


@dataclass(frozen=True)
class Seen:
    """One environment at one moment. `history` has its releases in Git, newest first."""

    environment: str
    now: datetime
    started: datetime
    commit: str
    release: Release
    is_rollback: bool
    """The release was promoted through its gates here before, and nothing speaks against it since."""
    was_promoted: bool = False
    """Everybody had it here before, through its gates or not."""
    history: tuple[ReleaseRecord, ...] = ()
    rollout: Object | None = None
    replica_sets: list[Object] = field(default_factory=list)
    analysis_runs: list[Object] = field(default_factory=list)
    migration: Object | None = None
    migration_image: str = ""
    """Why the image of the migration cannot be had; empty where it can, or where that is not known."""
    application: Object | None = None
    counts: dict[str, Count] = field(default_factory=dict)
    """The requests of the canary by question, where Prometheus told them."""
    quarantined: frozenset[str] = frozenset()
    handled: str = ""
    """The failed migration or refused sync that was rolled back last."""
    frozen: str = ""
    """Why the commit should not have been pushed: the environment was frozen. Empty where it was not."""
    before: ReleaseRecord | None = None
    """The release that was promoted before Git's, where everybody has Git's already."""


@dataclass(frozen=True)
class Heal:
    """Git goes back `to` a release that was fully promoted; `blame` quarantines what it leaves."""

    to: ReleaseRecord
    left: Release
    commit: str
    reasons: tuple[str, ...]
    blame: bool
    handled: str = ""
    """The migration or sync that is the reason, which is none any more."""


@dataclass(frozen=True)
class PromoteInFull:
    """The Rollout goes where Git went back to, without the canary's steps."""


@dataclass(frozen=True)
class ScaleToZero:
    """The aborted version loses its pods: Argo Rollouts leaves it its traffic while the stable one lacks a pod."""

    replica_set: str


@dataclass(frozen=True)
class Abort:
    """The Rollout still brings what Git has left: its users and its processors need not wait for Argo CD's sync."""


@dataclass(frozen=True)
class EndSync:
    """Argo CD still works on the release that Git has left, and would take up the way back only after that."""


@dataclass(frozen=True)
class Nothing:
    why: str


WELL = Nothing("Nothing is wrong.")
Decision = Heal | PromoteInFull | ScaleToZero | Abort | EndSync | Nothing


@dataclass(frozen=True)
class _Trouble:
    at: datetime
    reasons: tuple[str, ...]
    blame: bool
    handled: str = ""


def decide(seen: Seen) -> Decision:
    """What to do, and why nothing where that is so."""
    if seen.rollout is None:
        return Nothing("There is no Rollout yet.")
    # Users first.
    if keeping := _keeps_traffic(seen, seen.rollout):
        return ScaleToZero(keeping)
    if seen.is_rollback and _brings_another(seen.rollout, seen.release):
        return Abort()
    if works_on_another(seen.application):
        return EndSync()
    trouble = (
        _not_let_in(seen)
        or _migration(seen)
        or _rollout_trouble(seen, seen.rollout)
        or _pushed_in_freeze(seen)
    )
    return _back(seen, seen.rollout, trouble) if trouble else _forward(seen, seen.rollout)


def _brings_another(rollout: Object, release: Release) -> bool:
    """Whether another release than that is on its way, which nobody has ended yet."""
    status = rollout.get("status") or {}
    moving = bool(status.get("stableRS")) and is_moving(status) and not status.get("abort")
    return moving and is_observed(rollout) and not is_of(rollout, release)


def _back(seen: Seen, rollout: Object, trouble: _Trouble) -> Decision:
    if trouble.at < seen.started - OLD:
        return Nothing("The trouble is more than 20 minutes older than this guard: a person has to look.")
    to = _fully_promoted(seen, rollout)
    if to is None:
        return Nothing("No fully promoted release is known in Git: there is nothing to go back to.")
    if identity(to.release) == identity(seen.release):
        if not (seen.frozen and seen.before):
            return Nothing("Git names the fully promoted release already.")
        to = seen.before
    if to.release.image.digest in seen.quarantined:
        return Nothing(
            f"The stable release {to.release.image.version} is quarantined itself: "
            "a person has to choose where to go back to."
        )
    same_image = to.release.image.digest == seen.release.image.digest
    # What everybody had before is not to blame for a way back to it that did not arrive.
    blame = trouble.blame and not same_image and not seen.was_promoted
    return Heal(to, seen.release, seen.commit, trouble.reasons, blame, trouble.handled)


def _pushed_in_freeze(seen: Seen) -> _Trouble | None:
    return _Trouble(seen.now, (f"freeze: {seen.frozen}",), blame=False) if seen.frozen else None


def _keeps_traffic(seen: Seen, rollout: Object) -> str:
    """The ReplicaSet of an aborted canary that still has traffic and pods; empty where there is none.

    Argo Rollouts does not set the weight to 0 while the stable version has fewer ready pods than it should have.
    """
    status = rollout.get("status") or {}
    canary = (rollout["spec"].get("strategy") or {}).get("canary") or {}
    routed = "trafficRouting" in canary
    if not (routed and status.get("abort") and is_moving(status) and is_observed(rollout)):
        return ""
    stable, newest = (_replica_set(seen, status.get(key)) for key in ("stableRS", "currentPodHash"))
    if stable is None or newest is None or not int(newest["spec"].get("replicas") or 0):
        return ""
    ready = int((stable.get("status") or {}).get("readyReplicas") or 0)
    return str(newest["metadata"]["name"]) if 0 < ready < int(stable["spec"].get("replicas") or 0) else ""


def _forward(seen: Seen, rollout: Object) -> Decision:
    status = rollout.get("status") or {}
    if (
        seen.is_rollback
        and is_moving(status)
        and is_of(rollout, seen.release)
        and not status.get("promoteFull")
    ):
        return PromoteInFull()
    return WELL


def _rollout_trouble(seen: Seen, rollout: Object) -> _Trouble | None:
    """Why the Rollout gave up on Git's release, if it did."""
    status = rollout.get("status") or {}
    if not is_of(rollout, seen.release) or not is_observed(rollout):
        return None
    progress: Object = next(
        (each for each in status.get("conditions") or [] if each["type"] == "Progressing"), {}
    )
    message = str(status.get("message") or "")
    stuck = (
        progress.get("reason") == "ProgressDeadlineExceeded"
        or "timed out progressing" in message
        or _is_overdue(seen, rollout, progress)
    )
    if status.get("abort"):
        at = _time(status.get("abortedAt")) or seen.started
    elif stuck:
        at = _time(progress.get("lastUpdateTime")) or seen.started
    else:
        return None
    return _why(seen, rollout, at, message or str(progress.get("message") or ""), stuck=stuck)


def _is_overdue(seen: Seen, rollout: Object, progress: Object) -> bool:
    """Whether pods are not ready long after the deadline, which Argo Rollouts 1.10 can forget.

    It leaves the deadline out while another ReplicaSet waits to be scaled down, and the mark of one that was scaled
    down on another way stays for ever (docs/decisions/0023).
    """
    spec, status = rollout["spec"], rollout.get("status") or {}
    deadline, since = spec.get("progressDeadlineSeconds"), _time(progress.get("lastUpdateTime"))
    newest = _replica_set(seen, status.get("currentPodHash"))
    if not deadline or not since or newest is None or progress.get("status") != "True":
        return False
    steps = ((spec.get("strategy") or {}).get("canary") or {}).get("steps") or []
    index = status.get("currentStepIndex")
    step = steps[index] if index is not None and index < len(steps) else {}
    # Such a step lasts as long as it has to, and so does a pause.
    if status.get("pauseConditions") or {"pause", "analysis", "experiment"} & step.keys():
        return False
    ready = int((newest.get("status") or {}).get("readyReplicas") or 0)
    waits = ready < int(newest["spec"].get("replicas") or 0)
    return waits and seen.now > since + timedelta(seconds=deadline) + _GRACE


def _why(seen: Seen, rollout: Object, at: datetime, message: str, *, stuck: bool) -> _Trouble:
    found = [
        finding
        for run in seen.analysis_runs
        if _belongs(run, rollout)
        for finding in findings(run, seen.release.image.version, seen.counts)
    ]
    reasons = tuple(dict.fromkeys(finding.says for finding in found))
    if stuck:
        # What a Rollout says while it does not know of its deadline explains nothing.
        why = message if "timed out" in message else "the new pods did not become ready in time"
        reasons += (f"progress: {why}",)
    failed = any(finding.phase == "Failed" for finding in found)
    return _Trouble(at, reasons or (message or "aborted, without a verdict",), blame=failed or stuck)


def denied(application: Object | None) -> str:
    """What a policy of the cluster said to Argo CD's last sync, or says to the one it is at; empty if it let all in."""
    operation = ((application or {}).get("status") or {}).get("operationState") or {}
    for resource in (operation.get("syncResult") or {}).get("resources") or []:
        found = _DENIED.search(str(resource.get("message") or ""))
        if found:
            return " ".join(found[1].split())
    return ""


def _not_let_in(seen: Seen) -> _Trouble | None:
    """The cluster does not take Git's release, so nothing of it runs. The image may be let in once it is signed."""
    said = denied(seen.application)
    if seen.application is None or not said:
        return None
    operation = seen.application["status"]["operationState"]
    if _named(operation) != (seen.release.image.digest, seen.release.revision):
        return None
    began = str(operation.get("startedAt") or "")
    # Each try of a sync counts: the image may be signed by then.
    handled = f"sync {began} {operation.get('retryCount', 0)}"
    if handled == seen.handled:
        return None
    why = f"admission: {seen.release.image.version} is not let in: {said}"
    return _Trouble(_time(began) or seen.started, (why,), blame=False, handled=handled)


def _migration(seen: Seen) -> _Trouble | None:
    """The failed migration of Git's release; one that was rolled back already tells about another attempt."""
    job = seen.migration
    handled = f"migration {job['metadata'].get('uid', '')}" if job else ""
    if job is None or handled == seen.handled:
        return None
    images = [container["image"] for container in job["spec"]["template"]["spec"]["containers"]]
    if not any(image.endswith(f"@{seen.release.image.digest}") for image in images):
        return None
    if seen.migration_image:
        why = f"image: {seen.release.image.version} cannot be had: {seen.migration_image}"
        return _Trouble(seen.now, (why,), blame=True, handled=handled)
    for condition in (job.get("status") or {}).get("conditions") or []:
        if condition["type"] == "Failed" and condition["status"] == "True":
            at = _time(condition.get("lastTransitionTime")) or seen.started
            why = condition.get("message") or condition.get("reason") or "it failed"
            return _Trouble(
                at, (f"migration of {seen.release.image.version}: {why}",), blame=True, handled=handled
            )
    return None


def _named(operation: Object) -> tuple[str | None, str | None]:
    """The image's digest and the revision that a sync of Argo CD brings."""
    values = (((operation.get("syncResult") or {}).get("source") or {}).get("helm") or {}).get(
        "valuesObject"
    ) or {}
    return ((values.get("image") or {}).get("digest"), (values.get("release") or {}).get("revision"))


def works_on_another(application: Object | None) -> bool:
    """Whether Argo CD is in the middle of a sync whose source is no longer the one that it is told to sync."""
    if application is None:
        return False
    operation = (application.get("status") or {}).get("operationState") or {}
    # The result is empty for a moment between two tries.
    asked, found = (operation.get("operation") or {}).get("sync") or {}, operation.get("syncResult") or {}
    source = asked.get("source") or found.get("source")
    return operation.get("phase") == "Running" and source not in (None, application["spec"].get("source"))


def _fully_promoted(seen: Seen, rollout: Object) -> ReleaseRecord | None:
    """The release in Git that the stable ReplicaSet runs; by image alone where it names no commit."""
    stable = _replica_set(seen, (rollout.get("status") or {}).get("stableRS"))
    if stable is None:
        return None
    matching = [past for past in seen.history if _runs(stable, past.release.image.digest)]
    revision, strategy = noted(stable, REVISION), noted(stable, STRATEGY)
    exact = sorted(
        (past for past in matching if past.release.revision == revision),
        key=lambda past: past.release.strategy != strategy,
    )
    others = (past for past in matching if identity(past.release) != identity(seen.release))
    return next(iter(exact), None) or next(others, None)


def _replica_set(seen: Seen, pod_hash: str | None) -> Object | None:
    for each in seen.replica_sets:
        if pod_hash and (each["metadata"].get("labels") or {}).get(HASH) == pod_hash:
            return each
    return None


def is_of(rollout: Object, release: Release) -> bool:
    """Whether a Rollout is told to run that release; what an older chart does not note does not count."""
    return (
        _runs(rollout, release.image.digest)
        and noted(rollout, REVISION) in ("", release.revision)
        and noted(rollout, STRATEGY) in ("", release.strategy)
    )


def is_observed(rollout: Object) -> bool:
    """The status speaks of this specification, not of the one before. Argo Rollouts writes a text here."""
    observed = (rollout.get("status") or {}).get("observedGeneration")
    return str(observed) == str(rollout["metadata"].get("generation"))


def _runs(workload: Object, digest: str) -> bool:
    containers = workload["spec"]["template"]["spec"]["containers"]
    return any(container["image"].endswith(f"@{digest}") for container in containers)


def _belongs(run: Object, rollout: Object) -> bool:
    """An earlier attempt with the same pods has the same hash, but another number."""
    metadata = run["metadata"]
    attempt = (rollout["metadata"].get("annotations") or {}).get(_ATTEMPT)
    same_pods = (metadata.get("labels") or {}).get(HASH) == rollout["status"].get("currentPodHash")
    return same_pods and (metadata.get("annotations") or {}).get(_ATTEMPT) == attempt


def passed_gates(rollout: Object, analysis_runs: list[Object]) -> bool:
    """Whether the newest version got through its strategy's last gate; yes where the strategy has none.

    A gate that a person left out, by `promote` or `promote --full`, has no run or one that was ended before its time.
    """
    strategy = rollout["spec"].get("strategy") or {}
    steps = (strategy.get("canary") or {}).get("steps") or []
    gates = [index for index, step in enumerate(steps) if "analysis" in step]
    blue_green = strategy.get("blueGreen") or {}
    wanted = {"rollout-type": "Step", "step-index": str(gates[-1])} if gates else {}
    for kind in ("prePromotionAnalysis", "postPromotionAnalysis"):
        if kind in blue_green:
            wanted = {"rollout-type": kind[0].upper() + kind.removesuffix("Analysis")[1:]}
    return not wanted or any(
        _belongs(run, rollout)
        and wanted.items() <= run["metadata"]["labels"].items()
        and (run.get("status") or {}).get("phase") == "Successful"
        and not run["spec"].get("terminate")
        for run in analysis_runs
    )


def settled_since(rollout: Object | None) -> datetime | None:
    """Since when a Rollout has run one version in full with all pods ready; None while it does not.

    Argo Rollouts keeps these times itself, so a guard that is restarted knows them as well.
    """
    status = (rollout or {}).get("status") or {}
    whole = status.get("stableRS") and not is_moving(status) and not status.get("abort")
    if rollout is None or not whole or status.get("phase") != "Healthy":
        return None
    since = {
        each["type"]: _time(each.get("lastTransitionTime"))
        for each in status.get("conditions") or []
        if each["type"] in ("Healthy", "Completed") and each.get("status") == "True"
    }
    times = [time for time in since.values() if time]
    return max(times) if "Healthy" in since and times and is_observed(rollout) else None


def promoted_at(rollout: Object | None) -> datetime | None:
    """When a Rollout's newest version became its stable one; None while it has not."""
    status = (rollout or {}).get("status") or {}
    if status.get("abort") or is_moving(status):
        return None
    for each in status.get("conditions") or []:
        if each["type"] == "Completed" and each.get("status") == "True":
            return _time(each.get("lastTransitionTime"))
    return None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
