"""Supervision: a task that fails by a bug is logged, counted and started again; the others go on."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from plait.aio.backoff import backoff

logger = logging.getLogger(__name__)

RESTARTS: Final[Counter[str]] = Counter()
"""How often each supervised task was started again, by its name."""

_HEALTHY_AFTER: Final = 30.0


async def supervise(
    name: str,
    start: Callable[[], Awaitable[None]],
    *,
    waits: Callable[[], Iterator[float]] = backoff,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Run `start()` until it returns; when it raises, start it again after a growing wait."""
    pauses = waits()
    while True:
        began = clock()
        try:
            await start()
        except Exception:
            logger.exception("%s failed and is started again", name)
            RESTARTS[name] += 1
        else:
            return
        if clock() - began > _HEALTHY_AFTER:
            pauses = waits()
        await asyncio.sleep(next(pauses))
