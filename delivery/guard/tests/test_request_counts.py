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
from delivery.kubernetes.analysis import Comparison, RequestCount
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


def compared(**streams: tuple[str, str, str]) -> list[dict[str, Any]]:
    """What the query answers for these: of each analysis the stream, the endpoint and the method."""
    numbers = {("exposed", "own"): 41, ("exposed", "others"): 780, ("bad", "own"): 13, ("bad", "others"): 1}
    return [
        {
            "metric": {
                "question": question,
                "stream": stream,
                "endpoint": endpoint,
                "method": method,
                "kind": kind,
                "whose": whose,
            },
            "value": [1767355200, str(number)],
        }
        for question, (stream, endpoint, method) in streams.items()
        for (kind, whose), number in numbers.items()
    ]


def test_a_comparison_has_both_sides() -> None:
    answer = series(("requests", "error-rate", "31"))
    answer["data"]["result"] += compared(
        regression=("errors", "deals-list", "POST"), answers=("unmatched", "all", "all")
    )
    with prometheus(answer) as url:
        found = request_counts.fetch(url, "crm-production", "7d4b8c9f6d")
    assert found == {
        "error-rate": RequestCount(31, 0),
        "regression": Comparison(41, 13, "errors", "deals-list", "POST", RequestCount(780, 1)),
        "answers": Comparison(41, 13, "unmatched", "all", "all", RequestCount(780, 1)),
    }


def test_prometheus_itself_finds_the_comparison_that_speaks_most_against_it(tmp_path: Path) -> None:
    """Of 10 minutes and of 2, of two endpoints and of what the router counts."""
    of = 'namespace="crm-production", endpoint="{}", method="{}", window="{}"'

    def evidence(
        value: int, stream: str, endpoint: str, window: str, pod_hash: str = "new"
    ) -> dict[str, str]:
        labels = of.format(endpoint, "POST", window)
        exposed = "routed" if stream == "lost" else "requests"
        labels += f', stream="{stream}", exposed="{exposed}", rollouts_pod_template_hash="{pod_hash}"'
        return {"series": f"crm:regression_evidence{{{labels}}}", "values": f"{value}x3"}

    def totals(number: int, stream: str, endpoint: str, window: str, pod_hash: str = "new") -> list[Any]:
        labels = of.format(endpoint, "POST", window) + f', rollouts_pod_template_hash="{pod_hash}"'
        labels += f', exposed="{"routed" if stream == "lost" else "requests"}"'
        return [
            {"series": f'crm:regression_{name}_total{{{labels}{more}, whose="{whose}"}}', "values": f"{n}x3"}
            for whose, times in (("own", 1), ("others", 10))
            for name, more, n in (
                ("exposed", "", 100 * number * times),
                ("bad", f', stream="{stream}"', number * times),
            )
        ]

    series = [
        evidence(9, "lost", "all", "2m"),
        evidence(8, "errors", "deals-list", "2m"),
        evidence(99, "errors", "deals-list", "2m", "old"),
        evidence(7, "refused-404", "deals-list", "10m"),
        evidence(6, "empty", "deals-list", "10m"),
        *totals(1, "errors", "deals-list", "2m"),
        *totals(2, "refused-404", "deals-list", "10m"),
        *totals(3, "lost", "all", "2m", "canary"),
        *totals(4, "lost", "all", "2m", "stable"),
    ]
    expected = [
        {
            "labels": "{"
            f'endpoint="{endpoint}", method="POST", stream="{stream}", question="{question}", '
            f'kind="{kind}", whose="{whose}"'
            "}",
            "value": number * times * (100 if kind == "exposed" else 1),
        }
        for question, stream, endpoint, number in (
            ("regression", "lost", "all", 3),
            ("answers", "refused-404", "deals-list", 2),
        )
        for whose, times in (("own", 1), ("others", 10))
        for kind in ("exposed", "bad")
    ]
    _ask_promtool(tmp_path, series, expected)


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
    _ask_promtool(tmp_path, series, expected)


def _ask_promtool(folder: Path, series: list[Any], expected: list[Any]) -> None:
    question = {
        "expr": request_counts.query("crm-production", "new"),
        "eval_time": "90s",
        "exp_samples": expected,
    }
    test = {"interval": "30s", "input_series": series, "promql_expr_test": [question]}
    file = folder / "test.yaml"
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
