"""The stream of one proxy to control: opened again whenever it ends, after a short, jittered wait.

Only the first request, which names the proxy, is written before control has let the stream in: who is turned away
then learns why, whatever was under way.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from plait.ads.relayed import RelayedProxy
from plait.ads.server import ACCEPTED, DELTA_METHOD, SERVICE, StreamEnd
from plait.ads.transport import Channels
from plait.aio.backoff import backoff
from plait.aio.signal import Signal

logger = logging.getLogger(__name__)

_STATUS_LIMIT: Final = 0.5
_METHOD: Final = f"/{SERVICE}/{DELTA_METHOD}"

Call = grpc.aio.StreamStreamCall[discovery_pb2.DeltaDiscoveryRequest, discovery_pb2.DeltaDiscoveryResponse]


class Uplink:
    """Keeps a stream to control open for one proxy."""

    def __init__(self, state: RelayedProxy, channels: Channels, moved: Callable[[str], None]) -> None:
        """`moved(proxy)` is called whenever something came or the stream began or ended."""
        self._state = state
        self._channels = channels
        self._moved = moved
        self._work = Signal()
        self._accepted = False
        self.connected = False
        self.problem = ""

    def wake(self) -> None:
        """There may be requests to write."""
        self._work.notify()

    async def run(self) -> None:
        """Open the stream, serve it, and open it again, for ever."""
        pauses = backoff()
        while True:
            self._accepted = False
            try:
                async with self._channels.lease() as channel:
                    await self._serve(channel)
            finally:
                self._state.disconnect()
                self._moved(self._state.proxy)
            if self._accepted:
                pauses = backoff()
            await asyncio.sleep(next(pauses))

    async def _serve(self, channel: grpc.aio.Channel) -> None:
        stub = channel.stream_stream(
            _METHOD,
            request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
        )
        call: Call = stub()
        try:
            first, *others = self._state.connect()
            await call.write(first)
            if ACCEPTED[0] not in dict(await call.initial_metadata()):
                raise StreamEnd("")
            await self._exchange(call, others)
        except* (StreamEnd, grpc.aio.AioRpcError):
            self._note_problem(await _reason(call))
        finally:
            self.connected = False
            call.cancel()

    async def _exchange(self, call: Call, requests: Sequence[discovery_pb2.DeltaDiscoveryRequest]) -> None:
        self.connected, self._accepted, self.problem = True, True, ""
        self._moved(self._state.proxy)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write(call, requests))
            group.create_task(self._read(call))

    async def _read(self, call: Call) -> None:
        while isinstance(response := await call.read(), discovery_pb2.DeltaDiscoveryResponse):
            self._state.receive(response)
            self._moved(self._state.proxy)
        raise StreamEnd("")

    async def _write(self, call: Call, requests: Sequence[discovery_pb2.DeltaDiscoveryRequest]) -> None:
        try:
            for request in requests:
                await call.write(request)
            while True:
                await self._work.wait()
                for request in self._state.requests():
                    await call.write(request)
        except asyncio.InvalidStateError as error:
            raise StreamEnd("") from error

    def _note_problem(self, problem: str) -> None:
        if problem != self.problem:
            logger.info("%s: no stream to control: %s", self._state.proxy, problem)
        self.problem = problem


async def _reason(call: Call) -> str:
    """What ended the stream, as far as it can be known at once."""
    try:
        async with asyncio.timeout(_STATUS_LIMIT):
            return await call.details() or "control ended the stream"
    except TimeoutError:
        return "the connection to control broke"
