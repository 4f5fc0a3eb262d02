"""What is asked of a cluster's API, by its paths."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from delivery.cli.tests.test_status import serving
from delivery.errors import ClusterUnreachable
from delivery.kubernetes.application import Migration
from delivery.kubernetes.client import RECORD, Cluster
from delivery.kubernetes.objects import Object
from delivery.kubernetes.rollout import RolloutStatus
from delivery.tests.kubernetes import Server, rollout

CONFIG = "crm-config-0123456789"
ROLLOUTS = "/apis/argoproj.io/v1alpha1/namespaces/crm-dev/rollouts"
SEEN = RolloutStatus(name="sales", resource_version="41")
MAPS = "/api/v1/namespaces/crm-dev/configmaps"


def test_configuration_is_listed_with_its_age_and_deleted_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    config: Object = {"metadata": {"name": CONFIG, "creationTimestamp": "2026-11-24T03:00:00Z"}}
    server = Server(
        {MAPS: {"kind": "ConfigMapList", "items": [config]}, f"{MAPS}/{CONFIG}": {"kind": "Status"}}
    )
    with serving(server, tmp_path / "kubeconfig"):
        cluster = Cluster.from_kubeconfig()
        assert cluster.config_maps("dev") == {CONFIG: datetime(2026, 11, 24, 3, tzinfo=UTC)}
        cluster.delete_config_map("dev", CONFIG)
        cluster.delete_config_map("dev", "crm-config-gone")
    assert server.deleted == [f"{MAPS}/{CONFIG}", f"{MAPS}/crm-config-gone"]


def test_workloads_are_all_that_may_start_pods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    apps, batch = "/apis/apps/v1/namespaces/crm-dev", "/apis/batch/v1/namespaces/crm-dev"
    server = Server(
        {
            ROLLOUTS: {"items": [rollout()]},
            f"{apps}/replicasets": {"items": [{"kind": "ReplicaSet"}]},
            f"{apps}/deployments": {"items": [{"kind": "Deployment"}]},
            f"{batch}/jobs": {"items": [{"kind": "Job"}]},
        }
    )
    with serving(server, tmp_path / "kubeconfig"):
        found = Cluster.from_kubeconfig().workloads("dev")
    assert [each.get("kind") for each in found[1:]] == ["ReplicaSet", "Deployment", "Job"]
    assert found[0] == rollout()


def test_what_the_chart_names_is_found_by_its_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    jobs, pods = "/apis/batch/v1/namespaces/crm-dev/jobs", "/api/v1/namespaces/crm-dev/pods"
    old, new = ({"metadata": {"uid": at, "creationTimestamp": at}} for at in ("2026-01", "2026-02"))
    rollouts = [{"metadata": {"name": name}} for name in ("sales", "crm")]
    server = Server(
        {
            ROLLOUTS: {"items": rollouts[:1]},
            jobs: {"items": [new, old]},
            MAPS: {"items": []},
            pods: {"items": []},
        }
    )
    with serving(server, tmp_path / "kubeconfig"):
        cluster = Cluster.from_kubeconfig()
        assert cluster.rollout("dev") == RolloutStatus(name="sales")
        assert cluster.migration("dev") == Migration(uid="2026-02")
        assert not cluster.config_maps("dev")
        assert not cluster.missing_migration_image("dev")
        assert {path: labels.rpartition("=")[2] for path, labels in server.selected.items()} == {
            ROLLOUTS: "web",
            jobs: "migration",
            MAPS: "config",
            pods: "migration",
        }
        assert all(labels.startswith("app.kubernetes.io/name=crm,") for labels in server.selected.values())
        server.objects[ROLLOUTS] = {"items": rollouts}
        with pytest.raises(
            ClusterUnreachable, match="2 Rollouts of the CRM, crm and sales: delete the one that"
        ):
            cluster.rollout("dev")
        server.objects[ROLLOUTS] = {"items": []}
        assert cluster.rollout("dev") is None


@pytest.mark.parametrize(
    ("write", "status"),
    [
        (lambda cluster: cluster.abort("dev", SEEN), {"abort": True}),
        (lambda cluster: cluster.promote_in_full("dev", SEEN), {"promoteFull": True}),
    ],
    ids=["abort", "promote in full"],
)
@pytest.mark.parametrize("failing", [None, 409], ids=["as seen", "changed since"])
def test_a_rollout_is_written_to_as_it_was_seen(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failing: int | None,
    write: Callable[[Cluster], None],
    status: Object,
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    path = f"{ROLLOUTS}/sales/status"
    server = Server({path: rollout()}, failing=failing)
    with serving(server, tmp_path / "kubeconfig"):
        write(Cluster.from_kubeconfig())
    assert server.patched == [(path, {"metadata": {"resourceVersion": "41"}, "status": status})]


def test_the_guard_keeps_its_record_in_a_config_map_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    path = f"/api/v1/namespaces/argocd/configmaps/{RECORD}"
    server = Server({path: {"kind": "ConfigMap", "metadata": {"name": RECORD}, "data": {"dev": "known"}}})
    with serving(server, tmp_path / "kubeconfig"):
        cluster = Cluster.from_kubeconfig()
        assert (cluster.guard_data(RECORD, "dev"), cluster.guard_data(RECORD, "production")) == ("known", "")
        cluster.write_guard_data(RECORD, "dev", "newer")
        assert server.patched == [(path, {"data": {"dev": "newer"}})]
        server.objects.clear()
        for ask in (
            lambda: cluster.guard_data(RECORD, "dev"),
            lambda: cluster.write_guard_data(RECORD, "dev", "newest"),
        ):
            with pytest.raises(ClusterUnreachable, match=f"There is no ConfigMap {RECORD} in argocd"):
                ask()


def test_an_aborted_version_loses_its_pods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    path = "/apis/apps/v1/namespaces/crm-dev/replicasets/crm-new/scale"
    server = Server({path: {"kind": "Scale"}})
    with serving(server, tmp_path / "kubeconfig"):
        Cluster.from_kubeconfig().scale_to_zero("dev", "crm-new")
    assert server.patched == [(path, {"spec": {"replicas": 0}})]
