"""Redis and the queue in it, as seen from one place."""

import json
from collections.abc import Iterator
from time import time

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from crm.queueing import QUEUED_AT

_PATIENCE = 1.0
"""Seconds. A scrape that is given up tells nothing, not even that Redis hangs; the shortest one has 2 s."""


class RedisState(Collector):
    """redis_up; celery_queue_length{queue} and celery_queue_oldest_seconds{queue} while Redis answers."""

    def __init__(self, url: str, queues: tuple[str, ...]) -> None:
        no_retry = Retry(NoBackoff(), 0)
        self._client = Redis.from_url(
            url, socket_connect_timeout=_PATIENCE, socket_timeout=_PATIENCE, retry=no_retry
        )
        self._queues = queues

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            lengths = {queue: self._client.llen(queue) for queue in self._queues}
            # Tasks come in on the left.
            oldest = {queue: self._client.lindex(queue, -1) for queue in self._queues}
        except RedisError:
            yield GaugeMetricFamily("redis_up", "Whether Redis answers.", value=0)
            return
        yield GaugeMetricFamily("redis_up", "Whether Redis answers.", value=1)
        length = GaugeMetricFamily("celery_queue_length", "Tasks that wait for a worker.", labels=["queue"])
        age = GaugeMetricFamily(
            "celery_queue_oldest_seconds", "How long the oldest of them has been waiting.", labels=["queue"]
        )
        for queue in self._queues:
            length.add_metric([queue], lengths[queue])
            age.add_metric([queue], _seconds_in_queue(oldest[queue]))
        yield from (length, age)


def _seconds_in_queue(message: bytes | str | None) -> float:
    """0 where nothing waits, or where nobody wrote down since when."""
    queued_at = json.loads(message)["headers"].get(QUEUED_AT) if message else None
    return max(0.0, time() - queued_at) if queued_at else 0.0
