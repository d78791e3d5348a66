"""A signal that something may have changed, for tasks that wait until a condition holds."""

import asyncio
from collections.abc import Callable


class Signal:
    """Wakes whoever waits; a notification that nobody has waited for yet is kept."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Something may have changed."""
        self._event.set()

    async def wait(self) -> None:
        """Wait for a notification and take it."""
        await self._event.wait()
        self._event.clear()


class Condition:
    """Lets any number of tasks wait until what they look at has come true."""

    def __init__(self) -> None:
        self._waiting: set[Signal] = set()

    def notify(self) -> None:
        """What somebody looks at may have changed."""
        for signal in self._waiting:
            signal.notify()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return once `holds()` is true; it is looked at now and after every notification."""
        signal = Signal()
        self._waiting.add(signal)
        try:
            while not holds():
                await signal.wait()
        finally:
            self._waiting.discard(signal)
