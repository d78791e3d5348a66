"""Many machines' ends of the streams to control, without Envoys: they subscribe as a relay does, and take everything.

usage: python -m bench.growth_fleet PORT FILE

Each line of the file is a proxy: name, machine, hosts (comma separated), and the machine's certificate, key and roots
in hexadecimal. The proxies of a machine share a connection, as a relay's do. A stream that ends is opened again after
the relay's own wait, telling the versions it holds. On each line that comes on standard input the program answers one
JSON line: how many streams are open, and what came since the last answer, as [seconds of the monotonic clock, proxy,
type, resources, removals].
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import uvloop
from envoy.service.discovery.v3 import discovery_pb2

from plait.ads.server import ACCEPTED, DELTA_METHOD, SERVICE
from plait.ads.transport import TlsIdentity, channel
from plait.aio.backoff import backoff
from plait.envoy.types import ENVOY_TYPES, NAME

Request = discovery_pb2.DeltaDiscoveryRequest
Response = discovery_pb2.DeltaDiscoveryResponse
Call = grpc.aio.StreamStreamCall[Request, Response]


class Proxy:
    """One fake sidecar and its relay."""

    def __init__(self, name: str, hosts: Sequence[str], events: list[tuple[Any, ...]]) -> None:
        self.name = name
        self.hosts = hosts
        self.held: dict[str, dict[str, str]] = {url: {} for url in (NAME, *ENVOY_TYPES)}
        self.connected = False
        self._events = events

    async def run(self, machine: grpc.aio.Channel) -> None:
        """Hold a stream for ever."""
        method = machine.stream_stream(
            f"/{SERVICE}/{DELTA_METHOD}",
            request_serializer=Request.SerializeToString,
            response_deserializer=Response.FromString,
        )
        pauses = backoff()
        while True:
            call: Call = method()
            try:
                await self._hold(call)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                pass
            finally:
                call.cancel()
            if self.connected:
                pauses = backoff()
            self.connected = False
            await asyncio.sleep(next(pauses))

    async def _hold(self, call: Call) -> None:
        first, *others = self._opening()
        await call.write(first)
        if ACCEPTED[0] not in dict(await call.initial_metadata()):
            return
        self.connected = True
        for request in others:
            await call.write(request)
        while isinstance(response := await call.read(), Response):
            self._take(response)
            await call.write(Request(type_url=response.type_url, response_nonce=response.nonce))

    def _opening(self) -> list[Request]:
        first = Request(type_url=NAME, resource_names_subscribe=self.hosts)
        first.node.id = self.name
        requests = [first, *(Request(type_url=url, resource_names_subscribe=["*"]) for url in ENVOY_TYPES)]
        for request in requests:
            request.initial_resource_versions.update(self.held[request.type_url])
        return requests

    def _take(self, response: Response) -> None:
        held = self.held[response.type_url]
        for item in response.resources:
            held[sys.intern(item.name)] = sys.intern(item.version)
        for name in response.removed_resources:
            held.pop(name, None)
        counts = (len(response.resources), len(response.removed_resources))
        kind = response.type_url.rpartition(".")[2]
        self._events.append((time.monotonic(), self.name, kind, *counts))


async def _answer(proxies: Sequence[Proxy], events: list[tuple[Any, ...]]) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        told = {"connected": sum(proxy.connected for proxy in proxies), "events": events[:]}
        events.clear()
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


async def main(port: str, lines: Sequence[str]) -> None:
    """Hold all streams until standard input is closed."""
    events: list[tuple[Any, ...]] = []
    machines: dict[str, grpc.aio.Channel] = {}
    proxies: list[Proxy] = []
    holding: list[asyncio.Task[None]] = []
    for line in lines:
        name, machine, hosts, *secrets = line.split("\t")
        if machine not in machines:
            chain, key, roots = (bytes.fromhex(text) for text in secrets)
            machines[machine] = channel(f"127.0.0.1:{port}", TlsIdentity(chain=chain, key=key, roots=roots))
        proxies.append(Proxy(name, hosts.split(","), events))
        holding.append(asyncio.create_task(proxies[-1].run(machines[machine])))
    await _answer(proxies, events)
    for task in holding:
        task.cancel()
    await asyncio.gather(*holding, return_exceptions=True)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], Path(sys.argv[2]).read_text().splitlines()))
