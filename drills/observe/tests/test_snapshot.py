from __future__ import annotations

from typing import Any

import pytest

from delivery.kubernetes.rollout import RolloutStatus
from drills.observe.snapshot import WEIGHTED_OBJECTS, Objects, Pod, snapshot

STEPS = [{"setWeight": 5}, {"pause": {"duration": "30s"}}, {"pause": {}}, {"setWeight": 100}]


def rollout_object(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "crm", "generation": 7},
        "spec": {
            "strategy": {"canary": {"steps": STEPS}},
            "template": {"spec": {"containers": [{"image": "localhost:30500/crm@sha256:1"}]}},
        },
        "status": {
            "phase": "Progressing",
            "observedGeneration": "7",
            "currentPodHash": "b",
            "stableRS": "a",
            **status,
        },
    }


def pod_object(
    name: str, *, ready: str = "True", labels: dict[str, str] | None = None, **meta: str
) -> dict[str, Any]:
    found = (
        {"rollouts-pod-template-hash": "b", "app.kubernetes.io/version": "1.1"} if labels is None else labels
    )
    return {
        "metadata": {"name": name, "labels": found, **meta},
        "status": {
            "conditions": [{"type": "Ready", "status": ready}],
            "containerStatuses": [{"restartCount": 2}],
        },
    }


def test_nothing_is_seen_where_nothing_is() -> None:
    seen = snapshot(1.0, Objects())

    assert (seen.rollout, seen.weights, seen.canary_weight, seen.application) == (None, None, None, None)


def test_a_rollout_is_settled_when_its_newest_version_is_stable() -> None:
    moving = RolloutStatus.parse(rollout_object())
    there = RolloutStatus.parse(rollout_object(stableRS="b"))
    stale = RolloutStatus.parse(rollout_object(stableRS="b", observedGeneration="6"))

    assert (moving.settled, there.settled, stale.settled) == (False, True, False)
    assert (moving.image, moving.steps) == ("localhost:30500/crm@sha256:1", 4)


@pytest.mark.parametrize(("step", "waits"), [(0, False), (1, False), (2, True), (4, False), (None, False)])
def test_only_a_pause_without_an_end_waits_for_a_person(step: int | None, waits: bool) -> None:
    paused = rollout_object(currentStepIndex=step, pauseConditions=[{"reason": "CanaryPauseStep"}])

    assert RolloutStatus.parse(paused).waits_for_person is waits
    assert not RolloutStatus.parse(rollout_object(currentStepIndex=step)).waits_for_person


SERVICES = [{"name": "crm-stable", "weight": 95}, {"name": "crm-canary", "weight": 5}]
DESTINATIONS = [
    {"destination": {"host": "crm-stable"}, "weight": 95},
    {"destination": {"host": "crm-canary"}, "weight": 5},
]
ANNOTATION = "nginx.ingress.kubernetes.io/canary-weight"


def routed_by(router: str) -> RolloutStatus:
    rollout = rollout_object(canary={"weights": {"canary": {"weight": 50}}})
    rollout["spec"]["strategy"] = {"canary": {"steps": STEPS, "trafficRouting": {router: {}}}}
    return RolloutStatus.parse(rollout)


@pytest.mark.parametrize(
    ("router", "weighted"),
    [
        ("traefik", {"metadata": {}, "spec": {"weighted": {"services": SERVICES}}}),
        ("nginx", {"metadata": {"annotations": {ANNOTATION: "5"}}, "spec": {"rules": []}}),
        ("istio", {"metadata": {}, "spec": {"http": [{"name": "primary", "route": DESTINATIONS}]}}),
    ],
)
def test_weights_are_those_of_the_router(router: str, weighted: dict[str, Any]) -> None:
    seen = snapshot(1.0, Objects(rollout=routed_by(router), weighted=weighted))

    assert seen.weights == {"stable": 95, "canary": 5}
    assert seen.canary_weight == 5


@pytest.mark.parametrize("router", WEIGHTED_OBJECTS)
def test_a_router_without_weights_yet_gives_the_canary_nothing(router: str) -> None:
    assert snapshot(1.0, Objects(rollout=routed_by(router))).weights == {
        "stable": 100,
        "canary": 0,
    }


def test_another_routers_weights_are_those_that_argo_rollouts_wrote() -> None:
    rollout = rollout_object(canary={"weights": {"canary": {"weight": 20}, "stable": {"weight": 80}}})

    assert snapshot(1.0, Objects(rollout=RolloutStatus.parse(rollout))).canary_weight == 20
    assert snapshot(1.0, Objects(rollout=RolloutStatus.parse(rollout_object()))).canary_weight == 0


@pytest.mark.parametrize(("active", "stable", "share"), [("a", "a", 0), ("b", "a", 100), ("b", "b", 0)])
def test_blue_green_gives_everything_to_the_active_version(active: str, stable: str, share: int) -> None:
    rollout = rollout_object(stableRS=stable, blueGreen={"activeSelector": active})
    rollout["spec"]["strategy"] = {"blueGreen": {}}

    assert snapshot(1.0, Objects(rollout=RolloutStatus.parse(rollout))).canary_weight == share


def test_pods_that_go_and_pods_of_others_do_not_count() -> None:
    pods = [
        pod_object("serving"),
        pod_object("starting", ready="False"),
        pod_object("going", deletionTimestamp="2027-01-15T08:00:00Z"),
        pod_object("worker", labels={}),
    ]

    seen = snapshot(1.0, Objects(pods=pods))

    assert seen.pods == (Pod("serving", "b", True, 2), Pod("starting", "b", False, 2))
    assert [pod.name for pod in seen.ready_pods("b")] == ["serving"]
    assert seen.ready_pods("a") == []


def test_only_the_time_may_differ_between_equal_snapshots() -> None:
    first, second = (
        snapshot(at, Objects(rollout=RolloutStatus.parse(rollout_object()))) for at in (1.0, 2.0)
    )
    other = snapshot(2.0, Objects(rollout=RolloutStatus.parse(rollout_object(phase="Healthy"))))

    assert first.same_as(second)
    assert not first.same_as(other)
