"""The worker's tasks: how many it began, and how many of them failed.

Counted in the worker's main process, which sees the end of every task, also of one that took its child process
with it, and which answers Prometheus.
"""

from typing import Any

from billiard.einfo import ExceptionWithTraceback  # type: ignore[attr-defined]
from celery import Task
from celery.exceptions import Ignore, Reject, Retry
from celery.signals import worker_ready
from celery.worker.request import Request
from django.conf import settings
from prometheus_client import CollectorRegistry, Counter, start_http_server

REGISTRY = CollectorRegistry()
STARTED = Counter("celery_tasks_started", "Tasks that the worker began.", ["task"], registry=REGISTRY)
FAILED = Counter(
    "celery_tasks_failed",
    "Tasks that raised an exception, took too long or killed their process.",
    ["task"],
    registry=REGISTRY,
)
# What a task raises to say what is to become of it.
INTENDED = (Retry, Ignore, Reject)


class CountedRequest(Request):
    def on_accepted(self, pid: Any, time_accepted: float) -> None:
        super().on_accepted(pid, time_accepted)
        STARTED.labels(self.task_name).inc()
        FAILED.labels(self.task_name)  # there from the start, at 0

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> Any:
        error = exc_info.exception
        if isinstance(error, ExceptionWithTraceback):
            error = error.exc
        if not isinstance(error, INTENDED):
            FAILED.labels(self.task_name).inc()
        return super().on_failure(exc_info, send_failed_event, return_ok)


class CountedTask(Task):  # type: ignore[type-arg]
    Request = "crm.metrics.worker:CountedRequest"


@worker_ready.connect
def serve_metrics(**_: Any) -> None:
    """Once the processes for the tasks are there, so that none of them is forked from a thread's middle."""
    start_http_server(settings.METRICS_PORT, registry=REGISTRY)
