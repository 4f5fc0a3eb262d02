"""What a drill does to a cluster, and undoes."""

from __future__ import annotations

import pytest

from drills.errors import DrillFailed
from drills.fixtures import local_cluster
from drills.load.results import Request
from drills.steps.release import ReleaseAttempt
from drills.tests.cluster import ENOUGH, SHORT, Load, MadeUp, Sends, users_send


def test_pods_are_deleted(release: ReleaseAttempt, cluster: MadeUp) -> None:
    release.delete_canary_pod()
    release.delete_stable_pod()
    release.delete_prometheus_pod()

    assert cluster.deleted == [
        "crm-production: crm-1.1-1",
        "crm-production: crm-1.0-1",
        "monitoring: monitoring/app.kubernetes.io/name=prometheus",
    ]


def test_an_extra_load_is_part_of_the_record_and_ends(release: ReleaseAttempt, cluster: MadeUp) -> None:
    more = Sends(Load([Request(2.0, 0.1, 503, "1.0")]))
    users_send(release, [Request(1.0, 0.1, 200, "1.0")])

    with release.extra_load(more):
        cluster.replicas = 1
        release.wait_for_stable_replicas(1, within=ENOUGH)

    with pytest.raises(DrillFailed, match="1 of 2 failed"):
        release.assert_no_failed_requests(of_at_least=2, after=0)


def test_what_a_drill_stops_is_started_again_whatever_happens(
    release: ReleaseAttempt, delivered: list[str]
) -> None:
    with pytest.raises(DrillFailed), release.prometheus_down(), release.argocd_down(), release.git_down():
        release.environment.fail("this", "that")

    said = [words for words in delivered if "replicas" in words]
    assert ["0" in words for words in said] == [True, True, True, False, False, False]
    release.delete_rollouts_pod()
    release.delete_guard_pod()
    assert release.environment.kubernetes.deleted == [  # type: ignore[attr-defined]
        "argo-rollouts: argo-rollouts/app.kubernetes.io/name=argo-rollouts",
        "argocd: argocd/app.kubernetes.io/name=delivery-guard",
    ]


def test_argo_cd_looks_again_when_it_is_back_and_can(release: ReleaseAttempt, delivered: list[str]) -> None:
    with release.argocd_down():
        pass

    *_, back, rendering, forgotten, asked = delivered
    assert back.endswith("--replicas=1")
    assert rendering.startswith("kubectl rollout status deployment/argocd-repo-server ")
    annotate = "kubectl annotate applicationset crm-production --namespace=argocd "
    refresh = "argocd.argoproj.io/application-set-refresh"
    assert (forgotten, asked) == (f"{annotate}{refresh}-", f"{annotate}{refresh}=true")


def test_pods_are_replaced_when_none_of_the_old_ones_is_left(
    release: ReleaseAttempt, cluster: MadeUp
) -> None:
    cluster.ends()
    with pytest.raises(DrillFailed, match="1 new web pods instead of the old ones"):
        release.restart_pods(within=SHORT)

    def restart(command: list[str], **_: object) -> str:
        assert "restart" in command
        cluster.generation += 1
        return ""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_cluster, "output", restart)
        release.restart_pods(within=ENOUGH)


def test_evictions_are_asked_for_until_the_budget_allows_them(
    release: ReleaseAttempt, cluster: MadeUp
) -> None:
    cluster.budget = [True, False, True]

    release.evict_pods(within=ENOUGH)

    assert len(cluster.evicted) == 2
    cluster.budget, cluster.replaces = [True, False, True], False
    with pytest.raises(DrillFailed, match="the new ones to be ready"):
        release.evict_pods(within=SHORT)
    cluster.budget, cluster.replaces = [True, True], True
    with pytest.raises(DrillFailed, match="the disruption budget to refuse two pods at once"):
        release.evict_pods(within=ENOUGH)
