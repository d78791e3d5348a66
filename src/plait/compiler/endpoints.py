"""Endpoints: the addresses behind a cluster, as seen from one machine.

They are outside the view: one value per cluster and viewpoint is built once and shared by all its subscribers, so
a changed endpoint compiles nothing. A caller on the same machine dials the workload's own address, others the
machine's address and the port published there.
"""

from collections.abc import Iterable, Mapping

from envoy.config.core.v3 import base_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2

from plait.envoy import names, proto
from plait.envoy.resource_set import Entry, entry_of
from plait.model.placement import Placement, covers
from plait.model.services import Endpoint
from plait.model.view import OutboundCluster

_SOCKET_MATCH = "envoy.transport_socket_match"
_Groups = Mapping[tuple[str, int], list[endpoint_components_pb2.LbEndpoint]]
"""Endpoints by locality and rank."""


def cluster_endpoints(
    cluster_name: str, endpoints: Iterable[Endpoint], *, node: str, placement: Placement | None = None
) -> Entry:
    """The endpoints of a cluster as callers on that machine reach them; those that are not healthy are left out."""
    groups: dict[tuple[str, int], list[endpoint_components_pb2.LbEndpoint]] = {}
    for endpoint in sorted(endpoints, key=lambda item: (item.locality, item.address, item.port)):
        if endpoint.healthy:
            rank = placement.rank(endpoint) if placement and not placement.shares else 0
            groups.setdefault((endpoint.locality, rank), []).append(_endpoint(endpoint, node))
    listed = _by_priority(groups)
    if placement is not None and placement.shares:
        _give_shares(listed, placement.shares)
    return entry_of(cluster_name, endpoint_pb2.ClusterLoadAssignment(cluster_name=cluster_name, endpoints=listed))


def of_cluster(cluster: OutboundCluster, endpoints: Iterable[Endpoint], *, node: str) -> Entry:
    """The endpoints of a cluster among those of its service."""
    name = names.cluster(cluster.host, cluster.key.port, cluster.key.subset)
    return cluster_endpoints(name, filter(cluster.takes, endpoints), node=node, placement=cluster.placement)


def _by_priority(groups: _Groups) -> list[endpoint_components_pb2.LocalityLbEndpoints]:
    """The groups with their ranks as priorities, which have no gaps."""
    priorities = {rank: number for number, rank in enumerate(sorted({rank for _, rank in groups}))}
    listed: list[endpoint_components_pb2.LocalityLbEndpoints] = []
    for (locality, rank), items in groups.items():
        message = _locality(locality, items)
        message.priority = priorities[rank]
        listed.append(message)
    return listed


def _give_shares(listed: list[endpoint_components_pb2.LocalityLbEndpoints], shares: Iterable[tuple[str, int]]) -> None:
    """Give localities their per cent of all calls, split by weight where a share is for several; others get none."""
    left = list(listed)
    for pattern, percent in shares:
        chosen = [item for item in left if covers(pattern, _written(item.locality))]
        weight = sum(item.load_balancing_weight.value for item in chosen)
        for item in chosen:
            item.load_balancing_weight.value = max(1, percent * item.load_balancing_weight.value * 100 // weight)
            left.remove(item)
            if not percent:
                item.ClearField("lb_endpoints")
    for item in left:
        item.ClearField("lb_endpoints")


def _written(locality: base_pb2.Locality) -> str:
    return f"{locality.region}/{locality.zone}/{locality.sub_zone}"


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
