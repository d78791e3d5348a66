"""The server of the streams, over real connections: what it makes once for all, and what it lets go of."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from envoy.service.discovery.v3 import discovery_pb2

from plait.ads.server import DELTA_METHOD, SERVICE, AdsService, Peer, Session
from plait.ads.stream import Event
from plait.ads.transport import GrpcServer, channel
from plait.envoy.resource_set import ResourceSet
from plait.envoy.types import CLUSTER
from tests.fake_envoy import made, made_set

pytestmark = pytest.mark.integration

STREAMS = 20
Request = discovery_pb2.DeltaDiscoveryRequest
Response = discovery_pb2.DeltaDiscoveryResponse
Call = grpc.aio.StreamStreamCall[Request, Response]


class Everybody:
    """A host that lets everybody in and gives all the same."""

    def __init__(self, resources: ResourceSet) -> None:
        self.resources = resources
        self.sessions: list[Session] = []

    def authorize(self, node_id: str, peer: Peer) -> str:
        return node_id

    def opened(self, session: Session) -> None:
        self.sessions.append(session)
        session.stream.publish(self.resources)

    def received(self, session: Session, events: Sequence[Event]) -> None: ...

    def closed(self, session: Session) -> None: ...

    def publish(self, resources: ResourceSet) -> None:
        """Give everybody these."""
        for session in self.sessions:
            session.stream.publish(resources)
            session.wake()


async def subscribed(call: Call, name: str) -> None:
    """Ask for all clusters."""
    request = Request(type_url=CLUSTER, resource_names_subscribe=["*"])
    request.node.id = name
    await call.write(request)


async def taken(call: Call) -> Response:
    """The next response, acknowledged."""
    response = await call.read()
    assert isinstance(response, Response)
    await call.write(Request(type_url=response.type_url, response_nonce=response.nonce))
    return response


def test_streams_of_one_server_are_written_the_same_bytes(tmp_path: Path) -> None:
    """First and changed clusters are serialised once each, however many streams take them."""

    async def main() -> None:
        host = Everybody(made_set(made(CLUSTER, "c")))
        service = AdsService(host)
        server = GrpcServer([service.handler()])
        address = f"unix:{tmp_path}/ads.sock"
        await server.listen(address)
        async with AsyncExitStack() as stack:
            opened = await stack.enter_async_context(channel(address, None))
            open_stream = opened.stream_stream(
                f"/{SERVICE}/{DELTA_METHOD}",
                request_serializer=Request.SerializeToString,
                response_deserializer=Response.FromString,
            )
            calls: list[Call] = [open_stream() for _ in range(STREAMS)]
            for number, call in enumerate(calls):
                await subscribed(call, f"p{number}")
            first = [await taken(call) for call in calls]
            host.publish(made_set(made(CLUSTER, "c", "2")))
            second = [await taken(call) for call in calls]
            for call in calls:
                call.cancel()
        await server.close()

        assert len({item.SerializeToString() for item in first}) == 1
        assert len({item.SerializeToString() for item in second}) == 1
        assert (service.responses.made, service.responses.shared) == (2, 2 * STREAMS - 2)

    asyncio.run(main())
