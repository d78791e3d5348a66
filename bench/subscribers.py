"""The ten proxies' end of `bench.live`: opens the streams, subscribes, acknowledges everything, until it is ended.

usage: python -m bench.subscribers PORT FILE
"""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import grpc
from envoy.service.discovery.v3 import discovery_pb2

from bench import control
from bench.streams import answer, subscriptions
from plait.ads.transport import TlsIdentity, channel

Call = grpc.aio.StreamStreamCall[discovery_pb2.DeltaDiscoveryRequest, discovery_pb2.DeltaDiscoveryResponse]
METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


async def hold(port: str, line: str) -> None:
    """Hold one proxy's stream."""
    proxy, *secrets = line.split("\t")
    key, chain, roots = (bytes.fromhex(text) for text in secrets)
    async with channel(f"127.0.0.1:{port}", TlsIdentity(chain=chain, key=key, roots=roots)) as opened:
        method = opened.stream_stream(
            METHOD,
            request_serializer=discovery_pb2.DeltaDiscoveryRequest.SerializeToString,
            response_deserializer=discovery_pb2.DeltaDiscoveryResponse.FromString,
        )
        call: Call = method()
        first, *others = subscriptions(control.CALLED)
        first.node.id = proxy
        for request in (first, *others):
            await call.write(request)
        while isinstance(response := await call.read(), discovery_pb2.DeltaDiscoveryResponse):
            await call.write(answer(response))


async def main(port: str, lines: Sequence[str]) -> None:
    """Hold all streams."""
    async with asyncio.TaskGroup() as group:
        for line in lines:
            group.create_task(hold(port, line))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_text().splitlines()))
