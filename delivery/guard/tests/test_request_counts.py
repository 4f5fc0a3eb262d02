"""The request counts of a rollback's message come from Prometheus, or not at all after a second."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from delivery.guard import request_counts
from delivery.kubernetes.analysis import RequestCount
from delivery.tests.json_server import Answer, serving


@contextmanager
def prometheus(answer: Any, asked: list[str] | None = None) -> Iterator[str]:
    """A server that answers every query with that; gives its address."""

    def answered(path: str, _: dict[str, str]) -> Answer:
        if asked is not None:
            asked.extend(parse_qs(urlsplit(path).query)["query"])
        return 200, answer

    with serving(answered) as address:
        yield address


def series(*found: tuple[str, str, str]) -> dict[str, Any]:
    result = [
        {"metric": {"kind": f"crm:verdict_{kind}", "question": question}, "value": [1767355200, value]}
        for kind, question, value in found
    ]
    return {"status": "success", "data": {"resultType": "vector", "result": result}}


def test_they_are_the_canarys_own_by_analysis() -> None:
    answer = series(
        ("requests", "error-rate", "31"),
        ("bad", "error-rate", "12"),
        ("requests", "latency", "30"),
    )
    asked: list[str] = []
    with prometheus(answer, asked) as url:
        found = request_counts.fetch(url, "crm-production", "7d4b8c9f6d")
    assert found == {"error-rate": RequestCount(31, 12), "latency": RequestCount(30, 0)}
    (query,) = asked
    for part in ("crm:verdict_requests", "crm:verdict_bad", 'namespace="crm-production"', '"7d4b8c9f6d"'):
        assert part in query


def test_prometheus_itself_understands_the_query(tmp_path: Path) -> None:
    """The pods are gone for a minute; another version, environment and window do not count."""
    of = 'namespace="crm-production", rollouts_pod_template_hash="new", question="error-rate"'
    labels = {
        "": f'{of}, window="total"',
        "window": f'{of}, window="2m"',
        "version": f'{of}, window="total"'.replace('"new"', '"old"'),
        "environment": f'{of}, window="total"'.replace("production", "staging"),
    }
    values = {"requests": "10 31 stale", "bad": "2 12 stale"}
    series = [
        {"series": f"crm:verdict_{kind}{{{text}}}", "values": values[kind] if name == "" else "99x3"}
        for kind in values
        for name, text in labels.items()
    ]
    expected = [
        {"labels": f'{{kind="crm:verdict_{kind}", question="error-rate"}}', "value": value}
        for kind, value in (("requests", 31), ("bad", 12))
    ]
    question = {
        "expr": request_counts.query("crm-production", "new"),
        "eval_time": "90s",
        "exp_samples": expected,
    }
    test = {"interval": "30s", "input_series": series, "promql_expr_test": [question]}
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
    done = subprocess.run(
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "answer",
    [{}, [], {"status": "error"}, series(), series(("bad", "error-rate", "1"))],
    ids=["empty", "a list", "an error", "nothing counted", "no requests"],
)
def test_an_answer_without_them_is_none(answer: Any) -> None:
    with prometheus(answer) as url:
        assert request_counts.fetch(url, "crm-production", "x") == {}


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "not an address", "http://["])
def test_a_prometheus_that_is_away_is_none(url: str) -> None:
    assert request_counts.fetch(url, "crm-production", "x") == {}


@pytest.mark.slow
def test_a_prometheus_that_hangs_costs_a_second() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        began = time.monotonic()
        assert (
            request_counts.fetch(f"http://127.0.0.1:{silent.getsockname()[1]}", "crm-production", "x") == {}
        )
        assert time.monotonic() - began < 1.5
