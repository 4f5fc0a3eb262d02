"""`helm test` asks the stable version whether it is ready, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.chart.rendering import Manifest, Values, render

NO_ROUTER: Values = {"routing": {"provider": "none"}}


def made(values: Values | None = None) -> dict[str, Manifest]:
    return {f"{each['kind']} {each['metadata']['name']}": each for each in render(values=values).tests}


def test_they_are_hooks_of_the_test_alone() -> None:
    found = made()
    assert set(found) == {"Pod crm-test", "NetworkPolicy crm-test", "NetworkPolicy crm-test-to-web"}
    for name, each in found.items():
        annotations = each["metadata"]["annotations"]
        assert annotations["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded", name
        assert annotations["argocd.argoproj.io/hook"] == "Skip", name
        assert (int(annotations["helm.sh/hook-weight"]) < 0) == (each["kind"] == "NetworkPolicy"), name
    assert set(made({"networkPolicy": {"enabled": False}})) == {"Pod crm-test"}


def test_the_pod_keeps_to_pod_security_restricted() -> None:
    pod = made()["Pod crm-test"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["image"] == "registry.example.com/crm@sha256:" + "a1" * 32
    assert "volumes" not in pod, "it needs no secret"


def test_its_way_to_the_web_pods_is_open_on_both_ends() -> None:
    found = made()
    web = render().rollout["template"]["metadata"]["labels"]
    asks = found["Pod crm-test"]["metadata"]["labels"]
    out, into = (found[f"NetworkPolicy crm-{name}"]["spec"] for name in ("test", "test-to-web"))
    for policy, rules, peer, here, there in (
        (out, "egress", "to", asks, web),
        (into, "ingress", "from", web, asks),
    ):
        (rule,) = policy[rules]
        (selected,) = rule[peer]
        assert policy["podSelector"]["matchLabels"].items() <= here.items()
        assert selected["podSelector"]["matchLabels"].items() <= there.items()
        assert rule["ports"] == [{"protocol": "TCP", "port": "http"}]


@pytest.mark.parametrize(("values", "service"), [(None, "crm-stable"), (NO_ROUTER, "crm")])
def test_it_asks_a_service_that_is_there(values: Values | None, service: str) -> None:
    (container,) = made(values)["Pod crm-test"]["spec"]["containers"]
    assert container["args"][-1] == f"http://{service}/health/ready/"
    assert service in render(values=values).names("Service")


@pytest.mark.parametrize(
    ("status", "ends", "says"), [(200, 0, "ready"), (503, 1, "is not ready: HTTP Error 503")]
)
def test_it_fails_with_one_sentence(status: int, ends: int, says: str) -> None:
    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"ready")

        def log_message(self, *_: object) -> None:
            pass

    (container,) = made()["Pod crm-test"]["spec"]["containers"]
    with ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        command = [sys.executable, "-c", container["args"][0], f"http://127.0.0.1:{server.server_port}/"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        server.shutdown()
    assert done.returncode == ends
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
