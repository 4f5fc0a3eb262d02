"""How often somebody may ask: per client and per account, counted in Redis for all pods together.

Three lines of Lua rather than a package: `limits` is not for redis-py 8, and REST framework's own throttles read and
write apart, so that a burst passes them.
"""

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

from django.conf import settings
from django.utils.crypto import salted_hmac
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from config.env import Rate
from crm.http.client import client_of

logger = logging.getLogger(__name__)

# One step for Redis, so that of many at once exactly as many pass as may. The time runs from the first one on.
_SPEND = """
local spent = redis.call('INCR', KEYS[1])
if spent == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return {spent, redis.call('PTTL', KEYS[1])}
"""


@cache
def redis() -> Redis:
    """The cache's server, with the cache's patience, and asked once: a request waits for one time-out at most."""
    where = cast("dict[str, Any]", settings.CACHES["default"])
    return Redis.from_url(where["LOCATION"], **(where["OPTIONS"] | {"retry": Retry(NoBackoff(), 0)}))


def spend(scope: str, kind: str, who: str, rate: Rate) -> float:
    """Take one of who's requests; 0 if there was one left, else the seconds until there are some again.

    Raises RedisError.
    """
    # Redis is told neither names nor addresses.
    name = salted_hmac("crm.rate", who, algorithm="sha256").hexdigest()
    spent, milliseconds = redis().register_script(_SPEND)([f"crm:rate:{scope}:{kind}:{name}"], [rate.seconds])
    return 0 if spent <= rate.requests else max(1, milliseconds) / 1000


class RateLimit(BaseThrottle):
    """POSTs of one endpoint; `scope` names its limits in RATES."""

    scope: str
    _wait: float = 0

    def account(self, request: Request) -> str:
        """Whose account is asked for; empty if nobody's."""
        return str(request.user.pk)

    def allow_request(self, request: Request, view: APIView) -> bool:
        if request.method != "POST":
            return True
        rates = settings.RATES[self.scope]
        try:
            # The client first: one who is refused uses up nothing of an account that may be somebody else's.
            self._wait = spend(self.scope, "address", client_of(request), rates["address"])
            if not self._wait and "account" in rates and (account := self.account(request)):
                self._wait = spend(self.scope, "account", account, rates["account"])
        except (RedisError, OSError) as error:
            logger.warning("Redis does not count who asks (%s); everybody may.", type(error).__name__)
            return True
        return not self._wait

    def wait(self) -> float:
        return self._wait


def text_in(request: Request, name: str) -> str:
    """What the body says under this name, as far as it is a text. Raises ParseError if there is no reading it."""
    value: Any = request.data.get(name) if isinstance(request.data, Mapping) else None
    # JSON can say half a character, which nothing can count; nor is it a name.
    return value.encode(errors="ignore").decode() if isinstance(value, str) else ""
