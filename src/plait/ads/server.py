"""The gRPC server of the aggregated discovery service: one `Session` a stream, all decisions in `DeltaStream`.

Control serves relays over mutual TLS; a relay serves the Envoys of its machine on a unix socket. Both are a
`Host`: it authorizes the node id that a stream names first, is told of what happens on it, and publishes to
`session.stream`, then calls `session.wake()`. A session's writer sends what the stream has to say, one response
after the other, so a slow peer delays only itself and gets the newest state when it is ready.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from plait.ads.responses import Responses
from plait.ads.stream import DeltaStream, Event
from plait.errors import RefusedError

SERVICE: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"
DELTA_METHOD: Final = "DeltaAggregatedResources"
ACCEPTED: Final = ("plait-stream", "accepted")
"""Initial metadata of a stream that was let in: until it comes, nobody knows who answers, if anyone."""
_FIRST_REQUEST_TIMEOUT: Final = 10.0

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Who is at the other end: its SPIFFE ID (empty on a unix socket) and its address as gRPC writes it."""

    spiffe_id: str
    address: str


class StreamEnd(Exception):  # noqa: N818 - the end of a stream is no error
    """A stream is over; the text is the reason to tell the peer, empty if the peer left itself."""


class Session:
    """One stream of one proxy."""

    def __init__(self, *, proxy: str, peer: Peer, stream: DeltaStream) -> None:
        self.proxy = proxy
        self.peer = peer
        self.stream = stream
        self._awake = asyncio.Event()
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def wake(self) -> None:
        """The stream may have something to write."""
        self._awake.set()

    def end(self, reason: str) -> None:
        """Close the stream; the peer is told why and may come again."""
        if not self._ended.done():
            self._ended.set_result(reason)

    async def until_ended(self) -> None:
        """Wait until `end` is called, and raise StreamEnd."""
        raise StreamEnd(await self._ended)

    async def write_to(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Write the responses as they come up; none is kept in memory once it is written."""
        while True:
            await self._awake.wait()
            self._awake.clear()
            waiting = deque(self.stream.responses())
            while waiting:
                await write(waiting.popleft())


class Host(Protocol):
    """What is behind the streams."""

    def authorize(self, node_id: str, peer: Peer) -> str:
        """The proxy that a stream with this node id stands for; raises RefusedError if the peer may not."""
        ...

    def opened(self, session: Session) -> None:
        """A stream was opened."""
        ...

    def received(self, session: Session, events: Sequence[Event]) -> None:
        """Something happened on a stream; `opened` was called for it before."""
        ...

    def closed(self, session: Session) -> None:
        """The stream ended."""
        ...


class AdsService:
    """Serves delta streams for a host."""

    def __init__(self, host: Host, *, deferred: Sequence[str] = ()) -> None:
        self._host = host
        self._deferred = deferred
        self.responses = Responses()

    def handler(self) -> grpc.GenericRpcHandler:
        """What to add to a gRPC server."""
        method: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(
            self._serve,
            request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString,
            response_serializer=None,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {DELTA_METHOD: method})

    async def _serve(self, _requests: object, context: Context) -> None:
        peer = peer_of(context)
        try:
            async with asyncio.timeout(_FIRST_REQUEST_TIMEOUT):
                first = await context.read()
            if not isinstance(first, discovery_pb2.DeltaDiscoveryRequest):
                return
            proxy = self._host.authorize(first.node.id, peer)
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "no request came on the stream")
        except RefusedError as refusal:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(refusal))
        stream = DeltaStream(deferred=self._deferred, responses=self.responses)
        session = Session(proxy=proxy, peer=peer, stream=stream)
        self._host.opened(session)
        try:
            self._take(session, first)
            del first  # an Envoy's has 100 KB about itself
            await context.send_initial_metadata((ACCEPTED,))
            reason = await self._run(session, context)
        finally:
            self._host.closed(session)
        if reason:
            await context.abort(grpc.StatusCode.UNAVAILABLE, reason)

    def _take(self, session: Session, request: discovery_pb2.DeltaDiscoveryRequest) -> None:
        events = session.stream.receive(request)
        if events:
            self._host.received(session, events)
        session.wake()

    async def _run(self, session: Session, context: Context) -> str:
        """Read and write until the peer leaves or the session is ended; the reason to tell the peer, if any."""
        reason = ""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._read(session, context))
                group.create_task(_write(session, context))
                group.create_task(session.until_ended())
        except* StreamEnd as end:
            reason = str(end.exceptions[0])
        return reason

    async def _read(self, session: Session, context: Context) -> None:
        while isinstance(request := await context.read(), discovery_pb2.DeltaDiscoveryRequest):
            self._take(session, request)
        raise StreamEnd("")


async def _write(session: Session, context: Context) -> None:
    await session.write_to(context.write)


def peer_of(context: Context) -> Peer:
    """Who called: the SPIFFE ID that TLS verified, if there is one."""
    ids = context.auth_context().get("peer_spiffe_id", ())
    return Peer(spiffe_id=next((item.decode() for item in ids), ""), address=context.peer())
