"""Analysis runs, read from the API's objects once, and what each analysis found about a version, in plain words."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from delivery.kubernetes.limits import POOLED, REGRESSION, VERDICT
from delivery.kubernetes.objects import POD_HASH, Object, annotations_of, labels_of, spec_of, status_of

_LIMIT = f"limit {100 * VERDICT.limit:g} %"
_BAD = {"error-rate": "failed", "latency": "were slow"}
# What is proven where an analysis weighs something else than a version's requests.
_PROVEN = {
    "worker-failures": f"more than 1 in {1 / VERDICT.limit:g} tasks of {{version}} fail",
    "business": (
        "a request of {version} leads to less than half as many deals or sign-ins as one of the stable version"
    ),
    "conversion": "a request of {version} leads to less than half as many won deals as one of the others",
    "regression": "{version} is worse than the stable version at the same time",
    "answers": "{version} refuses, or answers emptily, what the stable version answers at the same time",
}
# Of one stream that is compared; those with an edge or a status by their kind.
_COMPARED = {
    "errors": "fails",
    "lost": "is lost with the process that it came to",
    "unmatched": "finds no route",
    "slow": "takes longer than {edge:g} s",
    "fast": "takes longer than {edge:g} s",
    "refused": "is answered {status}",
    "empty": "is answered with nothing",
}
_INTENDED = "answers"
"""What a release may mean to do, so that its image is not to blame."""
# What an analysis that weighs evidence measures: one number, in brackets.
_MEASURED = re.compile(r"\[([-+.e0-9]+)\]")
WEIGHED = frozenset({*_BAD, *_PROVEN})
PROVEN = VERDICT.proof


ATTEMPT = "rollout.argoproj.io/revision"
"""Counted with each change of the Rollout's pods: an earlier attempt with the same pods has the same hash."""


@dataclass(frozen=True)
class Measurement:
    phase: str = ""
    value: str | None = None
    message: str | None = None
    finished_at: str = ""

    @classmethod
    def parse(cls, measurement: Object) -> Self:
        return cls(
            measurement.get("phase", ""),
            measurement.get("value"),
            measurement.get("message"),
            measurement.get("finishedAt") or "",
        )


@dataclass(frozen=True)
class AnalysisResult:
    """The answers to one analysis; Argo Rollouts keeps the newest ten."""

    name: str
    phase: str
    message: str | None = None
    measurements: tuple[Measurement, ...] = ()
    taken: int = 0
    """How many there were, those without an answer included."""

    @classmethod
    def parse(cls, result: Object) -> Self:
        return cls(
            result["name"],
            result.get("phase", "Pending"),
            result.get("message"),
            tuple(Measurement.parse(each) for each in result.get("measurements") or []),
            result.get("count", 0) + result.get("error", 0),
        )

    @property
    def last(self) -> Measurement:
        return self.measurements[-1] if self.measurements else Measurement()


@dataclass(frozen=True)
class AnalysisRun:
    name: str
    pod_hash: str
    attempt: str = ""
    """The Rollout's count of changes when it was made."""
    created: str = ""
    phase: str = "Pending"
    message: str | None = None
    terminated: bool = False
    """Whether it was ended before its time."""
    labels: Mapping[str, str] = field(default_factory=dict)
    results: tuple[AnalysisResult, ...] = ()

    @classmethod
    def parse(cls, thing: Object) -> Self:
        metadata, status = thing.get("metadata") or {}, status_of(thing)
        return cls(
            name=metadata.get("name", ""),
            pod_hash=labels_of(thing).get(POD_HASH, ""),
            attempt=str(annotations_of(thing).get(ATTEMPT) or ""),
            created=str(metadata.get("creationTimestamp", "")),
            phase=status.get("phase", "Pending"),
            message=status.get("message"),
            terminated=bool(spec_of(thing).get("terminate")),
            labels=labels_of(thing),
            results=tuple(AnalysisResult.parse(each) for each in status.get("metricResults") or []),
        )


@dataclass(frozen=True)
class Finding:
    """An analysis that did not let the version pass. Phase: Failed, Error or Inconclusive."""

    question: str
    phase: str
    message: str

    @property
    def blames(self) -> bool:
        """Whether it speaks against the image, whatever else it is released with."""
        return self.phase == "Failed" and self.question != _INTENDED


