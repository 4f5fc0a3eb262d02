"""The same CRM as others would ship it: by a plain Deployment, and by the analysis of Argo Rollouts' documentation.

Both are made of what the chart renders, so that pods, probes, router and load are ours; only what decides about the
release is theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from delivery.drills import local
from delivery.drills.images import Image

NAMESPACE = "crm-compare"
NAME = "compare"
_VALUES = {
    "environment": "dev",
    "domain": f"{NAME}.localhost",
    "autoscaling": {"enabled": False},
    "replicas": 4,  # so that 25 % is a pod
    "strategy": {
        "name": "rolling-update",
        "weights": [100],
        "questions": [],
        "hold": "0s",
        "approval": False,
    },
    "networkPolicy": {"enabled": False},
}
# argo-rollouts.readthedocs.io, "Analysis & Progressive Delivery", background analysis: the steps, the interval, the
# limits and the share are its own; the query asks for our metric instead of Istio's.
_STEPS: list[dict[str, Any]] = [
    step for weight in (20, 40, 60, 80) for step in ({"setWeight": weight}, {"pause": {"duration": "10m"}})
]
_BAD = 'status=~"5.."'

Object = dict[str, Any]


def rendered(image: Image) -> list[Object]:
    """What the chart gives for an image, without anything that decides about it."""
    values = _VALUES | {
        "image": {"repository": local.REPOSITORY, "digest": image.digest, "version": image.version}
    }
    text = local.output(
        [
            *("helm", "template", "crm", "charts/crm", "--namespace", NAMESPACE),
            *("--api-versions", "monitoring.coreos.com/v1"),
            *("--values", "cluster/values.yaml", "--values", "-"),
        ],
        stdin=yaml.safe_dump(values),
    )
    return [each for each in yaml.safe_load_all(text) if each]


def as_deployment(objects: Iterable[Object]) -> list[Object]:
    """With Kubernetes' own rolling update in the Rollout's place; users get whatever pod is ready."""
    return [_deployment(each) if each["kind"] == "Rollout" else each for each in objects]


def as_documented(objects: Iterable[Object]) -> list[Object]:
    """With the steps and the background analysis that Argo Rollouts' documentation shows."""
    result = [_documented(each) if each["kind"] == "Rollout" else each for each in objects]
    return [_success_rate(), *result]


def _deployment(rollout: Object) -> Object:
    spec = rollout["spec"]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "crm", "labels": rollout["metadata"]["labels"]},
        "spec": {key: spec[key] for key in ("replicas", "selector", "template", "progressDeadlineSeconds")}
        | {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}}},
    }


def _documented(rollout: Object) -> Object:
    canary = rollout["spec"]["strategy"]["canary"]
    canary["steps"] = _STEPS
    canary["analysis"] = {
        "templates": [{"templateName": "success-rate"}],
        "startingStep": 2,
        "args": [{"name": "canary-hash", "valueFrom": {"podTemplateHashValue": "Latest"}}],
    }
    return rollout


def _success_rate() -> Object:
    def rate(condition: str = "") -> str:
        labels = f'namespace="{NAMESPACE}", rollouts_pod_template_hash="{{{{args.canary-hash}}}}"'
        return f"sum(irate(django_requests_total{{{labels}{condition}}}[5m]))"

    good = rate(f", {_BAD.replace('=~', '!~')}")
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AnalysisTemplate",
        "metadata": {"name": "success-rate"},
        "spec": {
            "args": [{"name": "canary-hash"}],
            "metrics": [
                {
                    "name": "success-rate",
                    "interval": "5m",
                    "successCondition": "result[0] >= 0.95",
                    "failureLimit": 3,
                    "provider": {
                        "prometheus": {
                            "address": "http://prometheus-operated.monitoring.svc:9090",
                            "query": f"{good} / {rate()}",
                        }
                    },
                }
            ],
        },
    }
