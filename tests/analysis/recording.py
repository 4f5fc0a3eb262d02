"""What both versions answered in every moment of a release that was played, as Prometheus has recorded it.

python -m tests.analysis.recording PROMETHEUS START END FILE: write it down, between two times in seconds since 1970.
"""

from __future__ import annotations

import gzip
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np

from delivery.kubernetes.limits import REGRESSION
from tests.analysis.promtool import STEP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from delivery.kubernetes.limits import Stream

FOLDER = Path(__file__).parent / "recordings"
_USERS = 'namespace="crm-production", rollouts_pod_template_hash!="", endpoint!~"health.*|metrics|probe"'
_GROWN = (
    "sum by (rollouts_pod_template_hash, method, endpoint, {label}) ("
    "{series} - last_over_time({series}[1m] offset {step}s) >= 0 "
    "or {series} and on (pod) last_over_time(up[1m] offset {step}s)) > 0"
)
_COUNTERS = {"status": "django_requests_total", "le": "django_request_duration_seconds_bucket"}
Moments = Any  # an array with one number for each moment


@dataclass(frozen=True)
class Recording:
    """By version, endpoint with method, and status or edge: what was counted in each moment of STEP seconds.

    The versions are `new` and `old`; edges are those of the histogram, `le=0.25`, each with what is below it.
    """

    counts: dict[str, dict[str, dict[str, list[int]]]]

    @classmethod
    def read(cls, path: Path) -> Recording:
        return cls(json.loads(gzip.decompress(path.read_bytes())))

    @property
    def places(self) -> list[str]:
        """Endpoints with their methods that both versions were asked."""
        return sorted(self.counts["new"].keys() & self.counts["old"].keys())

    def of(self, version: str, place: str, stream: Stream) -> tuple[Moments, Moments]:
        """What the events are shares of, and the events, in each moment; zeros where the stream is not recorded."""
        counted = {key: np.array(values) for key, values in self.counts[version][place].items()}
        statuses = {key: values for key, values in counted.items() if not key.startswith("le=")}
        requests = sum(statuses.values())
        nothing = np.zeros_like(requests)
        if stream.edge:
            every = counted.get("le=+Inf", nothing)
            fast = np.minimum(counted.get(f"le={stream.edge}", nothing), every)
            return every, fast if stream.side == "less" else every - fast
        if stream.status:
            return requests, statuses.get(stream.status, nothing)
        failed = [values for status, values in statuses.items() if status.startswith("5")]
        return requests, sum(failed) if failed and stream.name == "errors" else nothing


def recordings() -> Iterator[tuple[str, Recording]]:
    for path in sorted(FOLDER.glob("*.json.gz")):
        yield path.name.removesuffix(".json.gz"), Recording.read(path)


def streams() -> list[Stream]:
    """Those that a recording has."""
    return [each for each in REGRESSION.streams if each.edge or each.status or each.name == "errors"]


def record(prometheus: str, start: float, end: float) -> Recording:
    """Of the two versions that were asked most; the one that came later is the new one."""
    found: dict[str, dict[str, dict[str, dict[float, int]]]] = {}
    for label, counter in _COUNTERS.items():
        query = _GROWN.format(label=label, series=f"{counter}{{{_USERS}}}", step=STEP)
        window = {"start": start, "end": end, "step": STEP}
        answer = httpx.get(f"{prometheus}/api/v1/query_range", params={"query": query, **window}, timeout=60)
        for series in answer.raise_for_status().json()["data"]["result"]:
            labels = series["metric"]
            key = labels[label] if label == "status" else f"le={labels[label]}"
            place = found.setdefault(labels["rollouts_pod_template_hash"], {}).setdefault(
                f"{labels['method']} {labels['endpoint']}", {}
            )
            place[key] = {at: round(float(value)) for at, value in series["values"]}
    versions = sorted(found, key=lambda each: _total(found[each]), reverse=True)[:2]
    old, new = sorted(versions, key=lambda each: _first(found[each]))
    both = {at for at in _times(found[new]) if at in _times(found[old])}
    moments = sorted(both)
    return Recording(
        {
            name: {
                place: {key: [values.get(at, 0) for at in moments] for key, values in counted.items()}
                for place, counted in found[version].items()
            }
            for name, version in (("old", old), ("new", new))
        }
    )


def _times(places: dict[str, dict[str, dict[float, int]]]) -> set[float]:
    return {at for place in places.values() for values in place.values() for at in values}


def _first(places: dict[str, dict[str, dict[float, int]]]) -> float:
    return min(_times(places))


def _total(places: dict[str, dict[str, dict[float, int]]]) -> int:
    return sum(
        sum(values.values())
        for place in places.values()
        for key, values in place.items()
        if not key.startswith("le=")
    )


def main(prometheus: str, start: str, end: str, file: str) -> None:
    text = json.dumps(record(prometheus, float(start), float(end)).counts, separators=(",", ":"))
    Path(file).write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main(*sys.argv[1:])
