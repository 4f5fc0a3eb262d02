"""Where secrets come from, and the Job that makes those of development once."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.chart.rendering import CHART, Manifest, Values, render

KEYS = {"secret-key", "db-name", "db-user", "db-password", "redis-password", "email-user", "email-password"}


def job(values: Values | None = None) -> Manifest:
    (found,) = (
        job
        for job in render("dev", "canary", values=values).of("Job")
        if job["metadata"]["name"].startswith("crm-secrets-")
    )
    return found


def secrets_of(pod: Manifest) -> Manifest:
    (volume,) = [each["projected"] for each in pod["volumes"] if each["name"] == "secrets"]
    assert isinstance(volume, dict)
    return volume


def test_production_generates_none() -> None:
    manifests = render("production", "canary")
    assert not manifests.of("Role")
    assert manifests.names("Job") == {"crm-migrate"}
    assert manifests.names("ServiceAccount") == {"crm"}


def test_the_named_secret_is_the_one_that_is_read() -> None:
    manifests = render("production", "canary", values={"secrets": {"existingSecret": "from-the-vault"}})
    for name, pod in manifests.pod_specs().items():
        (source,) = secrets_of(pod)["sources"]
        assert source["secret"]["name"] == "from-the-vault", name


def test_secrets_are_files_for_nobody_but_the_application() -> None:
    """A process's environment is seen by its children, by whoever may describe it, and by dumps of it."""
    for name, pod in render("production", "canary").pod_specs().items():
        (container,) = pod["containers"]
        assert not [entry for entry in container["env"] if "secretKeyRef" in entry.get("valueFrom", {})], name
        (mount,) = [each for each in container["volumeMounts"] if each["name"] == "secrets"]
        assert mount["readOnly"], name
        assert secrets_of(pod)["defaultMode"] == 0o440, name
        (source,) = secrets_of(pod)["sources"]
        files = {f"{mount['mountPath']}/{item['path']}": item["key"] for item in source["secret"]["items"]}
        read = {
            entry["name"]: entry["value"] for entry in container["env"] if entry["name"].endswith("_FILE")
        }
        assert {variable.removesuffix("_FILE"): files[file] for variable, file in read.items()} == {
            key.upper().replace("-", "_"): key for key in files.values()
        }, name
        assert len(read) == 7, name


def test_what_makes_the_secret_does_not_wait_for_it() -> None:
    (pod,) = [
        spec
        for name, spec in render("dev", "canary").pod_specs().items()
        if name.startswith("Job crm-secrets")
    ]
    assert "volumes" not in pod
    assert "volumeMounts" not in pod["containers"][0]


def test_the_job_may_create_secrets_and_nothing_else() -> None:
    manifests = render("dev", "canary")
    assert manifests.one("Role", "crm-secrets")["rules"] == [
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}
    ]
    binding = manifests.one("RoleBinding", "crm-secrets")
    assert binding["roleRef"]["name"] == "crm-secrets"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "crm-secrets", "namespace": "crm-dev"}]


def test_a_job_that_exists_is_never_changed() -> None:
    """A Job's pods cannot be changed, so whatever changes them changes its name."""
    other = job({"imagePullSecrets": [{"name": "registry"}]})
    assert other["spec"] != job()["spec"]
    assert other["metadata"]["name"] != job()["metadata"]["name"]


def test_a_release_does_not_run_the_job_again() -> None:
    """The image alone leaves its name as it is, and Argo CD is told to leave the image of an existing Job alone."""
    other = job({"image": {"digest": "sha256:" + "c3" * 32, "version": "1.2"}})
    assert other["spec"] != job()["spec"]
    assert other["metadata"] == job()["metadata"]


def test_the_job_runs_the_file_that_is_tested_here() -> None:
    (container,) = job()["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python3", "-c"]
    assert container["args"] == [(CHART / "files/secrets/create.py").read_text()]


class Api(HTTPServer):
    """Answers like the API server, with the statuses that it was given, and remembers what it was asked."""

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses = list(statuses)
        self.asked: list[tuple[str, str, Manifest]] = []


class Handler(BaseHTTPRequestHandler):
    server: Api

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, self.headers["Authorization"], body))
        self.send_response(self.server.statuses.pop(0))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def run(tmp_path: Path) -> Iterator["Run"]:
    (tmp_path / "token").write_text("a-token")
    runner = Run(tmp_path)
    yield runner
    runner.stop()


class Run:
    def __init__(self, account: Path) -> None:
        self.account = account
        self.api: Api | None = None

    def __call__(self, *statuses: int, patience: float = 5) -> tuple[Api, subprocess.CompletedProcess[str]]:
        api = self.api = Api(*statuses)
        threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        environment = {
            "API": f"http://127.0.0.1:{api.server_port}",
            "ACCOUNT_DIR": str(self.account),
            "NAMESPACE": "crm-dev",
            "SECRET": "crm-secrets",
            "PATIENCE": str(patience),
        }
        command = [sys.executable, "-c", (CHART / "files/secrets/create.py").read_text()]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return api, done

    def stop(self) -> None:
        if self.api:
            self.api.shutdown()
            self.api.server_close()


def test_a_missing_secret_is_created_with_every_key(run: Run) -> None:
    api, done = run(201)
    assert (done.returncode, done.stdout) == (0, "created Secret crm-secrets\n")
    ((path, authorization, secret),) = api.asked
    assert path == "/api/v1/namespaces/crm-dev/secrets"
    assert authorization == "Bearer a-token"
    assert secret["metadata"]["name"] == "crm-secrets"
    values = secret["stringData"]
    assert values.keys() == KEYS
    assert len(values["secret-key"]) >= 50
    assert len({values["db-password"], values["redis-password"], values["secret-key"]}) == 3
    assert done.stdout.count(values["db-password"]) == 0


def test_an_existing_secret_is_left_alone(run: Run) -> None:
    api, done = run(409)
    assert (done.returncode, done.stdout) == (0, "Secret crm-secrets exists; left as it is\n")
    assert len(api.asked) == 1


def test_a_right_that_is_not_there_yet_is_waited_for(run: Run) -> None:
    api, done = run(403, 201)
    assert done.returncode == 0
    assert len(api.asked) == 2


def test_a_refusal_that_stays_is_an_error(run: Run) -> None:
    _, done = run(403, patience=0)
    assert done.returncode == 1
    assert done.stderr.startswith("cannot create Secret crm-secrets at http://127.0.0.1:")
    assert done.stderr.endswith("secrets: 403\n")
