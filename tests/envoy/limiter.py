"""Whoever counts for a real Envoy: the mesh's rate limit service at a unix socket, where a relay's would be."""

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from envoy.config.cluster.v3 import cluster_pb2
from envoy.service.ratelimit.v3 import rls_pb2
from google.protobuf import json_format

from plait.ads.rate_limit_relay import RATE_LIMITS
from plait.ads.transport import GrpcServer
from plait.envoy import names, types
from plait.envoy.bootstrap import bootstrap
from plait.envoy.resource_set import ResourceSet, entry_of
from plait.limiting import counting
from plait.limiting.service import RateLimits
from plait.model.protection import SharedLimit


@dataclass(slots=True)
class Limiter:
    """A running service; `delay` is how many seconds an answer takes."""

    path: Path
    delay: float = 0.0

    def behind(self, resources: ResourceSet) -> ResourceSet:
        """The resources with the cluster that the bootstrap of a sidecar has, leading here."""
        document: Any = bootstrap("test", ads_socket=str(self.path), admin_socket="")
        message = json_format.ParseDict(document["static_resources"]["clusters"][0], cluster_pb2.Cluster())
        added = {names.XDS_CLUSTER: entry_of(names.XDS_CLUSTER, message)}
        return resources.replaced(types.CLUSTER, {**resources.of(types.CLUSTER), **added})


@contextlib.contextmanager
def limiting(*limits: SharedLimit) -> Generator[Limiter]:
    """Count against these limits until the block ends."""
    known: dict[str, dict[str, SharedLimit]] = {}
    for limit in limits:
        known.setdefault(str(limit.service), {})[limit.id] = limit
    counts = RateLimits(lambda _machine: known, counting.in_memory())
    with tempfile.TemporaryDirectory(prefix="plait-limits-") as folder:
        limiter = Limiter(Path(folder) / "socket")
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        server = asyncio.run_coroutine_threadsafe(_served(limiter, counts), loop).result(10)
        try:
            yield limiter
        finally:
            asyncio.run_coroutine_threadsafe(server.close(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


async def _served(limiter: Limiter, counts: RateLimits) -> GrpcServer:
    async def serve(request: rls_pb2.RateLimitRequest, _context: object) -> rls_pb2.RateLimitResponse:
        await asyncio.sleep(limiter.delay)
        return await counts.answer("here", request)

    method: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(
        serve,
        request_deserializer=rls_pb2.RateLimitRequest.FromString,
        response_serializer=rls_pb2.RateLimitResponse.SerializeToString,
    )
    service, name = RATE_LIMITS
    server = GrpcServer([grpc.method_handlers_generic_handler(service, {name: method})])
    await server.listen(f"unix:{limiter.path}")
    return server
