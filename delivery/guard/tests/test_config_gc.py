"""Old configuration goes once nobody names it, and not while anything is on its way."""

from __future__ import annotations

from datetime import timedelta

import pytest

from delivery.guard.config_gc import collect_garbage
from delivery.guard.tests.cluster import FakeCluster
from delivery.guard.tests.states import GOOD, NOW, rollout
from delivery.kubernetes.objects import Object

LONG_AGO = NOW - timedelta(days=1)
USED, OLD, YOUNG, JOBS = (f"crm-config-{digit * 10}" for digit in "abcd")


def naming(name: str) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"envFrom": [{"configMapRef": {"name": name}}]}]}}}}


HEALTHY = {"type": "Healthy", "status": "True", "lastTransitionTime": "2026-01-02T11:00:00Z"}


@pytest.fixture
def cluster() -> FakeCluster:
    """Production at rest, with four configurations and another ConfigMap."""
    made = FakeCluster()
    made.state = rollout(GOOD, phase="Healthy", stableRS="new", conditions=[HEALTHY])
    made.argocd = {"status": {"sync": {"status": "Synced"}}}
    made.created = dict.fromkeys((USED, OLD, JOBS, "kube-root-ca.crt"), LONG_AGO) | {YOUNG: NOW}
    made.users = [naming(USED), naming(JOBS), {"metadata": {}}]
    return made


def test_what_nobody_names_and_is_old_goes_and_nothing_else(cluster: FakeCluster) -> None:
    deleted = collect_garbage(cluster, "production", NOW)
    assert deleted == f"deleted {OLD}: no workload names it any more"
    assert cluster.deleted == [("production", OLD)]
    assert collect_garbage(cluster, "production", NOW - timedelta(hours=24)) == ""


@pytest.mark.parametrize(
    "application",
    [
        None,
        {"status": {"sync": {"status": "OutOfSync"}}},
        {"status": {"sync": {"status": "Synced"}, "operationState": {"phase": "Running"}}},
    ],
    ids=["unknown", "out of sync", "in a sync"],
)
def test_nothing_goes_while_argo_cd_is_at_work(cluster: FakeCluster, application: Object | None) -> None:
    cluster.argocd = application
    assert collect_garbage(cluster, "production", NOW) == ""
    assert cluster.deleted == []


def test_nothing_goes_in_the_middle_of_a_release(cluster: FakeCluster) -> None:
    cluster.state = rollout(GOOD, phase="Healthy", conditions=[HEALTHY])
    assert collect_garbage(cluster, "production", NOW) == ""
    assert cluster.deleted == []
