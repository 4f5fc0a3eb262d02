"""The analysis `health`: is the new version as healthy as the stable one, which is asked at the same moment?

Both are asked for /health/ through their own Services, as a user's request arrives. What both lack is not the release's
fault: PostgreSQL, Redis or the one worker is away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial

import httpx

from delivery import web
from delivery.errors import Refused
from delivery.guard.image_policy import BAD, FINE, UNKNOWN, CheckResult
from delivery.texts import one_line

# Each check of the application ends sooner (app/crm/health); Argo Rollouts waits for three answers.
SECONDS = 3.0
_MOST_BYTES = 64 * 1024
_MOST_WORDS = 100
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class _Answer:
    """What one version answered, in words, and which of its checks failed; None if it named none."""

    summary: str
    lacks: frozenset[str] | None = None

    @property
    def healthy(self) -> bool:
        return self.lacks == frozenset()

    def is_worse_than(self, other: _Answer) -> bool:
        """It lacks what the other has. Without an answer it is worse than a healthy one alone."""
        if self.lacks is None or other.lacks is None:
            return other.healthy and not self.healthy
        return not self.lacks <= other.lacks


@dataclass
class Health:
    address: str = "http://{name}-{version}.{namespace}.svc/health/"
    """Of one of both versions, `canary` and `stable`, of the CRM of that name."""
    client: httpx.Client = field(default_factory=web.client)

    def verdict(self, namespace: str, name: str = "crm") -> CheckResult:
        """`name`: as the chart's fullnameOverride. Raises Refused if those are none."""
        for given in (namespace, name):
            if not _NAME.fullmatch(given):
                raise Refused(
                    f"A namespace and a name are asked for (?namespace=crm-dev&name=crm), not {given!r}."
                )
        ask = partial(self._ask, name=name, namespace=namespace)
        if (canary := ask("canary")).healthy:
            return CheckResult(FINE, canary.summary)
        stable = ask("stable")
        # Once more: what both need may have come back between the two answers.
        if canary.is_worse_than(stable) and (canary := ask("canary")).is_worse_than(stable):
            return CheckResult(BAD, f"{canary.summary}; stable: {stable.summary}")
        return CheckResult(
            UNKNOWN, f"no worse than the stable version: {canary.summary}; stable: {stable.summary}"
        )

    def _ask(self, version: str, *, name: str, namespace: str) -> _Answer:
        url = self.address.format(name=name, version=version, namespace=namespace)
        try:
            # A connection of its own each time: one that stayed open would lead to the same pod for ever, whatever
            # version it is of.
            answer = web.get(
                self.client, url, seconds=SECONDS, most=_MOST_BYTES, headers={"Connection": "close"}
            )
        except httpx.HTTPError as error:
            return _Answer(f"no answer ({one_line(error)[:_MOST_WORDS]})")
        return _read(answer)


def _read(answer: httpx.Response) -> _Answer:
    try:
        found = answer.json()
        name = one_line(str(found["version"]))[:_MOST_WORDS]
        lacks = frozenset(str(check) for check, state in found["checks"].items() if state != "ok")
    except (ValueError, AttributeError, KeyError, TypeError):
        return _Answer(f"{answer.status_code} from something that is no CRM")
    if answer.is_success:
        return _Answer(f"{name} is healthy", frozenset())
    listed = one_line(", ".join(sorted(lacks)))[:_MOST_WORDS]
    return _Answer(
        f"{name} has no {listed}" if lacks else f"{name} answers {answer.status_code}", lacks or None
    )
