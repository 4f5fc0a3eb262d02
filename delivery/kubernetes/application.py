"""Argo CD's Application of an environment, and the Job of its migration, read from the API's objects once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from delivery.kubernetes.objects import Object, spec_of, status_of, time, true_condition

# How the API server reports that a webhook, such as Kyverno's, or a policy of its own has refused something.
_DENIED = re.compile(r"\bdenied (?:the )?request: (.*)", re.DOTALL)


@dataclass(frozen=True)
class Application:
    sync: str | None = None
    health: str | None = None
    revision: str | None = None
    """The commit of the code that was synced last."""
    operation: str | None = None
    """The phase of the sync that it is at, or else of the last one."""
    operation_message: str | None = None
    started_at: str = ""
    finished_at: str | None = None
    retries: int = 0
    wanted_revision: str | None = None
    wanted_digest: str | None = None
    synced_release: tuple[str | None, str | None] = (None, None)
    """The image's digest and the revision that the operation brings."""
    syncs_outdated_source: bool = False
    """Whether it is in the middle of a sync whose source is no longer that of its specification."""
    denied: str = ""
    """Why a policy of the cluster refused something of the operation; empty if it let all in."""
    errors: tuple[str, ...] = ()

    @classmethod
    def parse(cls, thing: Object) -> Self:
        status, source = status_of(thing), spec_of(thing).get("source") or {}
        operation, sync = status.get("operationState") or {}, status.get("sync") or {}
        result = operation.get("syncResult") or {}
        # The result is empty for a moment between two tries.
        asked = ((operation.get("operation") or {}).get("sync") or {}).get("source") or result.get("source")
        outdated = asked is not None and asked != spec_of(thing).get("source")
        synced, conditions = _values(result.get("source")), status.get("conditions") or []
        image, release = synced.get("image") or {}, synced.get("release") or {}
        return cls(
            sync=sync.get("status"),
            health=(status.get("health") or {}).get("status"),
            revision=sync.get("revision"),
            operation=operation.get("phase"),
            operation_message=operation.get("message"),
            started_at=str(operation.get("startedAt") or ""),
            finished_at=operation.get("finishedAt"),
            retries=operation.get("retryCount", 0),
            wanted_revision=source.get("targetRevision"),
            wanted_digest=(_values(source).get("image") or {}).get("digest"),
            synced_release=(image.get("digest"), release.get("revision")),
            syncs_outdated_source=operation.get("phase") == "Running" and outdated,
            denied=_denied(result.get("resources") or []),
            errors=tuple(each.get("message", "") for each in conditions if "Error" in each.get("type", "")),
        )


def _values(source: Object | None) -> Object:
    return ((source or {}).get("helm") or {}).get("valuesObject") or {}


def _denied(resources: Iterable[Object]) -> str:
    found = (_DENIED.search(str(each.get("message") or "")) for each in resources)
    return next((" ".join(denied[1].split()) for denied in found if denied), "")


def application_set_error(thing: Object) -> str | None:
    """What keeps the environment's ApplicationSet from making its Application; None where nothing does."""
    found = true_condition(thing, "ErrorOccurred")
    return str(found.get("message", "ErrorOccurred")) if found else None


@dataclass(frozen=True)
class Migration:
    uid: str = ""
    images: tuple[str, ...] = ()
    is_active: bool = False
    has_failed_pods: bool = False
    failed_at: datetime | None = None
    failure: str = ""
    """Why it failed for good; empty where it has not."""

    @classmethod
    def parse(cls, job: Object) -> Self:
        status, template = status_of(job), spec_of(job).get("template") or {}
        failed = true_condition(job, "Failed")
        return cls(
            uid=(job.get("metadata") or {}).get("uid", ""),
            images=tuple(each["image"] for each in spec_of(template).get("containers") or []),
            is_active=bool(status.get("active")),
            has_failed_pods=bool(status.get("failed")),
            failed_at=time(failed.get("lastTransitionTime")),
            failure=(failed.get("message") or failed.get("reason") or "it failed") if failed else "",
        )
