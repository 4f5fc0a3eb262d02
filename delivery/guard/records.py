"""Keeps what became of each environment's releases, read from its Rollout alone, in a ConfigMap of the guard's own.

Who may skip the canary's steps is decided by this, so nothing that users of Git write is believed here: no message, no
file on the branch, no annotation of a Rollout that is not the stable one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from delivery.gitops.promoted import IN_PROGRESS, PROMOTED, PromotionEntry, PromotionRecord
from delivery.kubernetes.client import RECORD, Cluster
from delivery.kubernetes.rollout import RolloutStatus, Workload


@dataclass
class Records:
    cluster: Cluster
    now: Callable[[], datetime]
    copy: Callable[[str], PromotionRecord | None] = lambda _environment: None
    """The copy on the branch: what is known where this cluster has no record yet."""
    known: dict[str, PromotionRecord] = field(default_factory=dict)
    """By environment, as they are kept."""

    def follow(self, environment: str, rollout: RolloutStatus) -> PromotionRecord:
        """The environment's record after an observation of its Rollout; written where something has changed.

        Raises Refused.
        """
        record = self.known.get(environment)
        if record is None:
            text = self.cluster.guard_data(RECORD, environment)
            record = PromotionRecord.parse(text) if text else None
        if not rollout.observed or not rollout.stable_hash:
            return record or PromotionRecord()
        if record is None:
            # What is stable counts as having passed its gates, and nothing else does.
            found = self._stable(environment, rollout, gates=True)
            before = self.copy(environment) or PromotionRecord()
            record = before.with_promoted(found) if found else before
        elif record.stable is None or record.stable.pod_hash != rollout.stable_hash or not rollout.is_moving:
            record = self._with_stable(record, environment, rollout)
        if rollout.is_moving:
            entry = self._entry(rollout, IN_PROGRESS, rollout.newest_hash)
            entry = replace(entry, weight=rollout.canary_weight or None)
            record = record.with_aborted(entry) if rollout.aborted else record.with_moving(entry)
        self.write(environment, record)
        return record

    def write(self, environment: str, record: PromotionRecord) -> None:
        """Raises Refused."""
        if self.known.get(environment) != record:
            self.cluster.write_guard_data(RECORD, environment, record.text())
            self.known[environment] = record

    def _with_stable(
        self, record: PromotionRecord, environment: str, rollout: RolloutStatus
    ) -> PromotionRecord:
        if rollout.is_moving:
            # Another one became the stable one unobserved: whether it passed its gates is not known any more.
            found = self._stable(environment, rollout, gates=False)
            return record.with_promoted(found) if found else record
        entry, stable = self._entry(rollout, PROMOTED, rollout.stable_hash), record.stable
        if stable and (stable.identity, stable.pod_hash) == (entry.identity, entry.pod_hash):
            return record
        if stable and stable.pod_hash == entry.pod_hash:
            gates = stable.gates
        else:
            gates = rollout.has_passed_gates(self.cluster.observe(environment).analysis_runs)
        return record.with_promoted(replace(entry, gates=gates))

    def _stable(self, environment: str, rollout: RolloutStatus, *, gates: bool) -> PromotionEntry | None:
        """What the stable ReplicaSet runs; Argo Rollouts has copied the Rollout's annotations to it."""
        found = self.cluster.observe(environment).replica_set(rollout.stable_hash)
        return replace(self._entry(found, PROMOTED, found.pod_hash), gates=gates) if found else None

    def _entry(self, of: Workload, outcome: str, pod_hash: str) -> PromotionEntry:
        version, at = of.version or of.digest[:19], f"{self.now():%Y-%m-%dT%H:%M:%S}+00:00"
        return PromotionEntry(version, of.revision, of.digest, of.strategy, outcome, at, pod_hash=pod_hash)
