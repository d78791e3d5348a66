"""A place for one value that is replaced, never queued: a slow reader skips to the newest."""

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """Holds the newest value that was not read yet."""

    def __init__(self) -> None:
        self._values: list[T] = []
        self._filled = asyncio.Event()

    def put(self, value: T) -> None:
        """Replace whatever is waiting."""
        self._values = [value]
        self._filled.set()

    async def get(self) -> T:
        """Wait for a value and take it."""
        await self._filled.wait()
        self._filled.clear()
        return self._values.pop()

    async def __aiter__(self) -> AsyncIterator[T]:
        while True:
            yield await self.get()
