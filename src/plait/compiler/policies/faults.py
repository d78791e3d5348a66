"""Faults on purpose, at the caller's side: before the request is sent, and before any time limit or retry.

The filter stands in every connection manager that forwards and does nothing until a route asks, so the first fault of a
mesh changes no listener.
"""

from typing import Final

from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.common.fault.v3 import fault_pb2 as common_fault_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.type.v3 import percent_pb2

from plait.compiler.filters import HttpFilter, optional_filter
from plait.envoy import names, proto
from plait.model.faults import Fault, FaultAbort, FaultDelay

_MILLION: Final = 1_000_000


def filter_of_routes() -> HttpFilter:
    """The filter for connection managers; in no request's way unless a route has a fault."""
    return optional_filter(names.FAULT_FILTER, fault_pb2.HTTPFault())


def on_route(message: route_components_pb2.Route, fault: Fault | None) -> None:
    """Lets requests of a route wait or fail."""
    if fault is None:
        return
    config = fault_pb2.HTTPFault()
    if fault.delay:
        config.delay.CopyFrom(_delay(fault.delay))
    if fault.abort:
        config.abort.CopyFrom(_abort(fault.abort))
    message.typed_per_filter_config[names.FAULT_FILTER].CopyFrom(proto.packed(config))


def _delay(delay: FaultDelay) -> common_fault_pb2.FaultDelay:
    return common_fault_pb2.FaultDelay(fixed_delay=proto.seconds(delay.seconds), percentage=_share(delay.percent))


def _abort(abort: FaultAbort) -> fault_pb2.FaultAbort:
    message = fault_pb2.FaultAbort(percentage=_share(abort.percent))
    if abort.http:
        message.http_status = abort.http
    else:
        message.grpc_status = abort.grpc
    return message


def _share(percent: float) -> percent_pb2.FractionalPercent:
    return percent_pb2.FractionalPercent(
        numerator=round(percent * _MILLION / 100), denominator=percent_pb2.FractionalPercent.MILLION
    )
