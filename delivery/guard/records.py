"""Keeps what became of each environment's releases, read from its Rollout alone, in a ConfigMap of the guard's own.

Who may skip the canary's steps is decided by this, so nothing that people write is believed here: a message, a file on
the branch or an annotation of a Rollout that is not the stable one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from delivery.gitops.promoted import IN_PROGRESS, PROMOTED, PromotionEntry, PromotionRecord
from delivery.guard.decision import HASH, is_observed, passed_gates
from delivery.kubernetes.annotations import REVISION, STRATEGY, VERSION, noted
from delivery.kubernetes.client import RECORD, Object, Observed, is_moving

_VERSION_LABEL = "app.kubernetes.io/version"


class Cluster(Protocol):
    """What is read and written for the record; each call raises Refused when there is no answer."""

    def observe(self, environment: str) -> Observed: ...

    def kept(self, name: str, key: str) -> str: ...

    def keep(self, name: str, key: str, text: str) -> None: ...


@dataclass
class Records:
    cluster: Cluster
    now: Callable[[], datetime]
    copy: Callable[[str], PromotionRecord | None] = lambda _environment: None
    """The copy on the branch: what is known where this cluster has no record yet."""
    known: dict[str, PromotionRecord] = field(default_factory=dict)
    """By environment, as they are kept."""

    def follow(self, environment: str, rollout: Object) -> PromotionRecord:
        """The environment's record after a look at its Rollout; kept where something has changed.

        Raises Refused.
        """
        record = self.known.get(environment)
        if record is None:
            text = self.cluster.kept(RECORD, environment)
            record = PromotionRecord.parse(text) if text else None
        status = rollout.get("status") or {}
        if not is_observed(rollout) or not status.get("stableRS"):
            return record or PromotionRecord()
        if record is None:
            record = self._first(environment, rollout)
        elif record.stable is None or record.stable.pod_hash != status["stableRS"] or not is_moving(status):
            record = self._with_stable(record, environment, rollout)
        if is_moving(status):
            entry = self._entry(rollout, rollout["spec"]["template"], IN_PROGRESS, status["currentPodHash"])
            weight = ((status.get("canary") or {}).get("weights") or {}).get("canary", {}).get("weight")
            entry = replace(entry, weight=weight or None)
            record = record.with_aborted(entry) if status.get("abort") else record.with_moving(entry)
        self.write(environment, record)
        return record

    def write(self, environment: str, record: PromotionRecord) -> None:
        """Raises Refused."""
        if self.known.get(environment) != record:
            self.cluster.keep(RECORD, environment, record.text())
            self.known[environment] = record

    def _first(self, environment: str, rollout: Object) -> PromotionRecord:
        """Where nothing is known yet, what everybody has counts as having passed its gates, and nothing else does."""
        found = self._stable(environment, rollout, gates=True)
        before = self.copy(environment) or PromotionRecord()
        return before.with_promoted(found) if found else before

    def _with_stable(self, record: PromotionRecord, environment: str, rollout: Object) -> PromotionRecord:
        status = rollout["status"]
        if not is_moving(status):
            entry = self._entry(rollout, rollout["spec"]["template"], PROMOTED, status["stableRS"])
            stable = record.stable
            if stable and (stable.identity, stable.pod_hash) == (entry.identity, entry.pod_hash):
                return record
            same_pods = stable is not None and stable.pod_hash == entry.pod_hash
            gates = (
                stable.gates
                if stable and same_pods
                else passed_gates(rollout, self.cluster.observe(environment).analysis_runs)
            )
            return record.with_promoted(replace(entry, gates=gates))
        # Another one became the stable one while nobody looked: whether it passed its gates is not known any more.
        found = self._stable(environment, rollout, gates=False)
        return record.with_promoted(found) if found else record

    def _stable(self, environment: str, rollout: Object, *, gates: bool) -> PromotionEntry | None:
        """What the stable ReplicaSet runs; Argo Rollouts has copied the Rollout's annotations to it."""
        pod_hash = rollout["status"]["stableRS"]
        for each in self.cluster.observe(environment).replica_sets:
            if (each["metadata"].get("labels") or {}).get(HASH) == pod_hash:
                entry = self._entry(each, each["spec"]["template"], PROMOTED, pod_hash)
                return replace(entry, gates=gates)
        return None

    def _entry(self, of: Object, template: Object, outcome: str, pod_hash: str) -> PromotionEntry:
        image = str(template["spec"]["containers"][0]["image"])
        digest = image.partition("@")[2]
        # An older chart notes no version; the Rollout itself has a label.
        labels = of["metadata"].get("labels") or {}
        version = noted(of, VERSION) or labels.get(_VERSION_LABEL) or digest[:19]
        return PromotionEntry(
            version=version,
            revision=noted(of, REVISION),
            digest=digest,
            strategy=noted(of, STRATEGY),
            outcome=outcome,
            at=f"{self.now():%Y-%m-%dT%H:%M:%S}+00:00",
            pod_hash=pod_hash,
        )
