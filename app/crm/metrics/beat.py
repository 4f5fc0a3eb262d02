"""Beat: the one process that looks after the clock and, since there is one of it, after Redis' metrics."""

from pathlib import Path
from tempfile import gettempdir
from typing import Any

from celery.beat import Scheduler
from celery.signals import beat_init
from celery.utils.log import get_logger
from django.conf import settings
from prometheus_client import CollectorRegistry, Gauge, start_http_server

from crm.metrics.redis_state import RedisState

BEAT_ALIVE = Path(gettempdir(), "beat-alive")  # read by the pod's liveness probe

REGISTRY = CollectorRegistry()
LAST_TICK = Gauge(
    "celery_beat_last_tick_timestamp_seconds", "When beat last looked at its schedule.", registry=REGISTRY
)

logger = get_logger(__name__)


class LivingScheduler(Scheduler):
    """Touches BEAT_ALIVE at each tick, every five seconds at least, also while it waits for Redis.

    The schedule is kept in memory: every task can be repeated and none is rarer than an hour.
    """

    def tick(self, *args: Any, **kwargs: Any) -> float:
        BEAT_ALIVE.touch()
        seconds = super().tick(*args, **kwargs)
        # After it: while Redis is away it waits inside.
        LAST_TICK.set_to_current_time()
        return seconds

    def _ensure_connected(self) -> Any:
        def waiting(error: Exception, seconds: float) -> None:
            BEAT_ALIVE.touch()
            logger.error("Redis does not answer (%s); trying again in %s s.", type(error).__name__, seconds)

        return self.connection.ensure_connection(waiting, interval_max=5)


@beat_init.connect
def serve_metrics(**_: Any) -> None:
    REGISTRY.register(RedisState(settings.CELERY_BROKER_URL, queues=(settings.CELERY_TASK_DEFAULT_QUEUE,)))
    start_http_server(settings.METRICS_PORT, registry=REGISTRY)
