"""Everybody who is told of alerts: monitoring/receiver.py as a pod of the cluster, and Alertmanager told of it."""

from __future__ import annotations

import json
import secrets
from typing import Any

import yaml

from delivery.drills import local
from delivery.kube import Object
from monitoring import alertmanager

NAME = "receiver"
NAMESPACE = "monitoring"
PEOPLE = tuple(f"level-{number}@crm.localhost" for number in range(1, 5))
HURRY = 60.0
"""Minutes of waiting are seconds here: of Alertmanager's ladder, and of the alerts where a drill says so."""
_HOST = f"{NAME}.{NAMESPACE}.svc"
_CODE = local.CHECKOUT / "monitoring" / "receiver.py"
_ADDRESSES = alertmanager.Addresses(
    smtp=f"{_HOST}:25",
    smtp_user="",
    sender="alerts@crm.localhost",
    people=PEOPLE,
    status_page=f"http://{_HOST}/status-page",
    dead_mans_switch=f"http://{_HOST}/heartbeat",
)
# The operator takes the Secret of this name for its Alertmanager `alertmanager`.
_SECRET = "alertmanager-alertmanager"  # noqa: S105


def manifests(image: str) -> list[Object]:
    """The pod, its Service, and Alertmanager's configuration; `image` has Python."""
    labels = {"app.kubernetes.io/name": NAME}
    container = {
        "name": NAME,
        "image": image,
        "command": ["python", "/etc/receiver/receiver.py"],
        "ports": [{"name": "http", "containerPort": 8080}, {"name": "smtp", "containerPort": 1025}],
        "readinessProbe": {"tcpSocket": {"port": "smtp"}, "periodSeconds": 1},
        "volumeMounts": [{"name": "code", "mountPath": "/etc/receiver"}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
    }
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "code", "configMap": {"name": NAME}}],
    }
    return [
        _object("v1", "ConfigMap", NAME, data={"receiver.py": _CODE.read_text(encoding="utf-8")}),
        _object(
            "apps/v1",
            "Deployment",
            NAME,
            spec={
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        ),
        _object(
            "v1",
            "Service",
            NAME,
            spec={
                "selector": labels,
                "ports": [
                    {"name": "http", "port": 80, "targetPort": "http"},
                    {"name": "smtp", "port": 25, "targetPort": "smtp"},
                ],
            },
        ),
        _object(
            "v1",
            "Secret",
            _SECRET,
            stringData={
                "alertmanager.yaml": yaml.safe_dump(alertmanager.configuration(_ADDRESSES, hurry=HURRY)),
                "slack-url": f"http://{_HOST}/slack",
                "status-page-token": secrets.token_urlsafe(24),
                "dead-mans-switch-token": secrets.token_urlsafe(24),
            },
        ),
    ]


def messages(after: int = 0) -> list[dict[str, Any]]:
    """What has come since the first `after` messages, as monitoring/receiver.py says it. Raises NotReady."""
    proxy = f"/api/v1/namespaces/{NAMESPACE}/services/{NAME}:http/proxy/?after={after}"
    return list(json.loads(local.output(["kubectl", "get", "--raw", proxy])))


def _object(version: str, kind: str, name: str, **content: Any) -> Object:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        **content,
    }
