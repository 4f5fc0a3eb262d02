"""Renders the chart with the real Helm, each set of values once."""

import json
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts/crm"
ENVIRONMENTS = tuple(sorted(path.parent.name for path in ROOT.glob("environments/*/values.yaml")))
EXAMPLES = tuple(sorted(path.stem for path in CHART.glob("examples/*.yaml")))
STRATEGIES = tuple(sorted(path.stem for path in ROOT.glob("rollouts/*.yaml")))
ROUTERS = ("traefik", "nginx", "istio", "gatewayAPI")

Manifest = dict[str, Any]
Values = dict[str, Any]

RELEASE: Values = {
    "image": {"repository": "registry.example.com/crm", "digest": "sha256:" + "a1" * 32, "version": "1.1"},
}


def routed_by(provider: str, **routing: Any) -> Values:
    """The values with which this router can be rendered."""
    needed: dict[str, Values] = {
        "gatewayAPI": {
            "routing": {"gatewayAPI": {"class": "example"}},
            "networkPolicy": {"ingressNamespace": "gateways"},
        }
    }
    return merged({"routing": {"provider": provider, **routing}}, needed.get(provider))


class RefusedError(Exception):
    """Helm did not render; the message is what a person would read."""


class Manifests:
    """What one rendering gave."""

    def __init__(self, text: str) -> None:
        self.text = text
        # The C loader reads the ten renderings of this folder in a second instead of eight.
        found: list[Manifest] = [each for each in yaml.load_all(text, yaml.CSafeLoader) if each]
        self.tests = [each for each in found if _hook(each) == "test"]
        """What `helm test` alone makes."""
        self._all = [each for each in found if each not in self.tests]

    def __iter__(self) -> Iterator[Manifest]:
        return iter(self._all)

    def of(self, kind: str) -> list[Manifest]:
        return [manifest for manifest in self if manifest["kind"] == kind]

    def names(self, kind: str) -> set[str]:
        return {manifest["metadata"]["name"] for manifest in self.of(kind)}

    def one(self, kind: str, name: str = "crm") -> Manifest:
        found = [manifest for manifest in self.of(kind) if manifest["metadata"]["name"] == name]
        assert len(found) == 1, f"expected one {kind} {name}, found {sorted(self.names(kind))}"
        return found[0]

    @property
    def rollout(self) -> Manifest:
        spec: Manifest = self.one("Rollout")["spec"]
        return spec

    @property
    def config(self) -> Manifest:
        return self.one("ConfigMap", self.config_name())

    def config_name(self, fullname: str = "crm") -> str:
        (name,) = (name for name in self.names("ConfigMap") if name.startswith(f"{fullname}-config-"))
        return name

    def pod_specs(self) -> dict[str, Manifest]:
        """Every pod that the chart may start, by `Kind name`."""
        return {
            f"{manifest['kind']} {manifest['metadata']['name']}": manifest["spec"]["template"]["spec"]
            for manifest in self
            if "template" in manifest.get("spec", {})
        }


def _hook(manifest: Manifest) -> str | None:
    annotations: dict[str, str] = manifest["metadata"].get("annotations", {})
    return annotations.get("helm.sh/hook")


def render(
    environment: str | None = None,
    strategy: str | None = None,
    *,
    local: bool = False,
    namespace: str | None = None,
    values: Values | None = None,
    monitored: bool = True,
) -> Manifests:
    """Render as Argo CD does: chart, strategy, environment, local cluster, release, and then `values`.

    `monitored`: for a cluster that has the Prometheus operator.
    """
    namespace = namespace or f"crm-{environment or 'dev'}"
    return _render(environment, strategy, local, namespace, json.dumps(values), monitored)


def example(name: str) -> Manifests:
    """What the chart gives with one of its examples and nothing else."""
    values = yaml.safe_load((CHART / "examples" / f"{name}.yaml").read_text())
    return render(values=values, monitored=name != "bare")


def refusal(values: Values, *, strategy: str | None = None) -> str:
    """Return the sentence with which these values are refused."""
    try:
        _helm("template", *_files(None, strategy), values=merged(RELEASE, values))
    except RefusedError as refused:
        return str(refused)
    raise AssertionError(f"{values} were rendered")


def merged(*layers: Values | None) -> Values:
    """Merge as Helm does: dictionaries key by key, everything else wholesale."""
    result: Values = {}
    for layer in layers:
        for key, value in (layer or {}).items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if both else value
    return result


@cache
def _render(
    environment: str | None, strategy: str | None, local: bool, namespace: str, values: str, monitored: bool
) -> Manifests:
    files = _files(environment, strategy, "cluster" if local else None)
    layers = merged(RELEASE, json.loads(values))
    knows = ["--api-versions", "monitoring.coreos.com/v1"] if monitored else []
    return Manifests(_helm("template", "--namespace", namespace, *knows, *files, values=layers))


def _files(environment: str | None, strategy: str | None, cluster: str | None = None) -> list[str]:
    paths = [f"rollouts/{strategy}.yaml"] if strategy else []
    paths += [f"environments/{environment}/values.yaml"] if environment else []
    paths += [f"{cluster}/values.yaml"] if cluster else []
    return [word for path in paths for word in ("--values", str(ROOT / path))]


def lint(environment: str, strategy: str) -> str:
    return _helm("lint", "--strict", *_files(environment, strategy), values=RELEASE)


def notes(values: Values | None = None) -> str:
    """NOTES.txt, which only an install prints; a client-side dry run needs no cluster."""
    layers = merged(RELEASE, values)
    return _helm("install", "--dry-run=client", "--namespace", "crm-dev", values=layers).split("NOTES:\n")[-1]


def _helm(verb: str, *arguments: str, values: Values) -> str:
    name = [] if verb == "lint" else ["crm"]
    command = ["helm", verb, *name, str(CHART), *arguments, "--values", "-"]
    done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RefusedError(done.stderr + done.stdout)
    return done.stdout
