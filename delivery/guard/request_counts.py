"""How many requests a version answered and how many of them badly, as Prometheus counted them for the verdicts.

A reason is better with numbers, but a rollback must not wait for them: whatever does not come within a
second is left out.
"""

from __future__ import annotations

import threading
from typing import Any

import httpx

from delivery import web
from delivery.kubernetes.analysis import Comparison, RequestCount
from delivery.kubernetes.limits import ANSWERS

_SECONDS = 1.0
_MOST_BYTES = 1024 * 1024  # a few series
_REQUESTS, _BAD = "crm:verdict_requests", "crm:verdict_bad"
# The highest of the last two minutes: after an abort the pods go away, and their requests with them.
_QUERY = (
    'max by (kind, question) (label_replace(max_over_time({{__name__="{name}", namespace="{namespace}",'
    ' rollouts_pod_template_hash="{pod_hash}", window="total"}}[2m]), "kind", "{name}", "", ""))'
)


# Of the comparison that speaks most against the version; of what the router counts its Service is named instead.
_WORST = (
    'topk(1, max_over_time(crm:regression_evidence{{namespace="{namespace}", '
    'rollouts_pod_template_hash="{pod_hash}", stream{streams}}}[2m]) > 0)'
)
_COMPARED = (
    "label_replace(label_replace(max by (stream, endpoint, method, whose) (max_over_time(crm:regression_{name}_total"
    '{{namespace="{namespace}", rollouts_pod_template_hash=~"{pod_hash}|canary"}}[2m]) * on ({on}, endpoint, method, '
    'window) group_left ({more}) (0 * {worst} + 1)), "kind", "{name}", "", ""), "question", "{question}", "", "")'
)
_COMPARISONS = {"regression": f'!~"{ANSWERS}"', "answers": f'=~"{ANSWERS}"'}


def fetch(prometheus: str, namespace: str, pod_hash: str) -> dict[str, RequestCount]:
    """The counts by analysis; empty where Prometheus does not answer within a second.

    Of `regression` and `answers` it is the Comparison that speaks most against the version.
    """
    found: dict[str, RequestCount] = {}
    # A thread, because a name that does not resolve can take longer than any timeout of HTTP.
    fetching = threading.Thread(
        target=lambda: found.update(_ask(prometheus, namespace, pod_hash)),
        name="guard-request-counts",
        daemon=True,
    )
    fetching.start()
    fetching.join(_SECONDS)
    return dict(found)


def query(namespace: str, pod_hash: str) -> str:
    """One query for all counts of all that is weighed."""
    names = {"namespace": namespace, "pod_hash": pod_hash}
    counts = [_QUERY.format(name=name, **names) for name in (_REQUESTS, _BAD)]
    compared = [
        _COMPARED.format(
            name=name,
            on=on,
            more=more,
            worst=_WORST.format(streams=streams, **names),
            question=question,
            **names,
        )
        for question, streams in _COMPARISONS.items()
        for name, on, more in (("exposed", "exposed", "stream"), ("bad", "stream", ""))
    ]
    return " or ".join(counts + compared)


def _ask(prometheus: str, namespace: str, pod_hash: str) -> dict[str, RequestCount]:
    parameters = {"query": query(namespace, pod_hash)}
    try:
        with web.client() as client:
            answer = web.get(
                client, f"{prometheus}/api/v1/query", params=parameters, seconds=_SECONDS, most=_MOST_BYTES
            )
        return _read(answer.raise_for_status().json())
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError, OverflowError):
        return {}


def _read(answer: dict[str, Any]) -> dict[str, RequestCount]:
    found = [(each["metric"], round(float(each["value"][1]))) for each in answer["data"]["result"]]
    values = {(labels["question"], labels["kind"], labels.get("whose", "")): n for labels, n in found}
    counts = {
        question: RequestCount(requests, values.get((question, _BAD, ""), 0))
        for (question, kind, _), requests in values.items()
        if kind == _REQUESTS
    }
    return counts | {
        labels["question"]: _comparison(labels, values)
        for labels, _ in found
        if labels["kind"] == "bad" and labels["whose"] == "own"
    }


def _comparison(labels: dict[str, str], values: dict[tuple[str, str, str], int]) -> Comparison:
    """Raises KeyError where a number is missing."""
    question = labels["question"]

    def number(kind: str, whose: str) -> int:
        return values[question, kind, whose]

    return Comparison(
        number("exposed", "own"),
        number("bad", "own"),
        labels["stream"],
        labels["endpoint"],
        labels["method"],
        RequestCount(number("exposed", "others"), number("bad", "others")),
    )
