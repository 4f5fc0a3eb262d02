"""A cluster that the test moves: objects as the API has them, read as the guard reads them."""

from __future__ import annotations

from datetime import datetime

from delivery.errors import ClusterUnreachable
from delivery.guard.tests.states import BAD, GOOD, replica_set, run
from delivery.kubernetes.analysis import AnalysisRun
from delivery.kubernetes.application import Application, Migration
from delivery.kubernetes.client import Cluster, EnvironmentObjects
from delivery.kubernetes.objects import Object
from delivery.kubernetes.rollout import ReplicaSet, RolloutStatus


class FakeCluster(Cluster):
    """What the test has set is production's; other environments have a Rollout at most."""

    def __init__(self) -> None:
        self.state: Object | None = None
        self.others: dict[str, Object] = {}
        self.job: Object | None = None
        self.argocd: Object | None = None
        self.missing_image = ""
        self.away = False
        self.created: dict[str, datetime] = {}
        self.users: list[Object] = []
        self.data: dict[tuple[str, str], str] = {}
        self.written: list[tuple[str, str]] = []
        self.observed = 0
        self.promoted: list[tuple[str, str]] = []
        self.scaled: list[tuple[str, str]] = []
        self.aborted: list[tuple[str, str]] = []
        self.terminated: list[str] = []
        self.deleted: list[tuple[str, str]] = []

    def rollout(self, environment: str) -> RolloutStatus | None:
        if self.away:
            raise ClusterUnreachable("The cluster cannot be reached: refused")
        found = self.state if environment == "production" else self.others.get(environment)
        return RolloutStatus.parse(found) if found else None

    def migration(self, environment: str) -> Migration | None:
        return Migration.parse(self.job) if self.job and environment == "production" else None

    def application(self, environment: str) -> Application | None:
        return Application.parse(self.argocd) if self.argocd and environment == "production" else None

    def observe(self, environment: str) -> EnvironmentObjects:
        self.observed += 1
        return EnvironmentObjects(
            rollout=self.rollout(environment),
            replica_sets=tuple(map(ReplicaSet.parse, (replica_set(GOOD, "old"), replica_set(BAD, "new")))),
            analysis_runs=(AnalysisRun.parse(run("error-rate", "Failed", value="[12.3]")),),
            application=self.application(environment),
        )

    def missing_migration_image(self, environment: str) -> str:
        return self.missing_image if environment == "production" else ""

    def promote_in_full(self, environment: str, rollout: RolloutStatus) -> None:
        self.promoted.append((environment, rollout.resource_version))

    def abort(self, environment: str, rollout: RolloutStatus) -> None:
        self.aborted.append((environment, rollout.resource_version))

    def scale_to_zero(self, environment: str, replica_set: str) -> None:
        self.scaled.append((environment, replica_set))

    def terminate_sync(self, environment: str) -> None:
        self.terminated.append(environment)

    def guard_data(self, name: str, key: str) -> str:
        return self.data.get((name, key), "")

    def write_guard_data(self, name: str, key: str, text: str) -> None:
        self.data[name, key] = text
        self.written.append((name, key))

    def config_maps(self, environment: str) -> dict[str, datetime]:
        return self.created if environment == "production" else {}

    def delete_config_map(self, environment: str, name: str) -> None:
        self.deleted.append((environment, name))

    def workloads(self, environment: str) -> list[Object]:
        return self.users if environment == "production" else []
