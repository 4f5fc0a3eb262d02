"""What each question found about a version, in plain words."""

import json
import re
from dataclasses import dataclass
from typing import Any

_LIMIT = "limit 5 %"
_BAD = {"error-rate": "failed", "latency": "were slow"}
# What is proven where a question weighs something else than a version's requests.
_PROVEN = {
    "worker-failures": "more than 1 in 20 tasks of {version} fail",
    "business": (
        "a request of {version} leads to less than half as many deals or sign-ins as one of the stable version"
    ),
    "conversion": "a request of {version} leads to less than half as many won deals as one of the others",
}
# What a question that weighs evidence measures: one number, in brackets.
_MEASURED = re.compile(r"\[([-+.e0-9]+)\]")
WEIGHED = frozenset({*_BAD, *_PROVEN})
PROVEN = 4.6  # ln 100


@dataclass(frozen=True)
class Finding:
    """A question that did not let the version pass. Phase: Failed, Error or Inconclusive."""

    question: str
    phase: str
    says: str


@dataclass(frozen=True)
class Count:
    """Requests that a version answered, and how many of them badly."""

    requests: int
    bad: int


def findings(run: dict[str, Any], version: str, counts: dict[str, Count] | None = None) -> list[Finding]:
    """The findings of one AnalysisRun; `counts` by question, where Prometheus could be asked."""
    results = (run.get("status") or {}).get("metricResults") or []
    return [
        Finding(_question(each), _phase(each), _words(each, version, counts or {}))
        for each in results
        if each.get("phase") in ("Failed", "Error", "Inconclusive")
    ]


def answered(value: str | None) -> dict[str, str]:
    """What the guard answered to a question (`verdict`, `says`), where it was the guard that was asked; else empty."""
    try:
        found = json.loads(value or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) and {"verdict", "says"} <= found.keys() else {}


def _phase(result: dict[str, Any]) -> str:
    """Argo Rollouts counts answers until it fails a release; one that stayed unknown has proven nothing."""
    return "Error" if answered(_last(result).get("value")).get("verdict") == "unknown" else result["phase"]


def _last(result: dict[str, Any]) -> dict[str, Any]:
    measurements: list[dict[str, Any]] = result.get("measurements") or [{}]
    return measurements[-1]


def _question(result: dict[str, Any]) -> str:
    return str(result["name"]).removesuffix("-watch")


def _words(result: dict[str, Any], version: str, counts: dict[str, Count]) -> str:
    question = _question(result)
    last = _last(result)
    if says := answered(last.get("value")).get("says"):
        return f"{question}: {says}"
    if result["phase"] == "Failed":
        return f"{question}: {_proven(question, version, last, counts.get(question))}"
    if result["phase"] == "Error":
        why = last.get("message") or result.get("message") or "no reason was given"
        return f"{question}: could not be measured ({' '.join(str(why).split())})"
    return f"{question}: stayed undecided (measured {last.get('value', 'nothing')})"


def _proven(question: str, version: str, measured: dict[str, Any], count: Count | None) -> str:
    """What is bad about the version."""
    if question in _BAD and count and count.requests:
        share = 100 * count.bad / count.requests
        return (
            f"{count.bad} of {count.requests} requests of {version} {_BAD[question]} "
            f"({share:.0f} %, {_LIMIT}){_evidence(measured)}"
        )
    if question in _PROVEN:
        return f"{_PROVEN[question].format(version=version)}, proven bad{_evidence(measured)}"
    share_waited = evidence(measured.get("value"))
    if question == "saturation" and share_waited is not None:
        # Health checks wait as well, and their time is not counted: together more than 100 % of the requests'.
        waited = f"{version} waited {min(100 * share_waited, 100):.0f} % of its time"
        return f"{waited} for a processor or a database connection (50 % aborts)"
    return f"{version} was proven bad (measured {measured.get('value', 'nothing')})"


def evidence(value: str | None) -> float | None:
    """The number in what was measured; None where there is not exactly one."""
    found = _MEASURED.fullmatch((value or "").replace(" ", ""))
    try:
        return float(found[1]) if found else None
    except ValueError:
        return None


def _evidence(measurement: dict[str, Any]) -> str:
    weighed = evidence(measurement.get("value"))
    return "" if weighed is None else f", evidence {weighed:.1f} ({PROVEN} aborts)"
