"""What a policy means for byte streams: it acts in the caller's listener, where each connection is passed on.

Where a connection goes to one of several clusters, the policy of the first holds for all: these are settings of the
listener's filter, not of a cluster.
"""

from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.type.v3 import hash_policy_pb2

from plait.envoy import proto
from plait.model.traffic_policy import TrafficPolicy


def on_proxy(message: tcp_proxy_pb2.TcpProxy, policy: TrafficPolicy | None) -> None:
    """Gives the filter that passes bytes on what the policy of its cluster asks for."""
    if policy is None:
        return
    pool, balancer, tunnel = policy.pool, policy.balancer, policy.tunnel
    if pool is not None and pool.stream_idle_timeout is not None:
        message.idle_timeout.CopyFrom(proto.seconds(pool.stream_idle_timeout))
    if pool is not None and pool.max_duration is not None:
        message.max_downstream_connection_duration.CopyFrom(proto.seconds(pool.max_duration))
    if balancer is not None and balancer.key is not None and balancer.key.source_address:
        message.hash_policy.append(hash_policy_pb2.HashPolicy(source_ip=hash_policy_pb2.HashPolicy.SourceIp()))
    if tunnel is not None:
        message.tunneling_config.hostname = proto.literal(f"{tunnel.host}:{tunnel.port}")
        message.tunneling_config.use_post = tunnel.post
