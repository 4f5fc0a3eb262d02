"""The cache, and how often it had what it was asked for.

Redis' own counts are not the cache's: the length of an empty queue is a miss too (docs/decisions/0005).
"""

from collections.abc import Iterable
from typing import Any

from django.core.cache.backends.redis import RedisCache
from prometheus_client import Counter

HITS = Counter("redis_cache_hits", "Look-ups in the cache that found something.")
MISSES = Counter("redis_cache_misses", "Look-ups in the cache that found nothing.")
_NOTHING = object()


class CountedCache(RedisCache):
    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        found = super().get(key, _NOTHING, version)
        if found is _NOTHING:
            MISSES.inc()
            return default
        HITS.inc()
        return found

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        asked = list(keys)
        found: dict[Any, Any] = super().get_many(asked, version)
        HITS.inc(len(found))
        MISSES.inc(len(asked) - len(found))
        return found
