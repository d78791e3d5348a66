"""Counters in memory, so many at most, for the library `limits`.

The library's own memory looks through all counters at each request, and keeps as many as callers can name. Here the
ones that were not used for longest give way: whoever names very many values had a counter of his own for each anyway.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from math import floor

from limits.aio.storage import SlidingWindowCounterSupport, Storage
from limits.storage.base import TimestampedSlidingWindow


class BoundedMemory(Storage, SlidingWindowCounterSupport, TimestampedSlidingWindow):
    """At most `most` counters; `clock` gives seconds. Nothing in it waits, so each call is one step."""

    STORAGE_SCHEME = None

    def __init__(self, most: int, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._most = most
        self._clock = clock
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """What goes wrong here: nothing."""
        return ()

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Add to a counter, which lives `expiry` seconds from its first use; the new count."""
        return self._add(key, expiry, amount)

    async def get(self, key: str) -> int:
        """A counter; 0 if there is none."""
        return self._count(key)

    async def get_expiry(self, key: str) -> float:
        """When a counter ends."""
        return self._counts.get(key, (0, self._clock()))[1]

    async def check(self) -> bool:
        """Memory is always there."""
        return True

    async def reset(self) -> int | None:
        """Forget every counter; how many there were."""
        found = len(self._counts)
        self._counts.clear()
        return found

    async def clear(self, key: str) -> None:
        """Forget a counter."""
        self._counts.pop(key, None)

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count `amount` if there is room for it in the window of `expiry` seconds that ends now."""
        before, weight, now, _ = self._window(key, expiry)
        if floor(before * weight / expiry + now) + amount > limit:
            return False
        self._add(self.sliding_window_keys(key, expiry, self._clock())[1], 2 * expiry, amount)
        return True

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """The previous count, for how many seconds it weighs, the current count, and its remaining life in seconds."""
        return self._window(key, expiry)

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        """Forget both counters of a window."""
        for item in self.sliding_window_keys(key, expiry, self._clock()):
            self._counts.pop(item, None)

    def _window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        at = self._clock()
        previous, current = (self._count(item) for item in self.sliding_window_keys(key, expiry, at))
        rest = expiry - at % expiry
        return previous, rest if previous else 0.0, current, rest + expiry

    def _count(self, key: str) -> int:
        if key not in self._counts:
            return 0
        count, ends = self._counts[key]
        if ends <= self._clock():
            del self._counts[key]
            return 0
        self._counts.move_to_end(key)
        return count

    def _add(self, key: str, expiry: float, amount: int) -> int:
        count = self._count(key)
        ends = self._counts[key][1] if count else self._clock() + expiry
        self._counts[key] = (count + amount, ends)
        if len(self._counts) > self._most:
            self._counts.popitem(last=False)
        return count + amount
