"""Everybody who is told: monitoring/receiver.py as a pod; Alertmanager and the guard know its address."""

from __future__ import annotations

import json
import re
import secrets
from collections import Counter
from typing import Any

import yaml

from delivery.drills import local
from delivery.kube import ARGOCD_NAMESPACE, Object
from monitoring import alertmanager

NAME = "receiver"
NAMESPACE = "monitoring"
PEOPLE = tuple(f"level-{number}@crm.localhost" for number in range(1, 5))
PEOPLE_SECRET = "delivery-guard-people"  # noqa: S105
DELIVERIES = "deliveries"
"""The path that the guard's Slack has here: alerts come to another one."""
HURRY = 60.0
"""Minutes of waiting are seconds here: of Alertmanager's ladder, and of the alerts where a drill says so."""
SMTP = {"host": f"{NAME}.{NAMESPACE}.svc", "port": 25}
"""As the chart's `email`, for a CRM whose e-mails are to come here."""
_HOST = str(SMTP["host"])
_CODE = local.CHECKOUT / "monitoring" / "receiver.py"
_ADDRESSES = alertmanager.Addresses(
    smtp=f"{_HOST}:25",
    smtp_user="",
    sender="alerts@crm.localhost",
    people=PEOPLE,
    status_page=f"http://{_HOST}/status-page",
    dead_mans_switch=f"http://{_HOST}/heartbeat",
)
_MESSAGE_ID = re.compile(r"^Message-ID: <([^@>]+)@", re.MULTILINE)
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


def people() -> Object:
    """The Secret with whom the guard tells of deliveries."""
    files = {
        "slack-url": f"http://{_HOST}/{DELIVERIES}",
        "smtp": f"{_HOST}:25",
        "mail-from": "delivery@crm.localhost",
        "mail-to": "team@crm.localhost",
    }
    return _object("v1", "Secret", PEOPLE_SECRET, ARGOCD_NAMESPACE, stringData=files)


class Inbox:
    """What has come to the receiver, oldest first; only what is new is asked for."""

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []

    def messages(self, since: float = 0.0) -> list[dict[str, Any]]:
        """As monitoring/receiver.py says it, from that time on (seconds since 1970). Raises NotReady."""
        self._messages += _asked(len(self._messages))
        return [each for each in self._messages if each["at"] >= since]

    def mails(self, since: float) -> Counter[str]:
        """How often an e-mail of the CRM came since then, by what its Message-ID has before the @. Raises NotReady."""
        texts = [each["body"] for each in self.messages(since) if each["by"] == "email"]
        return Counter(match[1] for text in texts for match in _MESSAGE_ID.finditer(text))

    def deliveries(self, since: float) -> list[str]:
        """The subjects of what the guard has told in Slack since then. Raises NotReady."""
        told = [each["body"]["text"] for each in self.messages(since) if each["by"] == DELIVERIES]
        return [text.partition("\n")[0].strip("*") for text in told]


def _asked(after: int) -> list[dict[str, Any]]:
    proxy = f"/api/v1/namespaces/{NAMESPACE}/services/{NAME}:http/proxy/?after={after}"
    return list(json.loads(local.output(["kubectl", "get", "--raw", proxy])))


def _object(version: str, kind: str, name: str, namespace: str = NAMESPACE, **content: Any) -> Object:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        **content,
    }
