"""What a real cluster's Argo CD would send, by its own command: which trigger fires, and what the message says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from drills.fixtures import local_cluster
from drills.observe.watcher import Kubernetes
from tests.gitops.rendering import PLATFORM

pytestmark = [pytest.mark.e2e]
VALUES = yaml.safe_load((PLATFORM / "argo-cd-values.yaml").read_text())["notifications"]


@pytest.fixture(scope="module")
def application(kubernetes: Kubernetes) -> dict[str, Any]:
    """Production's, as the drills have left it: synced and healthy."""
    found = kubernetes.application("production")
    assert found
    return found


@pytest.fixture
def argocd(tmp_path: Path) -> Any:
    """`argocd admin notifications …` with the values' configuration, about an Application in a file."""
    data = VALUES["templates"] | VALUES["triggers"]
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "argocd-notifications-cm"},
        "data": data,
    }
    (tmp_path / "configuration.yaml").write_text(yaml.safe_dump(manifest))

    def run(*words: str, about: dict[str, Any]) -> str:
        (tmp_path / "application.yaml").write_text(json.dumps(about))
        command = ["argocd", "admin", "notifications", *words, str(tmp_path / "application.yaml")]
        files = [f"--config-map={tmp_path / 'configuration.yaml'}", "--secret=:empty"]
        return local_cluster.output([*command, *files, "--namespace=argocd"])

    return run


def broken(application: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {**application, "status": {**application["status"], **status}}


NOT_RENDERED = [{"type": "ComparisonError", "message": "the chart refuses routing.provider"}]
NOT_APPLIED = {"phase": "Failed", "message": "the namespace is full"}
# Argo CD tries for ten minutes; whoever pushed hears of it after the third time.
TRIED_AGAIN = {"phase": "Running", "message": "the namespace is full. Retrying attempt #3", "retryCount": 3}
DEGRADED = [{"kind": "Rollout", "name": "crm", "health": {"status": "Degraded", "message": "RolloutAborted"}}]


@pytest.mark.parametrize(
    ("trigger", "status", "fires"),
    [
        ("crm-not-synced", {}, False),
        ("crm-degraded", {}, False),
        ("crm-not-synced", {"conditions": NOT_RENDERED}, True),
        ("crm-not-synced", {"operationState": NOT_APPLIED}, True),
        ("crm-not-synced", {"operationState": TRIED_AGAIN}, True),
        ("crm-not-synced", {"operationState": TRIED_AGAIN | {"retryCount": 2}}, False),
        ("crm-not-synced", {"operationState": TRIED_AGAIN | {"phase": "Succeeded"}}, False),
        ("crm-degraded", {"health": {"status": "Degraded"}}, True),
    ],
)
def test_a_trigger_fires_when_something_is_wrong(
    argocd: Any, application: dict[str, Any], trigger: str, status: dict[str, Any], fires: bool
) -> None:
    printed = argocd("trigger", "run", trigger, about=broken(application, **status))
    assert ("true" in printed, "false" in printed) == (fires, not fires), printed


@pytest.mark.parametrize(
    ("template", "status", "words"),
    [
        (
            "crm-not-synced",
            {"conditions": NOT_RENDERED},
            ["crm-production is not what Git says", "the chart refuses"],
        ),
        ("crm-not-synced", {"operationState": NOT_APPLIED}, ["the namespace is full", "ArgoCDOutOfSync.md"]),
        (
            "crm-degraded",
            {"resources": DEGRADED},
            ["crm-production is degraded: RolloutAborted", "ArgoCDDegraded.md"],
        ),
    ],
)
def test_a_message_says_what_where_and_what_to_do(
    argocd: Any, application: dict[str, Any], template: str, status: dict[str, Any], words: list[str]
) -> None:
    printed = argocd("template", "notify", template, about=broken(application, **status))
    for word in [*words, application["spec"]["source"]["targetRevision"]]:
        assert word in printed
    assert "<no value>" not in printed