@dataclass(frozen=True)
class RequestCount:
    """Requests that a version answered, and how many of them badly."""

    requests: int
    bad: int


@dataclass(frozen=True)
class Comparison(RequestCount):
    """The same of one stream (delivery/kubernetes/limits.py), beside those of all other versions at the same time."""

    stream: str
    endpoint: str
    method: str
    others: RequestCount

    def describe(self, version: str) -> str:
        """In a sentence, for a person."""
        if self.stream == "restarts":
            counts = f"{self.bad} times in {version}, {self.others.bad} times in"
            return f"containers restart: {counts} the stable version at the same time"
        stream = REGRESSION.find(self.stream)
        subject = "a request" if self.endpoint == POOLED else f"{self.method} {self.endpoint}"
        verb = _COMPARED[self.stream.partition("-")[0]].format(
            edge=float(stream.edge or 0), status=stream.status
        )
        own, others = (
            f"{100 * ((each.requests - each.bad) if stream.side == 'less' else each.bad) / each.requests:.1f} % "
            f"of {each.requests:,}"
            for each in (self, self.others)
        )
        return f"{subject} {verb}: {own} in {version}, {others} in the stable version at the same time"


def findings(
    run: AnalysisRun, version: str, counts: Mapping[str, RequestCount] | None = None
) -> list[Finding]:
    """The findings of one run; `counts` by analysis, where Prometheus could be asked."""
    return [
        Finding(_question(each), _phase(each), _message(each, version, counts or {}))
        for each in run.results
        if each.phase in ("Failed", "Error", "Inconclusive")
    ]


def answered(value: str | None) -> dict[str, str]:
    """What `delivery verdicts` answered (`verdict`, `says`), where it was asked; else empty."""
    try:
        found = json.loads(value or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) and {"verdict", "says"} <= found.keys() else {}


def _phase(result: AnalysisResult) -> str:
    """Argo Rollouts counts answers until it fails a release; one that stayed unknown has proven nothing."""
    return "Error" if answered(result.last.value).get("verdict") == "unknown" else result.phase


def _question(result: AnalysisResult) -> str:
    return result.name.removesuffix("-watch").removesuffix("-preview")


def _message(result: AnalysisResult, version: str, counts: Mapping[str, RequestCount]) -> str:
    question, last = _question(result), result.last
    if answer := answered(last.value).get("says"):
        return f"{question}: {answer}"
    if result.phase == "Failed":
        return f"{question}: {_proven(question, version, last, counts.get(question))}"
    if result.phase == "Error":
        why = last.message or result.message or "no reason was given"
        return f"{question}: could not be measured ({' '.join(why.split())})"
    return f"{question}: stayed undecided (measured {_measured(last)})"


def _measured(measurement: Measurement) -> str:
    return "nothing" if measurement.value is None else measurement.value


def _proven(question: str, version: str, last: Measurement, count: RequestCount | None) -> str:
    """What is bad about the version."""
    if isinstance(count, Comparison):
        return f"{count.describe(version)}{_evidence(last)}"
    if question in _BAD and count and count.requests:
        share = 100 * count.bad / count.requests
        return (
            f"{count.bad} of {count.requests} requests of {version} {_BAD[question]} "
            f"({share:.0f} %, {_LIMIT}){_evidence(last)}"
        )
    if question in _PROVEN:
        return f"{_PROVEN[question].format(version=version)}, proven bad{_evidence(last)}"
    share_waited = evidence(last.value)
    if question == "saturation" and share_waited is not None:
        # Health checks wait as well, and their time is not counted: together more than 100 % of the requests'.
        waited = f"{version} waited {min(100 * share_waited, 100):.0f} % of its time"
        return f"{waited} for a processor or a database connection ({100 * VERDICT.saturation:g} % aborts)"
    return f"{version} was proven bad (measured {_measured(last)})"


def evidence(value: str | None) -> float | None:
    """The number in what was measured; None where there is not exactly one."""
    found = _MEASURED.fullmatch((value or "").replace(" ", ""))
    try:
        return float(found[1]) if found else None
    except ValueError:
        return None


def _evidence(measurement: Measurement) -> str:
    weighed = evidence(measurement.value)
    return "" if weighed is None else f", evidence {weighed:.1f} ({PROVEN} aborts)"
