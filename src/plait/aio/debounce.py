"""Bundling of signals: wait until they cease for a moment, but never longer than a limit.

The first signal starts the wait; each further one prolongs it by the quiet time, up to `longest` after the first.
A lone signal is therefore served after `quiet`, and a storm at least every `longest`.
"""

import asyncio


class Debounce:
    """Signals in, bundles out; times in seconds."""

    def __init__(self, *, quiet: float, longest: float) -> None:
        self._quiet = quiet
        self._longest = longest
        self._signalled = asyncio.Event()
        self._first = 0.0
        self._last = 0.0

    def signal(self) -> None:
        """Something happened; cheap, and may be called at any rate."""
        now = asyncio.get_running_loop().time()
        if not self._signalled.is_set():
            self._first = now
            self._signalled.set()
        self._last = now

    async def wait(self) -> None:
        """Return when signals have come and ceased, or have lasted for the limit; those are then served."""
        loop = asyncio.get_running_loop()
        await self._signalled.wait()
        while True:
            left = due(self._first, self._last, quiet=self._quiet, longest=self._longest) - loop.time()
            if left <= 0:
                break
            await asyncio.sleep(left)
        self._signalled.clear()


def due(first: float, last: float, *, quiet: float, longest: float) -> float:
    """When signals that began at `first` and came last at `last` are to be served."""
    return min(last + quiet, first + longest)
