"""Gives memory back to the system that a burst has left free.

Allocators keep what was freed in case it is needed again: after a thousand machines have come at once, control would
keep the memory of all their first responses for good.
"""

import asyncio
import ctypes
from collections.abc import Awaitable, Callable
from typing import Final

EVERY: Final = 15.0


def trimmer() -> Callable[[], object]:
    """What gives free memory back, where the C library can do that (glibc); elsewhere nothing is done."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return lambda: None
    return lambda: trim(0)


async def keep_trimmed(rest: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
    """Give free memory back every so many seconds, for ever; the event loop goes on meanwhile."""
    give_back = trimmer()
    while True:
        await rest(EVERY)
        await asyncio.to_thread(give_back)
