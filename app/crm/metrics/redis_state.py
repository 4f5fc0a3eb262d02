"""Redis, as seen from one place: the queue and the hit rate."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry


class RedisState(Collector):
    """celery_queue_length{queue} and redis_hit_rate; neither while Redis does not answer."""

    def __init__(self, url: str, queues: tuple[str, ...]) -> None:
        no_retry = Retry(NoBackoff(), 0)
        self._client = Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2, retry=no_retry)
        self._queues = queues

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            lengths = {queue: self._client.llen(queue) for queue in self._queues}
            stats = self._client.info("stats")
        except RedisError:
            return
        length = GaugeMetricFamily("celery_queue_length", "Tasks that wait for a worker.", labels=["queue"])
        for queue, tasks in lengths.items():
            length.add_metric([queue], tasks)
        yield length
        hits, misses = stats["keyspace_hits"], stats["keyspace_misses"]
        if hits + misses:
            yield GaugeMetricFamily(
                "redis_hit_rate",
                "Share of key look-ups that found one, since Redis started.",
                value=hits / (hits + misses),
            )
