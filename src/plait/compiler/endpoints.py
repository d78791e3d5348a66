"""Endpoints: the addresses behind a cluster, as seen from one machine.

They are outside the view: one value per cluster and viewpoint is built once and shared by all its subscribers, so
a changed endpoint compiles nothing. A caller on the same machine dials the workload's own address, others the
machine's address and the port published there.
"""

from collections.abc import Iterable

from envoy.config.core.v3 import base_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2

from plait.envoy import names, proto
from plait.envoy.resource_set import Entry, entry_of
from plait.model.services import Endpoint
from plait.model.view import OutboundCluster

_SOCKET_MATCH = "envoy.transport_socket_match"


def cluster_endpoints(cluster_name: str, endpoints: Iterable[Endpoint], *, node: str) -> Entry:
    """The endpoints of a cluster as callers on that machine reach them; those that are not healthy are left out."""
    localities: dict[str, list[endpoint_components_pb2.LbEndpoint]] = {}
    for endpoint in sorted(endpoints, key=lambda item: (item.locality, item.address, item.port)):
        if endpoint.healthy:
            localities.setdefault(endpoint.locality, []).append(_endpoint(endpoint, node))
    groups = [_locality(name, items) for name, items in localities.items()]
    return entry_of(cluster_name, endpoint_pb2.ClusterLoadAssignment(cluster_name=cluster_name, endpoints=groups))


def of_cluster(cluster: OutboundCluster, endpoints: Iterable[Endpoint], *, node: str) -> Entry:
    """The endpoints of a cluster among those of its service."""
    name = names.cluster(cluster.host, cluster.key.port, cluster.key.subset)
    return cluster_endpoints(name, filter(cluster.takes, endpoints), node=node)


def _endpoint(endpoint: Endpoint, node: str) -> endpoint_components_pb2.LbEndpoint:
    message = endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=proto.socket_address(*endpoint.reached_from(node))),
        load_balancing_weight=proto.number(max(1, endpoint.weight)),
        metadata=proto.metadata(names.METADATA, (("workload", endpoint.workload), ("identity", endpoint.identity))),
    )
    if endpoint.identity:
        message.metadata.filter_metadata[_SOCKET_MATCH].fields["mesh"].string_value = "true"
    return message


def _locality(
    name: str, endpoints: list[endpoint_components_pb2.LbEndpoint]
) -> endpoint_components_pb2.LocalityLbEndpoints:
    region, _, rest = name.partition("/")
    zone, _, sub_zone = rest.partition("/")
    return endpoint_components_pb2.LocalityLbEndpoints(
        locality=base_pb2.Locality(region=region, zone=zone, sub_zone=sub_zone),
        lb_endpoints=endpoints,
        load_balancing_weight=proto.number(sum(item.load_balancing_weight.value for item in endpoints)),
    )
