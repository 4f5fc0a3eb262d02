"""The schema of the values: every key is described, and nothing is taken that it does not know."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml

from tests.chart.rendering import CHART

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """With what its definition says, but what it says itself."""
    reference = node.get("$ref", "").rpartition("/")[2]
    return {**SCHEMA["definitions"][reference], **node} if reference else node


def keys(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, child in node.get("properties", {}).items():
        of = resolved(child)
        yield f"{path}{name}", of
        yield from keys(of, f"{path}{name}.")
        yield from keys(resolved(of.get("items", {})), f"{path}{name}[].")


def test_every_key_is_described_once() -> None:
    described = {path: node.get("description", "") for path, node in keys(SCHEMA)}
    assert len(described) > 150
    assert [path for path, text in described.items() if not text.endswith((".", "…"))] == []


def test_every_value_is_in_the_schema() -> None:
    def paths(values: dict[str, Any], path: str = "") -> Iterator[str]:
        for name, value in values.items():
            yield f"{path}{name}"
            if isinstance(value, dict):
                yield from paths(value, f"{path}{name}.")

    assert set(paths(VALUES)) <= {path for path, _ in keys(SCHEMA)}


def test_no_object_takes_what_it_does_not_know() -> None:
    """But maps whose keys are a person's, such as labels, and what Kubernetes itself checks."""
    for path, node in [("", SCHEMA), *keys(SCHEMA)]:
        if "properties" in node:
            assert node["additionalProperties"] is False, path
