"""The commands of docs/your-cluster.md give the guard a Helm release of its own, on an API server of the test's own."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import yaml

from cluster import go_tools
from cluster.waiting import until
from testing.ports import free_port
from tests.gitops.rendering import IMAGE, NEEDED, REPOSITORY, ROOT

pytestmark = pytest.mark.e2e

BASE = "f50c457a00735a2fc281216c0fa2cbc722e9dc22"
SECTION = "\n## From one chart to two\n"
KINDS = (
    "deployments,services,serviceaccounts,configmaps,roles,rolebindings,networkpolicies,validatingadmissionpolicies"
    ",validatingadmissionpolicybindings,podmonitors,namespaces,applicationsets,appprojects"
)


@pytest.fixture
def tools(tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """The variables with which kubectl and helm find an API server without nodes and controllers."""
    client, peer, port = (free_port() for _ in range(3))
    etcd = f"http://127.0.0.1:{client}"
    key = tmp_path / "accounts.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    (tmp_path / "tokens").write_text("t0ken,admin,admin,system:masters\n", encoding="utf-8")
    server = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
    configuration = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": server}],
        "users": [{"name": "it", "user": {"token": "t0ken"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    with ExitStack() as stack:
        for command in (
            (
                "etcd",
                f"--data-dir={tmp_path / 'etcd'}",
                *(f"--{role}-client-urls={etcd}" for role in ("listen", "advertise")),
                f"--listen-peer-urls=http://127.0.0.1:{peer}",
                f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
                f"--initial-cluster=default=http://127.0.0.1:{peer}",
            ),
            (
                "kube-apiserver",
                f"--etcd-servers={etcd}",
                f"--cert-dir={tmp_path / 'certificates'}",
                "--bind-address=127.0.0.1",
                f"--secure-port={port}",
                f"--token-auth-file={tmp_path / 'tokens'}",
                "--authorization-mode=RBAC",
                "--service-account-issuer=https://example.com",
                f"--service-account-key-file={key}",
                f"--service-account-signing-key-file={key}",
                "--disable-admission-plugins=ServiceAccount",
                "--service-cluster-ip-range=10.99.0.0/24",
                "--endpoint-reconciler-type=none",
            ),
        ):
            log = stack.enter_context((tmp_path / f"{command[0]}.log").open("wb"))
            process = subprocess.Popen(command, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
        env = os.environ | {"KUBECONFIG": str(tmp_path / "kubeconfig")}
        until(lambda: ready(env), what="the API server", seconds=120)
        yield env


def ready(env: Mapping[str, str]) -> bool:
    asked = ["kubectl", "get", "--raw=/readyz"]
    return subprocess.run(asked, env=env, capture_output=True, check=False).returncode == 0


def run(*command: str | Path, env: Mapping[str, str], cwd: Path = ROOT) -> str:
    done = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def identities(env: Mapping[str, str]) -> dict[str, str]:
    """Every object that Helm has made, by kind and name: its UID."""
    listed = json.loads(run("kubectl", "get", KINDS, "--all-namespaces", "--output=json", env=env))
    return {
        f"{each['kind']} {each['metadata'].get('namespace', '')}/{each['metadata']['name']}": each[
            "metadata"
        ]["uid"]
        for each in listed["items"]
        if "meta.helm.sh/release-name" in each["metadata"].get("annotations", {})
    }


def test_every_object_outlives_the_takeover(tools: Mapping[str, str], tmp_path: Path) -> None:
    definitions = go_tools.module_dir("kubernetes", "github.com/argoproj/argo-cd/v3") / "manifests/crds"
    operator = go_tools.module_dir("argo-rollouts", "github.com/prometheus-operator/prometheus-operator")
    for file in (
        *sorted(definitions.glob("*-crd.yaml")),
        operator / "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
    ):
        run("kubectl", "apply", "--server-side", f"--filename={file}", env=tools)
        waited = partial(established, file, tools)
        until(waited, what=file.name, seconds=60)
    archive = subprocess.run(
        ["git", "archive", BASE, "argocd"], cwd=ROOT, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(tmp_path, filter="data")
    image = f"{IMAGE['repository']}@{IMAGE['digest']}"
    run("kubectl", "create", "namespace", "argocd", env=tools)
    # As Helm 3 has installed it.
    before = (
        "helm",
        "install",
        "environments",
        tmp_path / "argocd",
        "--namespace=argocd",
        "--server-side=false",
    )
    given = (f"--set=repoURL={REPOSITORY},guard.image={image},guard.peopleSecret=people",)
    run(*before, *given, env=tools)
    existed = identities(tools)
    notifications = {"notifications": {"existingSecret": "channels"}}
    (tmp_path / "delivery-guard.yaml").write_text(yaml.safe_dump(NEEDED["delivery-guard"] | notifications))
    (tmp_path / "charts").symlink_to(ROOT / "charts")
    guide = (ROOT / "docs/your-cluster.md").read_text(encoding="utf-8").partition(SECTION)[2]
    commands = "\n".join(re.findall(r"^ {4}(.+)$", guide.partition("\n## ")[0], re.MULTILINE))
    # `guard:` goes to the other file, which is written above.
    by_hand = "sed -i '/^guard:/d; /^ /d' environments.yaml\n"
    commands = commands.replace("helm upgrade --install", f"{by_hand}helm upgrade --install")

    run("bash", "-euc", commands, env=tools, cwd=tmp_path)

    assert len(existed) > 30
    assert identities(tools) == existed
    guard = json.loads(
        run("kubectl", "get", "deployment/delivery-guard", "--namespace=argocd", "--output=json", env=tools)
    )
    assert guard["metadata"]["annotations"]["meta.helm.sh/release-name"] == "delivery-guard"
    assert "helm.sh/resource-policy" not in guard["metadata"]["annotations"]
    volumes = [each["name"] for each in guard["spec"]["template"]["spec"]["volumes"]]
    assert volumes == ["tmp", "git", "notifications"]


def established(file: Path, env: Mapping[str, str]) -> bool:
    waited = ["kubectl", "wait", "--for=condition=Established", f"--filename={file}", "--timeout=5s"]
    return subprocess.run(waited, env=env, capture_output=True, check=False).returncode == 0
