"""How many requests a version answered and how many of them badly, as Prometheus counted them for the verdicts.

A reason is better with numbers, but a rollback must not wait for them: whatever does not come within a
second is left out.
"""

from __future__ import annotations

import threading
from typing import Any

import httpx

from delivery import web
from delivery.kubernetes.analysis import RequestCount

_SECONDS = 1.0
_MOST_BYTES = 1024 * 1024  # a few series
_REQUESTS, _BAD = "crm:verdict_requests", "crm:verdict_bad"
# The highest of the last two minutes: after an abort the pods go away, and their requests with them.
_QUERY = (
    'max by (kind, question) (label_replace(max_over_time({{__name__="{name}", namespace="{namespace}",'
    ' rollouts_pod_template_hash="{pod_hash}", window="total"}}[2m]), "kind", "{name}", "", ""))'
)


def fetch(prometheus: str, namespace: str, pod_hash: str) -> dict[str, RequestCount]:
    """The counts by analysis; empty where Prometheus does not answer within a second."""
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
    """One query for both counts of all that is weighed."""
    return " or ".join(
        _QUERY.format(name=name, namespace=namespace, pod_hash=pod_hash) for name in (_REQUESTS, _BAD)
    )


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
    values = {
        (each["metric"]["kind"], each["metric"]["question"]): round(float(each["value"][1]))
        for each in answer["data"]["result"]
    }
    return {
        question: RequestCount(requests, values.get((_BAD, question), 0))
        for (kind, question), requests in values.items()
        if kind == _REQUESTS
    }
