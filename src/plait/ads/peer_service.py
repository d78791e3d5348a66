"""What the controls of one mesh ask each other: unary gRPC calls with JSON bodies, on the same server as the machines.

    /plait.v1.Peer/METHOD

Only another control of the mesh may ask: its certificate names it. An answer that does not come in time counts as none.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import grpc

from plait.ads.server import Context, peer_of
from plait.ads.transport import TlsIdentity, channel
from plait.identity.spiffe import control_id

SERVICE: Final = "plait.v1.Peer"
Document = Mapping[str, Any]
Method = Callable[[Document], Awaitable[Document]]


def handler(methods: Mapping[str, Method], trust_domain: str | None) -> grpc.GenericRpcHandler:
    """The service, to be added to a gRPC server on mutual TLS.

    Without a trust domain whoever connects may ask: on a unix socket that only control can open.
    """
    handlers = {name: _unary(method, trust_domain) for name, method in methods.items()}
    return grpc.method_handlers_generic_handler(SERVICE, handlers)


def _unary(method: Method, trust_domain: str | None) -> "grpc.RpcMethodHandler[Any, Any]":
    async def serve(raw: bytes, context: Context) -> bytes:
        if trust_domain is not None and peer_of(context).spiffe_id != control_id(trust_domain):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "only another control of the mesh may ask")
        return json.dumps(await method(json.loads(raw))).encode()

    return grpc.unary_unary_rpc_method_handler(serve)


class PeerClient:
    """Asks other controls by address; a channel is kept for each as long as `identity` stays the same.

    No identity: the addresses are unix sockets.
    """

    def __init__(self, identity: Callable[[], TlsIdentity | None]) -> None:
        self._identity = identity
        self._channels: dict[str, tuple[TlsIdentity | None, grpc.aio.Channel]] = {}

    async def ask(self, addresses: Mapping[str, str], method: str, body: Document, limit: float) -> dict[str, Document]:
        """The answers, by the names that the addresses are given under, of those that answer within `limit` seconds."""
        answers = await asyncio.gather(*(self._ask(address, method, body, limit) for address in addresses.values()))
        return {name: answer for name, answer in zip(addresses, answers, strict=True) if answer is not None}

    async def close(self) -> None:
        """Close the connections."""
        for _, opened in self._channels.values():
            await opened.close()

    async def _ask(self, address: str, method: str, body: Document, limit: float) -> Document | None:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = (await self._channel(address)).unary_unary(
            f"/{SERVICE}/{method}"
        )
        with suppress(grpc.aio.AioRpcError, ValueError):
            return json.loads(await call(json.dumps(body).encode(), timeout=limit))
        return None

    async def _channel(self, address: str) -> grpc.aio.Channel:
        identity = self._identity()
        known = self._channels.get(address)
        if known is not None and known[0] == identity:
            return known[1]
        self._channels[address] = (identity, channel(address, identity))
        if known is not None:
            await known[1].close(1.0)
        return self._channels[address][1]
