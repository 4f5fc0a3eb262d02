"""The worker's signs of life: files for its own probes, a key in Redis for the deep health check."""

from pathlib import Path
from tempfile import gettempdir
from time import time
from typing import Any

from celery.signals import heartbeat_sent, worker_init, worker_ready, worker_shutting_down
from django.core.cache import cache

# Read by the pod's probes.
WORKER_ALIVE = Path(gettempdir(), "worker-alive")
WORKER_READY = Path(gettempdir(), "worker-ready")
WORKER_KEY = "worker-heartbeat"
WORKER_KEY_SECONDS = 15


def starting(**_: Any) -> None:
    WORKER_READY.unlink(missing_ok=True)
    WORKER_ALIVE.touch()


def alive(**_: Any) -> None:
    """Every two seconds, by the loop that also takes the tasks."""
    WORKER_ALIVE.touch()
    cache.set(WORKER_KEY, int(time()), timeout=WORKER_KEY_SECONDS)


def ready(**_: Any) -> None:
    WORKER_READY.touch()
    alive()


def stopping(**_: Any) -> None:
    WORKER_READY.unlink(missing_ok=True)


def connect() -> None:
    worker_init.connect(starting)
    heartbeat_sent.connect(alive)
    worker_ready.connect(ready)
    worker_shutting_down.connect(stopping)
