"""What faults on purpose a route asks for, read from Envoy's own messages."""

from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.type.v3 import percent_pb2

from plait.envoy import names, proto

_DENOMINATOR = {
    percent_pb2.FractionalPercent.HUNDRED: 100,
    percent_pb2.FractionalPercent.TEN_THOUSAND: 10_000,
    percent_pb2.FractionalPercent.MILLION: 1_000_000,
}
_GRPC_ERROR = 200
"""The HTTP status of an answer whose error is in `grpc-status`."""


def of(route: route_components_pb2.Route) -> tuple[tuple[float, float], tuple[int, float]]:
    """((seconds, share), (status, share)): how long requests wait, what they are answered, and how many of 1."""
    if names.FAULT_FILTER not in route.typed_per_filter_config:
        return (0, 0), (0, 0)
    fault = fault_pb2.HTTPFault()
    route.typed_per_filter_config[names.FAULT_FILTER].Unpack(fault)
    delay = proto.to_seconds(fault.delay.fixed_delay), _share(fault.delay.percentage)
    status = fault.abort.http_status or _GRPC_ERROR
    abort = (status, _share(fault.abort.percentage)) if fault.HasField("abort") else (0, 0)
    return delay, abort


def _share(percent: percent_pb2.FractionalPercent) -> float:
    return percent.numerator / _DENOMINATOR.get(percent.denominator, 100)
