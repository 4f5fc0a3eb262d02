"""JSON schemas for kubeconform, made from Kubernetes' own API description and the platform's own CRDs.

Strict like a server that refuses unknown fields: an object with named properties takes no others.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

Schema = dict[str, Any]

# Where kubeconform looks below the folder that `write` fills.
LOCATION = "{{ .Group }}-{{ .ResourceAPIVersion }}-{{ .ResourceKind }}.json"
DEFINITIONS = "definitions.json"


class _Loader(yaml.CSafeLoader):
    """Reads a plain `=`, which the monitoring CRDs list among their operators, as the text that it is."""


def _plain(_: _Loader, node: yaml.ScalarNode) -> str:
    return str(node.value)


_Loader.add_constructor("tag:yaml.org,2002:value", _plain)


def write(folder: Path, *, swagger: Path, crds: Iterable[Path]) -> None:
    """Fill `folder` with one schema a kind."""
    definitions = json.loads(swagger.read_text())["definitions"]
    for name, schema in definitions.items():
        definitions[name] = _strict(_builtin(name, schema))
    (folder / DEFINITIONS).write_text(json.dumps({"definitions": definitions}))
    for name, schema in definitions.items():
        for kind in schema.get("x-kubernetes-group-version-kind", []):
            _write(folder, kind, {"$ref": f"{DEFINITIONS}#/definitions/{name}"})
    for path in crds:
        for crd in yaml.load_all(path.read_text(), _Loader):
            if crd and crd["kind"] == "CustomResourceDefinition":
                _write_crd(folder, crd["spec"])


def _write_crd(folder: Path, spec: Schema) -> None:
    for version in spec["versions"]:
        schema = version["schema"]["openAPIV3Schema"]
        # Every object may carry these; what else is in metadata is checked as for a built-in kind.
        schema["properties"] |= {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {
                "$ref": f"{DEFINITIONS}#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
            },
        }
        kind = {"group": spec["group"], "version": version["name"], "kind": spec["names"]["kind"]}
        _write(folder, kind, _strict(schema))


def _write(folder: Path, kind: dict[str, str], schema: Schema) -> None:
    group = kind["group"].lower() or kind["version"]  # kubeconform's name for the group of Pods and Services
    (folder / f"{group}-{kind['version']}-{kind['kind'].lower()}.json").write_text(json.dumps(schema))


def _builtin(name: str, schema: Schema) -> Schema:
    """Put right what Kubernetes' description says in format names only."""
    if name.endswith((".IntOrString", ".Quantity")):
        return {"type": ["string", "integer", "number"]}
    return schema


def _strict(node: Any) -> Any:
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("x-kubernetes-int-or-string") is True:
        return {"type": ["string", "integer"]}
    strict = {key: _strict(value) for key, value in node.items()}
    open_ended = strict.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in strict
    if isinstance(strict.get("properties"), dict) and not open_ended:
        strict["additionalProperties"] = False
    return strict
