"""Passes unary calls of this machine's Envoys on to control, unread, over the machine's own connection.

Who asks must not wait for a control that is not there: without a connection the answer is UNAVAILABLE at once.
"""

from typing import Any, Final

import grpc

from plait.ads.server import Context
from plait.ads.transport import Channels

RATE_LIMITS: Final = ("envoy.service.ratelimit.v3.RateLimitService", "ShouldRateLimit")
"""The service and its method by which Envoys ask whether a request may pass."""
_LONGEST: Final = 10.0


def handler(service: str, method: str, channels: Channels) -> grpc.GenericRpcHandler:
    """A method of a service that control answers, to be added to the relay's server."""
    return grpc.method_handlers_generic_handler(service, {method: _unary(service, method, channels)})


def _unary(service: str, method: str, channels: Channels) -> "grpc.RpcMethodHandler[Any, Any]":
    async def forward(raw: bytes, context: Context) -> bytes:
        try:
            async with channels.lease() as channel:
                if channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY:
                    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{service}/{method}")
                    return await call(raw, timeout=min(context.time_remaining() or _LONGEST, _LONGEST))
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details() or "")
        await context.abort(grpc.StatusCode.UNAVAILABLE, "control cannot be reached")
        raise AssertionError("abort raises")

    return grpc.unary_unary_rpc_method_handler(forward)
