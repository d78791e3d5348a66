"""What machines ask beside streams (`node_service`, rate limits), handed on by a process that only serves streams.

The process in front verifies the machine by its certificate and says who it is in the call's metadata; the one behind
believes that, since it listens on a unix socket which nobody else can open. Answers and refusals pass as they are.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc

from plait.ads.node_service import SERVICE, Caller, Document, refuse
from plait.ads.rate_limit_relay import RATE_LIMITS
from plait.ads.server import Context
from plait.errors import ForbiddenError, PlaitError

NODE: Final = "plait-node"
_SERVICES: Final = (SERVICE, RATE_LIMITS[0])
_WITHIN: Final = 30.0
"""Seconds for a call; machines give up before."""


def named(context: Context) -> str:
    """The machine that the process in front names."""
    for name, value in context.invocation_metadata() or ():
        if name == NODE:
            return value.decode() if isinstance(value, bytes) else value
    raise ForbiddenError("the call names no machine", "only a worker of control calls here")


class Forwarding(grpc.GenericRpcHandler):
    """Hands calls on over `channel`; `answered` hears first what the node service answered."""

    def __init__(
        self, channel: grpc.aio.Channel, caller: Caller, answered: Callable[[str, Document], Awaitable[object]]
    ) -> None:
        self._channel = channel
        self._caller = caller
        self._answered = answered

    def service(self, handler_call_details: Any) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """The handler of a call, if it is one of this service."""
        method = str(handler_call_details.method)
        service, _, name = method.strip("/").partition("/")
        if service not in _SERVICES:
            return None

        async def serve(raw: bytes, context: Context) -> bytes:
            try:
                metadata = ((NODE, self._caller(context)),)
            except PlaitError as refusal:
                await refuse(context, refusal)
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(method)
            try:
                answer = await call(raw, timeout=_WITHIN, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details() or "")
            if service == SERVICE:
                await self._answered(name, json.loads(answer))
            return answer

        return grpc.unary_unary_rpc_method_handler(serve)
