"""Passes on to control what this machine's Envoys ask for limits that instances share, over the machine's connection.

Who asks must not wait for a control that is not there: without a connection the answer is UNAVAILABLE at once.

A refusal says when a request like that may pass again at the earliest. Until then, at most `_KEPT` seconds, the same
question has the same answer here: a flood of calls that are refused costs control next to nothing.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import grpc
from envoy.service.ratelimit.v3 import rls_pb2

from plait.ads.server import Context
from plait.ads.transport import Channels
from plait.envoy import proto

RATE_LIMITS: Final = ("envoy.service.ratelimit.v3.RateLimitService", "ShouldRateLimit")
"""The service and its method by which Envoys ask whether a request may pass."""
_LONGEST: Final = 10.0
_KEPT: Final = 1.0
"""Within so many seconds a limit that was raised holds."""
_MOST: Final = 1000


class Refusals:
    """Refusals by what was asked, each for as long as it holds; the latest, if there are many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()

    def find(self, question: bytes) -> bytes | None:
        """The refusal of that question, if it still holds."""
        kept = self._kept.get(question)
        if kept is None:
            return None
        if kept[0] <= self._clock():
            del self._kept[question]
            return None
        return kept[1]

    def take(self, question: bytes, answer: bytes) -> None:
        """Keep an answer if it is a refusal."""
        message = rls_pb2.RateLimitResponse.FromString(answer)
        refused = rls_pb2.RateLimitResponse.OVER_LIMIT
        if message.overall_code != refused:
            return
        waits = [proto.to_seconds(item.duration_until_reset) for item in message.statuses if item.code == refused]
        self._kept[question] = (self._clock() + min(_KEPT, max(waits, default=0.0)), answer)
        self._kept.move_to_end(question)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)


def handler(channels: Channels) -> grpc.GenericRpcHandler:
    """The service, to be added to the relay's server."""
    service, method = RATE_LIMITS
    refusals = Refusals()

    async def ask(raw: bytes, context: Context) -> bytes:
        refusal = refusals.find(raw)
        if refusal is not None:
            return refusal
        answer = await _asked(channels, raw, context)
        refusals.take(raw, answer)
        return answer

    served: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(ask)
    return grpc.method_handlers_generic_handler(service, {method: served})


async def _asked(channels: Channels, raw: bytes, context: Context) -> bytes:
    try:
        async with channels.lease() as channel:
            if channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY:
                call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(
                    "/{}/{}".format(*RATE_LIMITS)
                )
                return await call(raw, timeout=min(context.time_remaining() or _LONGEST, _LONGEST))
    except grpc.aio.AioRpcError as error:
        await context.abort(error.code(), error.details() or "")
    await context.abort(grpc.StatusCode.UNAVAILABLE, "control cannot be reached")
    raise AssertionError("abort raises")
