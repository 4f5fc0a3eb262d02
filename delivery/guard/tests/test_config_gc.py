"""Old configuration goes once nobody names it, and not while anything is on its way."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from delivery.guard.config_gc import sweep
from delivery.guard.tests.sights import GOOD, NOW, rollout
from delivery.kubernetes.client import Object, Observed

LONG_AGO = NOW - timedelta(days=1)
USED, OLD, YOUNG, JOBS = (f"crm-config-{digit * 10}" for digit in "abcd")


def naming(name: str) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"envFrom": [{"configMapRef": {"name": name}}]}]}}}}


class Environment:
    """An environment at rest that has four configurations and another ConfigMap."""

    def __init__(self) -> None:
        healthy = {"type": "Healthy", "status": "True", "lastTransitionTime": "2026-01-02T11:00:00Z"}
        self.rollout = rollout(GOOD, phase="Healthy", stableRS="new", conditions=[healthy])
        self.application: Object | None = {"status": {"sync": {"status": "Synced"}}}
        self.deleted: list[str] = []

    def observe(self, environment: str) -> Observed:
        assert environment == "production"
        return Observed(rollout=self.rollout, application=self.application)

    def configurations(self, environment: str) -> dict[str, Any]:
        assert environment == "production"
        return dict.fromkeys((USED, OLD, JOBS, "kube-root-ca.crt"), LONG_AGO) | {YOUNG: NOW}

    def workloads(self, environment: str) -> list[Object]:
        assert environment == "production"
        return [naming(USED), naming(JOBS), {"metadata": {}}]

    def delete_configuration(self, environment: str, name: str) -> None:
        assert environment == "production"
        self.deleted.append(name)


def test_what_nobody_names_and_is_old_goes_and_nothing_else() -> None:
    environment = Environment()
    assert sweep(environment, "production", NOW) == f"deleted {OLD}: nobody uses it any more"
    assert environment.deleted == [OLD]
    assert sweep(environment, "production", NOW - timedelta(hours=24)) == ""


@pytest.mark.parametrize(
    "application",
    [
        None,
        {"status": {"sync": {"status": "OutOfSync"}}},
        {"status": {"sync": {"status": "Synced"}, "operationState": {"phase": "Running"}}},
    ],
    ids=["unknown", "out of sync", "in a sync"],
)
def test_nothing_goes_while_argo_cd_is_at_work(application: Object | None) -> None:
    environment = Environment()
    environment.application = application
    assert sweep(environment, "production", NOW) == ""
    assert environment.deleted == []


def test_nothing_goes_in_the_middle_of_a_release() -> None:
    environment = Environment()
    environment.rollout["status"]["stableRS"] = "old"
    assert sweep(environment, "production", NOW) == ""
    assert environment.deleted == []
