"""Counts requests against quotas, by the library `limits`: in memory, or in a Redis that several controls share.

A window slides: what was taken in the window before counts less and less. So of each window of the clock no more than
the quota is taken, and at its border not twice as much at once. A request that is refused is not counted.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerHour, RateLimitItemPerMinute
from limits import RateLimitItemPerSecond as PerSecond
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import ConfigurationError

from plait.errors import RefusedError
from plait.limiting.memory import BoundedMemory
from plait.model.protection import Quota, SharedLimit

if TYPE_CHECKING:
    from limits.aio.storage import RedisStorage

MOST_COUNTERS: Final = 50_000
"""In memory, for each service: about 10 MB."""
_REDIS: Final = ("redis", "rediss", "redis+unix")
_REDIS_TIMEOUT: Final = 1.0
_PER: Final[dict[int, type[RateLimitItem]]] = {
    1: PerSecond,
    60: RateLimitItemPerMinute,
    3600: RateLimitItemPerHour,
    86400: RateLimitItemPerDay,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a request at the quota that has least room: how much is left.

    `reset` is in how many seconds there is more: at the end of the window, or of one refused the earliest that such a
    request may pass.
    """

    passes: bool
    quota: Quota
    remaining: int
    reset: float


class Counting:
    """Counts for all services; `storage_of` gives where those of a service are kept."""

    def __init__(self, storage_of: "Callable[[str], BoundedMemory | RedisStorage]") -> None:
        self._storage_of = storage_of
        self._counters: dict[str, _Counters] = {}

    async def take(self, limit: SharedLimit, value: str, amount: int = 1) -> Taken:
        """Count a request with that value against all quotas of a limit, up to the first that has no room.

        Raises ConnectionError if whoever keeps the counters cannot be asked.
        """
        service = str(limit.service)
        counters = self._counters.get(service)
        if counters is None:
            counters = self._counters[service] = _Counters(self._storage_of(service))
        identifiers = (service, limit.id, _digest(value))
        found: list[Taken] = []
        try:
            for quota in limit.quotas:
                found.append(await counters.take(quota, identifiers, amount))
                if not found[-1].passes:
                    return found[-1]
        except counters.failures as error:
            raise ConnectionError(f"the counters cannot be reached: {error}") from error
        return min(found, key=lambda taken: taken.remaining)


class _Counters:
    """The counters of a service."""

    def __init__(self, storage: "BoundedMemory | RedisStorage") -> None:
        self._storage = storage
        self._strategy = SlidingWindowCounterRateLimiter(storage)
        self.failures = storage.base_exceptions

    async def take(self, quota: Quota, identifiers: Sequence[str], amount: int) -> Taken:
        """Count against one quota."""
        item = _PER[quota.per](quota.count)
        passes = await self._strategy.hit(item, *identifiers, cost=amount)
        window = await self._storage.get_sliding_window(item.key_for(*identifiers), quota.per)
        before, weight, now, _ = window
        left = quota.count - int(before * weight / quota.per + now)
        reset = _rest(window, quota) if passes else min(_rest(window, quota), _until_room(window, quota, amount))
        return Taken(passes=passes, quota=quota, remaining=max(0, left) if passes else 0, reset=reset)


Window = tuple[int, float, int, float]
"""As the library gives it: the previous count, the seconds that it weighs, the current count, and its life."""


def _rest(window: Window, quota: Quota) -> float:
    """Seconds until the window ends."""
    return max(0.0, window[3] - quota.per)


def _until_room(window: Window, quota: Quota, amount: int) -> float:
    """Seconds until the previous window weighs so little that there is room; infinite if that is not enough."""
    before, weight, now, _ = window
    room = quota.count - amount - now + 1
    return max(0.0, weight - room * quota.per / before) if before and room > 0 else math.inf


def _digest(value: str) -> str:
    """A value as the counters know it: of one length, and nothing that somebody could read there."""
    return hashlib.blake2b(value.encode(), digest_size=16).hexdigest() if value else "-"


def in_memory() -> Counting:
    """Counts in this process; what one service's callers name takes nothing from other services."""
    return Counting(lambda _service: BoundedMemory(MOST_COUNTERS))


def in_redis(url: str, prefix: str) -> Counting:
    """Counts in a Redis at `redis://[USER:PASSWORD@]HOST:PORT[/DB]`; keys begin with the prefix."""
    if urlsplit(url).scheme not in _REDIS:
        raise RefusedError(
            "PLAIT_RATE_LIMIT_STORE is no address of a Redis", "give redis://HOST:PORT/DB, or leave it out"
        )
    from limits.aio.storage import RedisStorage

    limit = _REDIS_TIMEOUT
    try:
        storage = RedisStorage(
            f"async+{url}",
            implementation="redispy",
            key_prefix=prefix,
            socket_timeout=limit,
            socket_connect_timeout=limit,
        )
    except (ConfigurationError, ValueError) as error:
        problem = "rate limits cannot be counted in Redis"
        raise RefusedError(f"{problem}: {error}", "install it with `pip install 'plait[redis]'`") from error
    return Counting(lambda _service: storage)
