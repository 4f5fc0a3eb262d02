"""The database pool of this process."""

from collections.abc import Iterator

from django.db import connections
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

GAUGES = {
    "size": ("pool_size", "Connections in the pool, busy or free."),
    "available": ("pool_available", "Free connections."),
    "max": ("pool_max", "Connections that the pool may have."),
    "waiting": ("requests_waiting", "Threads that wait for a connection."),
}
COUNTERS = {
    "requests": ("requests_num", 1, "Connections asked for."),
    "requests_queued": ("requests_queued", 1, "Connections that had to be waited for."),
    "request_errors": ("requests_errors", 1, "Connections that were not given in time."),
    "wait_seconds": ("requests_wait_ms", 1000, "Time spent waiting for connections."),
    "connections": ("connections_num", 1, "Attempts to connect to the database."),
    "connection_errors": ("connections_errors", 1, "Attempts that failed."),
}


class DatabasePool(Collector):
    """db_pool_*, from psycopg's own statistics; nothing in a process without a pool."""

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        pool = getattr(connections["default"], "pool", None)
        if pool is None:
            return
        stats = pool.get_stats()
        for name, (key, help_text) in GAUGES.items():
            yield GaugeMetricFamily(f"db_pool_{name}", help_text, value=stats.get(key, 0))
        for name, (key, unit, help_text) in COUNTERS.items():
            yield CounterMetricFamily(f"db_pool_{name}", help_text, value=stats.get(key, 0) / unit)
