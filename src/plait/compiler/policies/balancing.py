"""How a cluster chooses an endpoint: the algorithm, what of a call decides, shares of localities, slow start.

What is hashed belongs to the cluster, not to the routes that lead there: so each share of a split hashes by its own
rule, and a rule that changes touches no route. Streams have no requests: the listener hashes them (`stream_policy`).
"""

from typing import Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.type.v3 import percent_pb2

from plait.envoy import proto
from plait.model.traffic_policy import Algorithm, Balancer, HashCookie, HashKey, SlowStart
from plait.model.view import OutboundCluster

Cluster = cluster_pb2.Cluster
HashPolicy = route_components_pb2.RouteAction.HashPolicy

_ALGORITHMS: Final = {
    Algorithm.LEAST_REQUEST: Cluster.LEAST_REQUEST,
    Algorithm.ROUND_ROBIN: Cluster.ROUND_ROBIN,
    Algorithm.RANDOM: Cluster.RANDOM,
    Algorithm.RING_HASH: Cluster.RING_HASH,
    Algorithm.MAGLEV: Cluster.MAGLEV,
}


def on_cluster(message: cluster_pb2.Cluster, cluster: OutboundCluster) -> None:
    """Gives a cluster the balancer of its policy."""
    if cluster.placement is not None and cluster.placement.shares:
        message.common_lb_config.locality_weighted_lb_config.SetInParent()
    balancer = cluster.policy.balancer if cluster.policy else None
    if balancer is None or message.type == Cluster.ORIGINAL_DST:
        return
    message.lb_policy = _ALGORITHMS.get(balancer.algorithm, Cluster.LEAST_REQUEST)
    if balancer.size and balancer.algorithm is Algorithm.RING_HASH:
        message.ring_hash_lb_config.minimum_ring_size.value = balancer.size
    elif balancer.size and balancer.algorithm is Algorithm.MAGLEV:
        message.maglev_lb_config.table_size.value = balancer.size
    if balancer.slow_start is not None:
        _slow_start(message, balancer, balancer.slow_start)


def _slow_start(message: cluster_pb2.Cluster, balancer: Balancer, settings: SlowStart) -> None:
    config = Cluster.SlowStartConfig(
        slow_start_window=proto.seconds(settings.duration),
        aggression=base_pb2.RuntimeDouble(default_value=settings.aggression, runtime_key="plait.slow_start.aggression"),
        min_weight_percent=percent_pb2.Percent(value=settings.minimum),
    )
    if balancer.algorithm is Algorithm.ROUND_ROBIN:
        message.round_robin_lb_config.slow_start_config.CopyFrom(config)
    elif balancer.algorithm is Algorithm.LEAST_REQUEST:
        message.least_request_lb_config.slow_start_config.CopyFrom(config)


def hash_policy(key: HashKey | None) -> list[HashPolicy]:
    """What of a request decides which endpoint takes it."""
    if key is None:
        return []
    message = HashPolicy()
    if key.header:
        message.header.header_name = key.header
    elif key.cookie is not None:
        _cookie(message.cookie, key.cookie)
    elif key.query:
        message.query_parameter.name = key.query
    else:
        message.connection_properties.source_ip = True
    return [message]


def _cookie(message: route_components_pb2.RouteAction.HashPolicy.Cookie, cookie: HashCookie) -> None:
    message.name = cookie.name
    message.path = cookie.path
    if cookie.lifetime is not None:
        message.ttl.CopyFrom(proto.seconds(cookie.lifetime))
    for name, value in cookie.attributes:
        message.attributes.add(name=name, value=value)
