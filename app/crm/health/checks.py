"""The check that django-health-check does not have as we need it."""

from dataclasses import dataclass

from django.core.cache import cache
from health_check.base import HealthCheck  # type: ignore[import-untyped]
from health_check.exceptions import ServiceUnavailable  # type: ignore[import-untyped]

from crm.health.heartbeat import WORKER_KEY


@dataclass
class CeleryWorkers(HealthCheck):  # type: ignore[misc]
    """A worker has been heard of lately.

    Asking all of them (`ping`) takes a second and makes a queue for each question.
    """

    def run(self) -> None:
        if cache.get(WORKER_KEY) is None:
            raise ServiceUnavailable("no worker has been heard of lately")
