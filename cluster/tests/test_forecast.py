"""What a run costs is reckoned from what is missing on this machine."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster import forecast, go_tools, image_builder, node, packages
from cluster.progress import about


@pytest.fixture(autouse=True)
def lacking(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What is missing, of a machine with two cores where everything is there."""
    missing: set[str] = set()

    def unless(name: str, seconds: float) -> Callable[..., float]:
        return lambda *_, **__: seconds if name in missing else 0

    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(packages, "missing", lambda: ["buildah", "runc"] if "packages" in missing else [])
    monkeypatch.setattr(go_tools, "built", lambda tool: Path("/missing" if tool in missing else "/"))
    monkeypatch.setattr(go_tools, "wheels_expected", unless("wheels", go_tools.WHEELS))
    monkeypatch.setattr(image_builder, "expected", unless("images", 100))
    monkeypatch.setattr(node, "runs", lambda: "node" not in missing)
    monkeypatch.setattr(node, "IMPORTED", Path("/"))
    return missing


def told(then: float = 0) -> str:
    return forecast.sentence(forecast.seconds() + then, then)


def test_where_all_is_there_only_the_time_is_told(lacking: set[str]) -> None:
    lacking.add("node")
    assert told() == f"This takes {about(forecast.LATER)}."
    assert told(then=300 - forecast.LATER) == "This takes about 5 min."


def test_a_first_run_says_what_it_builds_and_what_later_ones_take(lacking: set[str]) -> None:
    lacking |= {*go_tools.ALL, "packages", "wheels", "images", "node"}
    built = sum(
        group.seconds * len([tool for tool in group.tools if tool in go_tools.ALL]) / len(group.tools)
        for group in go_tools.GROUPS
    )
    assert forecast.seconds() == pytest.approx(
        packages.SECONDS + go_tools.WHEELS + built + 100 + node.IMPORT + forecast.LATER
    )
    minutes = round(forecast.seconds() / 60)
    assert told() == (
        "First run: builds Kubernetes, Argo CD, Argo Rollouts, the Prometheus operator, Prometheus, vegeta "
        f"from source and installs 2 Debian packages, about {minutes} min on 2 cores. "
        f"Later runs take {about(forecast.LATER)}."
    )


def test_a_cache_that_is_half_full_costs_less(lacking: set[str]) -> None:
    lacking |= {"argocd", "node"}
    one = forecast.seconds()
    assert forecast.LATER < one < forecast.LATER + 60
    assert told() == (
        f"Not all is in the cache: builds argocd from source, {about(one)} on 2 cores. "
        f"Later runs take {about(forecast.LATER)}."
    )
    lacking |= {"helm", "images"}
    assert forecast.seconds() == pytest.approx(one + (one - forecast.LATER) + 100 + node.IMPORT)


def test_a_node_that_runs_costs_its_start_no_more(lacking: set[str]) -> None:
    running = forecast.seconds()
    lacking.add("node")
    assert forecast.seconds() == running + node.START + node.READY
