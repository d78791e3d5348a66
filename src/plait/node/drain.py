"""Leaving without loss: the order in which a workload ends.

    1  its endpoint is taken back, and control has told so          callers drain their own pools to it
    2  a short settling time, if anybody ever called                callers acknowledge what control told them
    3  the sidecar asks clients that are not of the mesh to leave
    4  until no inbound connection is left, or the grace is over
    5  the app gets its signal; its outbound calls work until it is gone, and only then the sidecar ends

Any other order lost requests (measured; see the design's notes on rolling restarts). Each wait is bounded: an
unreachable control or a dead sidecar only shortens what can be done.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from plait.errors import PlaitError

SETTLE: Final = 0.5
TOLD_WITHIN: Final = 2.0
_LOOK_EVERY: Final = 0.05


class Inbound(Protocol):
    """The inbound side of a sidecar."""

    async def connections(self) -> tuple[int, int]:
        """Connections open now, and ever; raises UnreachableError when the sidecar does not answer."""
        ...

    async def ask_to_leave(self) -> None:
        """Tell clients on open connections to go elsewhere."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """How it went: seconds it took, and connections that were still open when the grace ended."""

    seconds: float
    left: int


async def drain(
    inbound: Inbound,
    withdraw: Callable[[], Awaitable[None]],
    *,
    grace: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Drained:
    """Steps 1 to 4; returns when the app may be told to end."""
    started = clock()
    with contextlib.suppress(PlaitError, TimeoutError):
        await asyncio.wait_for(withdraw(), TOLD_WITHIN)
    left = 0
    try:
        _active, ever = await inbound.connections()
        if ever:
            await sleep(SETTLE)
            await inbound.ask_to_leave()
            left = await _until_none(inbound, started + grace, sleep, clock)
    except PlaitError:
        left = 0
    return Drained(seconds=clock() - started, left=left)


async def _until_none(
    inbound: Inbound, deadline: float, sleep: Callable[[float], Awaitable[None]], clock: Callable[[], float]
) -> int:
    while True:
        active, _ever = await inbound.connections()
        if not active or clock() >= deadline:
            return active
        await sleep(_LOOK_EVERY)
