"""A stream to control ends for good when its proxy is removed or the agent ends, whatever else happens just then."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import cast

from plait.ads.relayed import RelayedProxy
from plait.ads.server import ACCEPTED
from plait.ads.transport import Channels
from plait.ads.uplink import Uplink
from plait.envoy.resource_set import ResourceSet

_WITHIN = 2.0


class _Call:
    """A stream that control lets in and ends at once."""

    def __init__(self, ends: Callable[[], None]) -> None:
        self._ends = ends

    async def write(self, _request: object) -> None:
        """Everything is written."""

    async def initial_metadata(self) -> tuple[tuple[str, str], ...]:
        """Control has let the stream in."""
        return (ACCEPTED,)

    async def read(self) -> None:
        """The end of the stream."""
        self._ends()

    async def details(self) -> str:
        """Why it ended."""
        return "control ended the stream"

    def cancel(self) -> None:
        """Nothing is left to cancel."""


class _Channels:
    """Leads to streams that end; `ends` is called when one does."""

    def __init__(self, ends: Callable[[], None]) -> None:
        self._ends = ends

    @asynccontextmanager
    async def lease(self) -> AsyncGenerator["_Channels"]:
        """The channel is this object itself."""
        yield self

    def stream_stream(self, *_words: object, **_options: object) -> Callable[[], _Call]:
        """What opens a stream."""
        return lambda: _Call(self._ends)


def test_a_cancellation_that_meets_the_end_of_the_stream_is_not_lost() -> None:
    """Python 3.11 drops a cancellation of a task whose group has just failed; the stream was then opened for ever."""

    async def scenario() -> tuple[bool, bool]:
        loop = asyncio.get_running_loop()

        def ends() -> None:
            # in the next turn the reader has failed, and the group that it is of has not been left yet
            loop.call_soon(running.cancel)

        channels = _Channels(ends)
        uplink = Uplink(
            RelayedProxy("default/web", good=ResourceSet(), hosts=()), cast("Channels", channels), lambda _proxy: None
        )
        running = asyncio.create_task(uplink.run())
        done, _ = await asyncio.wait({running}, timeout=_WITHIN)
        cancelled = running.cancelled()
        running.cancel()
        await asyncio.wait({running}, timeout=_WITHIN)
        return bool(done), cancelled

    assert asyncio.run(scenario()) == (True, True)
