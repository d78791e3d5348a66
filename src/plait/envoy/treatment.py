"""How a proxy treats the calls that it sends to a cluster, read from what it holds: for explanations, in words."""

from dataclasses import dataclass
from typing import Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2

from plait.envoy import names, types
from plait.envoy.resource_set import ResourceSet

Options = http_protocol_options_pb2.HttpProtocolOptions
_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """The balancer of a cluster, and the DestinationRule (or the part of it) that the caller follows, if any."""

    rule: str
    balancer: str
    preferred: tuple[str, ...] = ()
    """The localities that are called first, where others are called only when these fail."""


def treatment(resources: ResourceSet, cluster: str) -> Treatment | None:
    """How a cluster is treated; None for one that is not there."""
    held = resources.of(types.CLUSTER).get(cluster)
    if held is None:
        return None
    message = cluster_pb2.Cluster.FromString(held.body)
    noted = message.metadata.filter_metadata
    rule = noted[names.METADATA].fields["rule"].string_value if names.METADATA in noted else ""
    return Treatment(rule=rule, balancer=_balancer(message), preferred=_preferred(resources, cluster))


def _balancer(message: cluster_pb2.Cluster) -> str:
    algorithm = cluster_pb2.Cluster.LbPolicy.Name(message.lb_policy).lower().replace("_", " ")
    options = Options()
    if _OPTIONS in message.typed_extension_protocol_options:
        message.typed_extension_protocol_options[_OPTIONS].Unpack(options)
    decides = [_key(item) for item in options.hash_policy]
    return f"{algorithm} by {' and '.join(decides)}" if decides else algorithm


def _key(item: route_components_pb2.RouteAction.HashPolicy) -> str:
    kind = item.WhichOneof("policy_specifier")
    if kind == "header":
        return f"header {item.header.header_name}"
    if kind == "cookie":
        return f"cookie {item.cookie.name}"
    return f"query parameter {item.query_parameter.name}" if kind == "query_parameter" else "the caller's address"


def _preferred(resources: ResourceSet, cluster: str) -> tuple[str, ...]:
    held = resources.of(types.ENDPOINT).get(cluster)
    groups = endpoint_pb2.ClusterLoadAssignment.FromString(held.body).endpoints if held else ()
    if not any(group.priority for group in groups):
        return ()
    first = (group.locality for group in groups if not group.priority)
    return tuple("/".join(part for part in (item.region, item.zone, item.sub_zone) if part) for item in first)
