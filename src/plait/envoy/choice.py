"""Which endpoints of a cluster a proxy calls: the order in which they take over, and what share each gets.

Read from what the proxy holds: priorities (locality failover), weights of localities (`distribute`) and of endpoints.
Shares are those of many calls while every endpoint answers alike; a balancer by hash gives them to callers' keys.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2

from plait.envoy import names, types
from plait.envoy.resource_set import ResourceSet

Assignment = endpoint_pb2.ClusterLoadAssignment
_Group = endpoint_components_pb2.LocalityLbEndpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An endpoint that may be called: 0 is the first priority, the next ones are called when those before fail.

    `share` is its part of its priority's calls, from 0 to 1. `workload` is NAMESPACE/NAME, empty outside the mesh.
    """

    address: str
    workload: str = ""
    locality: str = ""
    priority: int = 0
    share: float = 1.0


def candidates(resources: ResourceSet, cluster: str) -> tuple[Candidate, ...]:
    """The endpoints of a cluster that a proxy may call, those that come first in front; none for an unknown cluster."""
    held = resources.of(types.CLUSTER).get(cluster)
    known = cluster_pb2.Cluster.FromString(held.body) if held is not None else cluster_pb2.Cluster()
    found = assignment(resources, cluster)
    by_locality = known.common_lb_config.HasField("locality_weighted_lb_config")
    listed = _listed(found, by_locality=by_locality) if found is not None else ()
    return tuple(sorted(listed, key=lambda item: item.priority))


def assignment(resources: ResourceSet, cluster: str) -> Assignment | None:
    """The endpoints of a cluster as the proxy holds them: sent for it, or in it; None where it finds them itself."""
    sent, held = resources.of(types.ENDPOINT).get(cluster), resources.of(types.CLUSTER).get(cluster)
    if sent is not None:
        return Assignment.FromString(sent.body)
    message = cluster_pb2.Cluster.FromString(held.body) if held is not None else cluster_pb2.Cluster()
    return message.load_assignment if message.HasField("load_assignment") else None


def _listed(found: Assignment, *, by_locality: bool) -> Iterator[Candidate]:
    groups = [group for group in found.endpoints if group.lb_endpoints]
    for group in groups:
        beside = [other for other in groups if other.priority == group.priority]
        whole = _weight(group) if by_locality else sum(map(_weight, beside))
        part = 1.0
        if by_locality:
            part = group.load_balancing_weight.value / sum(other.load_balancing_weight.value for other in beside)
        for item in group.lb_endpoints:
            place = item.endpoint.address.socket_address
            yield Candidate(
                address=f"{place.address}:{place.port_value}",
                workload=_workload(item),
                locality=written(group.locality),
                priority=group.priority,
                share=part * _own_weight(item) / whole,
            )


def _weight(group: _Group) -> int:
    return sum(map(_own_weight, group.lb_endpoints))


def _own_weight(item: endpoint_components_pb2.LbEndpoint) -> int:
    return item.load_balancing_weight.value or 1


def _workload(item: endpoint_components_pb2.LbEndpoint) -> str:
    noted = item.metadata.filter_metadata
    return noted[names.METADATA].fields["workload"].string_value if names.METADATA in noted else ""


def written(locality: base_pb2.Locality) -> str:
    """A locality as it is written: region/zone/sub-zone, without what is missing at the end."""
    return "/".join((locality.region, locality.zone, locality.sub_zone)).rstrip("/")
