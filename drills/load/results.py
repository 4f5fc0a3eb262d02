"""The load generator's own record of every request, and what can be counted in it.

Times are seconds since 1970 (UTC) by this machine's clock, which the cluster's node shares.
"""

from __future__ import annotations

import base64
import csv
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil

_NANO = 1_000_000_000
_VERSION = re.compile(rb"^X-Crm-Version: *([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
# How an error of the HTTP client begins: Get "http://…":
_WHICH = re.compile(r'^\w+ "[^"]*": ')
# Columns of `vegeta encode --to csv`.
_AT, _CODE, _LATENCY, _ERROR, _METHOD, _URL, _HEADERS = 0, 1, 2, 5, 9, 10, 11
# At the end of each URL that a user of the group beta asks for: a record has no headers of requests.
BETA = "group=beta"
# And of each URL that a scanner asks for.
SCANNER = "by=scanner"
_FIRST_GOOD, _FIRST_BAD, _NOT_FOUND = 200, 400, 404


@dataclass(frozen=True, slots=True)
class Request:
    """One request: when it was sent, how long it took (seconds), who answered and what."""

    at: float
    latency: float
    code: int
    """HTTP status; 0 when no answer came."""
    version: str | None
    """The version of the CRM that answered; None when the router or nobody did."""
    method: str = "GET"
    url: str = ""
    error: str = ""

    @property
    def answered_at(self) -> float:
        return self.at + self.latency

    @property
    def beta(self) -> bool:
        """Whether it came from a user of the group beta."""
        return self.url.endswith(BETA)

    @property
    def failed(self) -> bool:
        """Every user's request is a valid one: no answer, 5xx and 4xx are failures. A scanner's is to get a 404."""
        if self.url.endswith(SCANNER):
            return self.code != _NOT_FOUND
        return not _FIRST_GOOD <= self.code < _FIRST_BAD


@dataclass(frozen=True)
class Second:
    """What was sent in one second of a drill."""

    at: float
    by_version: dict[str | None, int]
    failed: int
    latencies: tuple[float, ...]
    """Sorted."""

    @property
    def requests(self) -> int:
        return sum(self.by_version.values())

    def latency(self, share: float) -> float | None:
        """The latency that this share of the requests did not exceed; 1.0 is the slowest."""
        return quantile(self.latencies, share)


class Record:
    """All requests of one drill, in the order in which they were sent."""

    def __init__(self, requests: Iterable[Request]) -> None:
        self.requests: list[Request] = sorted(requests, key=lambda request: request.at)
        self._times = [request.at for request in self.requests]

    def __len__(self) -> int:
        return len(self.requests)

    def between(self, start: float, end: float) -> Record:
        """The requests sent in [start, end)."""
        return Record(self.requests[bisect_left(self._times, start) : bisect_left(self._times, end)])

    def where(self, condition: Callable[[Request], bool]) -> Record:
        return Record(filter(condition, self.requests))

    @property
    def start(self) -> float:
        return self._times[0] if self._times else 0.0

    @property
    def end(self) -> float:
        return self._times[-1] if self._times else 0.0

    @property
    def failed(self) -> list[Request]:
        return [request for request in self.requests if request.failed]

    @property
    def failed_share(self) -> float:
        return len(self.failed) / len(self) if self.requests else 0.0

    def first_failed_answer(self, *, sent_before: float) -> float | None:
        """When the first failed answer to a request of that time arrived."""
        return min((request.answered_at for request in self.failed if request.at < sent_before), default=None)

    def versions(self) -> Counter[str | None]:
        return Counter(request.version for request in self.requests)

    def share_of(self, version: str) -> float | None:
        """The version's share of the requests that any version answered; None if none did."""
        counts = self.versions()
        answered = len(self) - counts[None]
        return counts[version] / answered if answered else None

    def failures_by_kind(self) -> Counter[str]:
        """How often each kind of failure occurred, for a message."""
        return Counter(
            f"{each.method} {each.code} {_WHICH.sub('', each.error) or 'no answer'} (version {each.version})"
            for each in self.failed
        )

    def seconds(self) -> list[Second]:
        """The drill second by second, without gaps."""
        if not self.requests:
            return []
        buckets: list[list[Request]] = [[] for _ in range(int(self.end - self.start) + 1)]
        for request in self.requests:
            buckets[int(request.at - self.start)].append(request)
        return [
            Second(
                at=self.start + index,
                by_version=dict(Counter(request.version for request in bucket)),
                failed=sum(request.failed for request in bucket),
                latencies=tuple(sorted(request.latency for request in bucket)),
            )
            for index, bucket in enumerate(buckets)
        ]


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest of the sorted values that at least `share` of them do not exceed; None of none."""
    return ordered[max(ceil(share * len(ordered)) - 1, 0)] if ordered else None


def read(lines: Iterable[str]) -> Record:
    """Read what `vegeta encode --to csv` prints."""
    return Record(_request(row) for row in csv.reader(lines) if row)


def _request(row: Sequence[str]) -> Request:
    found = _VERSION.search(base64.b64decode(row[_HEADERS])) if row[_HEADERS] else None
    return Request(
        at=int(row[_AT]) / _NANO,
        latency=int(row[_LATENCY]) / _NANO,
        code=int(row[_CODE]),
        version=found.group(1).decode().strip() if found else None,
        method=row[_METHOD],
        url=row[_URL],
        error=row[_ERROR],
    )
