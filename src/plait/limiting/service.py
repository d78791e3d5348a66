"""Envoy's rate limit service: machines ask whether a request of a service that they serve may pass.

The numbers are the mesh's, not the asker's, and a machine is answered for services only that its own workloads serve:
for others a request passes and is not counted, as it does for a limit that is there no more.
"""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Protocol

import grpc
from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from envoy.service.ratelimit.v3 import rls_pb2

from plait.ads.node_service import Caller, refuse
from plait.ads.rate_limit_relay import RATE_LIMITS
from plait.ads.server import Context
from plait.envoy import names, proto
from plait.errors import ForbiddenError
from plait.limiting.counting import Taken
from plait.model.protection import CountedBy, SharedLimit

log = logging.getLogger(__name__)

_UNITS: Final = {1: "SECOND", 60: "MINUTE", 3600: "HOUR", 86400: "DAY"}

Response = rls_pb2.RateLimitResponse
Limits = Mapping[str, Mapping[str, SharedLimit]]
"""By service and id."""


class Counter(Protocol):
    """Counts requests."""

    async def take(self, limit: SharedLimit, value: str, amount: int = 1) -> Taken:
        """Count a request; raises ConnectionError if that cannot be done."""
        ...


class RateLimits:
    """Answers what machines ask; `limits_of` are the limits of the services that a machine serves."""

    def __init__(self, limits_of: Callable[[str], Limits], counter: Counter) -> None:
        self._limits_of = limits_of
        self._counter = counter
        self._problem = ""
        self.asked = {"passed": 0, "limited": 0, "failed": 0}

    def handler(self, caller: Caller) -> grpc.GenericRpcHandler:
        """The service, to be added to a gRPC server; `caller` tells which machine asks."""
        method = grpc.unary_unary_rpc_method_handler(
            partial(self._serve, caller),
            request_deserializer=rls_pb2.RateLimitRequest.FromString,
            response_serializer=Response.SerializeToString,
        )
        service, name = RATE_LIMITS
        return grpc.method_handlers_generic_handler(service, {name: method})

    def gauges(self) -> Mapping[str, float]:
        """How many requests passed, were refused, or could not be counted, for Prometheus."""
        return {f"rate_limits_{name}": float(number) for name, number in self.asked.items()}

    async def answer(self, machine: str, request: rls_pb2.RateLimitRequest) -> Response:
        """Whether a request may pass: what is asked first is counted first, up to what refuses it."""
        limits: Limits = self._limits_of(machine) if request.domain == names.LIMIT_DOMAIN else {}
        answer = Response(overall_code=Response.OK)
        amount = max(1, request.hits_addend)
        for descriptor in request.descriptors:
            status = answer.statuses.add(code=Response.OK)
            limit, value = _meant(descriptor, limits)
            if limit is None or answer.overall_code == Response.OVER_LIMIT:
                continue
            taken = await self._counter.take(limit, value, amount)
            _fill(status, taken)
            if not taken.passes:
                answer.overall_code = status.code
        self.asked["passed" if answer.overall_code == Response.OK else "limited"] += 1
        return answer

    async def _serve(self, caller: Caller, request: rls_pb2.RateLimitRequest, context: Context) -> Response:
        try:
            answer = await self.answer(caller(context), request)
        except ForbiddenError as refusal:
            await refuse(context, refusal)
        except ConnectionError as error:
            self.asked["failed"] += 1
            self._note(str(error))
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        self._note("")
        return answer

    def _note(self, problem: str) -> None:
        """Say once that counting fails, and once that it works again."""
        if bool(problem) != bool(self._problem):
            log.warning("rate limits: %s", problem or "the counters can be reached again")
        self._problem = problem


def _meant(descriptor: ratelimit_pb2.RateLimitDescriptor, limits: Limits) -> tuple[SharedLimit | None, str]:
    """The limit that a descriptor asks for, and the value that is counted apart; empty where the request has none."""
    entries = [(entry.key, entry.value) for entry in descriptor.entries]
    if len(entries) < 2 or entries[0][0] != "service" or entries[1][0] != "limit":
        return None, ""
    limit = limits.get(entries[0][1], {}).get(entries[1][1])
    value = entries[2][1] if len(entries) > 2 else ""
    is_caller = limit is not None and limit.counted_by is CountedBy.CALLER
    return limit, _identity(value) if is_caller else value


def _identity(certificate: str) -> str:
    """Who called, from what Envoy writes of a client certificate: the rest of it is another one after each renewal."""
    parts = (part.partition("=") for part in certificate.split(";"))
    return next((value for key, _, value in parts if key == "URI"), "")


def _fill(status: Response.DescriptorStatus, taken: Taken) -> None:
    status.code = Response.OK if taken.passes else Response.OVER_LIMIT
    status.current_limit.requests_per_unit = taken.quota.count
    status.current_limit.unit = Response.RateLimit.Unit.Value(_UNITS[taken.quota.per])
    status.limit_remaining = taken.remaining
    status.duration_until_reset.CopyFrom(proto.seconds(taken.reset))
