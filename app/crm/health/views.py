"""Health as JSON: {"status": "ok", "version": "1.2", "checks": {"database": "ok", …}}, with 200.

Else "unhealthy" and "unavailable", with 503; the reason is in the log, not in the answer.
"""

import asyncio
from collections.abc import Callable
from typing import ClassVar

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from health_check.base import HealthCheck  # type: ignore[import-untyped]
from health_check.checks import Cache, Database  # type: ignore[import-untyped]
from health_check.views import HealthCheckView  # type: ignore[import-untyped]

from crm.health.checks import CeleryWorkers


class Health(HealthCheckView):  # type: ignore[misc]
    named: ClassVar[dict[str, Callable[[], HealthCheck]]] = {}

    async def get(self, request: HttpRequest, *args: object, **kwargs: object) -> JsonResponse:
        results = await asyncio.gather(*(make().get_result() for make in self.named.values()))
        healthy = not any(result.error for result in results)
        return JsonResponse(
            {
                "status": "ok" if healthy else "unhealthy",
                "version": settings.VERSION,
                "checks": {
                    name: "unavailable" if result.error else "ok"
                    for name, result in zip(self.named, results, strict=True)
                },
            },
            status=200 if healthy else 503,
        )


class Live(Health):
    """The process answers. It depends on nothing, since a restart would mend nothing else."""


class Ready(Health):
    """Requests can be answered: a pod whose database is away gets none.

    Redis is not asked: no request needs it, and when it is away, it is so for every pod.
    """

    named: ClassVar = {"database": Database}


class Deep(Health):
    """Everything works, e-mails included."""

    named: ClassVar = {"database": Database, "redis": Cache, "celery": CeleryWorkers}
