"""The stream of one proxy to control: opened again whenever it ends, after a short, jittered wait."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from plait.ads.relayed import RelayedProxy
from plait.ads.server import DELTA_METHOD, SERVICE, StreamEnd
from plait.ads.transport import Channels
from plait.aio.backoff import backoff
from plait.aio.signal import Signal

logger = logging.getLogger(__name__)

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
        self.connected = False
        self.problem = ""

    def wake(self) -> None:
        """There may be requests to write."""
        self._work.notify()

    async def run(self) -> None:
        """Open the stream, serve it, and open it again, for ever."""
        pauses = backoff()
        while True:
            try:
                async with self._channels.lease() as channel:
                    await self._serve(channel)
            finally:
                accepted, self.connected = self.connected, False
                self._state.disconnect()
                self._moved(self._state.proxy)
            if accepted:
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
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write(call))
                group.create_task(self._read(call))
        except* StreamEnd:
            self._note_problem("control ended the stream")
        except* grpc.aio.AioRpcError as ended:
            error = ended.exceptions[0]
            details = error.details() if isinstance(error, grpc.aio.AioRpcError) else ""
            self._note_problem(details or str(error))
        finally:
            call.cancel()

    async def _read(self, call: Call) -> None:
        await call.wait_for_connection()
        self.connected, self.problem = True, ""
        self._moved(self._state.proxy)
        while (response := await call.read()) is not grpc.aio.EOF:
            self._state.receive(response)
            self._moved(self._state.proxy)
        raise StreamEnd("")

    async def _write(self, call: Call) -> None:
        try:
            for request in self._state.connect():
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
