"""The question `health`: is the new version as healthy as the stable one, which is asked at the same moment?

Both are asked for /health/ through their own Services, as a user's request arrives. What fails in both is nobody's
release: then PostgreSQL, Redis or the worker is away from everybody.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

import httpx

from delivery import web
from delivery.errors import Refused
from delivery.guard.security import BAD, FINE, UNKNOWN, Verdict
from delivery.texts import one_line

# Each check of the application ends sooner (app/crm/health); Argo Rollouts waits for three answers.
SECONDS = 3.0
_MOST_BYTES = 64 * 1024
_MOST_WORDS = 100
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class _Found:
    healthy: bool
    says: str


@dataclass
class Health:
    address: str = "http://crm-{version}.{namespace}.svc/health/"
    """Of one of both versions, `canary` and `stable`."""
    client: httpx.Client = field(default_factory=web.client)

    def verdict(self, namespace: str) -> Verdict:
        """Raises Refused if that is no namespace."""
        if not _NAMESPACE.fullmatch(namespace):
            raise Refused(f"A namespace is asked for (?namespace=crm-production), not {namespace!r}.")
        if (canary := self._ask("canary", namespace)).healthy:
            return Verdict(FINE, canary.says)
        if not (stable := self._ask("stable", namespace)).healthy:
            return Verdict(UNKNOWN, f"neither is healthy: {canary.says}; stable: {stable.says}")
        # Once more: what both need may have come back between the two answers.
        if (again := self._ask("canary", namespace)).healthy:
            return Verdict(FINE, again.says)
        return Verdict(BAD, f"{again.says}, while the stable version is healthy")

    def _ask(self, version: str, namespace: str) -> _Found:
        url = self.address.format(version=version, namespace=namespace)
        try:
            # A connection of its own each time: one that stayed open would lead to the same pod for ever, whatever
            # version it is of.
            answer = web.get(
                self.client, url, seconds=SECONDS, most=_MOST_BYTES, headers={"Connection": "close"}
            )
        except httpx.HTTPError as error:
            return _Found(False, f"no answer: {one_line(error)}"[:_MOST_WORDS])
        if not answer.is_success:
            return _Found(False, f"{_told(answer)} answers {answer.status_code}")
        return _Found(True, f"{_told(answer)} is healthy")


def _told(answer: httpx.Response) -> str:
    """What the answer says that it is of, and which of its checks failed."""
    try:
        said = answer.json()
        checks = [str(name) for name, state in said.get("checks", {}).items() if state != "ok"]
        words = " ".join([str(said["version"]), *(["without", ", ".join(checks)] if checks else [])])
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError, KeyError, TypeError):
        words = "something that is no CRM"
    return one_line(words)[:_MOST_WORDS]
