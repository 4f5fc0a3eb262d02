"""Kubernetes objects as a cluster has them in the middle of a canary, and a server that hands them out."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from delivery.kubernetes.objects import POD_HASH, VERSION_LABEL, Object

STABLE, CANARY = "6c8f9d7b5c", "7d4b8c9f6d"


def rollout(**status: Any) -> Object:
    """The Rollout at the second of four steps; `status` changes it."""
    weights = {
        "canary": {"weight": 20, "serviceName": "crm-canary", "podTemplateHash": CANARY},
        "stable": {"weight": 80, "serviceName": "crm-stable", "podTemplateHash": STABLE},
    }
    usual = {
        "phase": "Progressing",
        "message": "more replicas need to be updated",
        "currentPodHash": CANARY,
        "stableRS": STABLE,
        "currentStepIndex": 2,
        "canary": {"weights": weights},
    }
    steps = [{"setWeight": 5}, {"analysis": {}}, {"setWeight": 20}, {"analysis": {}}]
    return {
        "metadata": {"name": "crm"},
        "spec": {"strategy": {"canary": {"steps": steps}}},
        "status": usual | status,
    }


def replica_set(pod_hash: str, version: str, digest: str, ready: int) -> Object:
    labels = {POD_HASH: pod_hash, VERSION_LABEL: version}
    return {
        "metadata": {"name": f"crm-{pod_hash}", "labels": labels},
        "spec": {
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "web", "image": f"localhost:30500/crm@{digest}"}]},
            }
        },
        "status": {"readyReplicas": ready},
    }


def analysis_run(question: str, phase: str, at: str, pod_hash: str = CANARY, **measurement: Any) -> Object:
    measurements = [{"phase": "Inconclusive", "value": "[0]"}, measurement] if measurement else []
    return {
        "metadata": {
            "name": f"crm-{pod_hash}-{at}",
            "creationTimestamp": f"2026-11-23T12:{at}Z",
            "labels": {POD_HASH: pod_hash, "rollout-type": "Step"},
        },
        "status": {
            "phase": phase,
            "metricResults": [{"name": question, "phase": phase, "measurements": measurements}],
        },
    }


def application(revision: str, digest: str, **status: Any) -> Object:
    usual = {"sync": {"status": "Synced", "revision": revision}, "health": {"status": "Progressing"}}
    return {
        "metadata": {"name": "crm-dev"},
        "spec": {
            "source": {
                "targetRevision": revision,
                "helm": {"valuesObject": {"image": {"digest": digest}}},
            }
        },
        "status": usual | status,
    }


class Server(ThreadingHTTPServer):
    """Answers GET with the object of each path; 404 for others, as the Kubernetes API does."""

    def __init__(self, objects: dict[str, Object], failing: int | None = None) -> None:
        self.objects = objects
        self.failing = failing
        self.deleted: list[str] = []
        self.patched: list[tuple[str, Object]] = []
        self.selected: dict[str, str] = {}
        """By which labels each list was asked for."""
        super().__init__(("127.0.0.1", 0), _Handler)

    def kubeconfig(self) -> str:
        cluster = {"server": f"http://127.0.0.1:{self.server_port}"}
        return json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "test", "cluster": cluster}],
                "users": [{"name": "test", "user": {"token": "t"}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
                "current-context": "test",
            }
        )


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        found = self.server.objects.get(path)
        self.server.selected |= {path: parse_qs(query).get("labelSelector", [""])[-1]}
        status = self.server.failing or (200 if found else 404)
        body = json.dumps(found or {"kind": "Status", "code": status}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_DELETE(self) -> None:
        self.server.deleted.append(self.path)
        self.do_GET()

    def do_PATCH(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.patched.append((self.path, json.loads(self.rfile.read(length))))
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Keep the test's output quiet."""
