"""What a task takes along into the queue: when it was queued, and for which request."""

from time import time
from typing import Any

from celery import Task
from celery.signals import before_task_publish, task_postrun, task_prerun

from crm.http.log_lines import request_id

QUEUED_AT = "queued_at"
REQUEST_ID = "request_id"


def note(headers: dict[str, Any] | None = None, **_: Any) -> None:
    """Called in the process that queues; a task that comes back keeps what it has."""
    if headers is not None:
        headers.setdefault(QUEUED_AT, time())
        headers.setdefault(REQUEST_ID, request_id.get())


def begin(task: Task[..., Any], **_: Any) -> None:
    """Every line that the task writes has the id of the request that queued it."""
    request_id.set(task.request.get(REQUEST_ID) or "")


def end(**_: Any) -> None:
    request_id.set("")


def connect() -> None:
    before_task_publish.connect(note)
    task_prerun.connect(begin)
    task_postrun.connect(end)
