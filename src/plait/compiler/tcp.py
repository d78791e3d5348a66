"""Byte streams: the last filter of chains that do not look at requests."""

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.filters.common.set_filter_state.v3 import value_pb2
from envoy.extensions.filters.network.set_filter_state.v3 import set_filter_state_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2

from plait.compiler.policies import stream_policy
from plait.envoy import names, proto
from plait.model.traffic_policy import TrafficPolicy

ON_DEMAND_TIMEOUT = 3.0


def _filter(message: tcp_proxy_pb2.TcpProxy) -> listener_components_pb2.Filter:
    return listener_components_pb2.Filter(name="envoy.filters.network.tcp_proxy", typed_config=proto.packed(message))


def _proxy(stat_prefix: str, access_log: accesslog_pb2.AccessLog) -> tcp_proxy_pb2.TcpProxy:
    # Zero: pools of databases stay idle for hours, and Envoy's default would cut them after one.
    return tcp_proxy_pb2.TcpProxy(
        stat_prefix=stat_prefix,
        idle_timeout=proto.seconds(0),
        access_log=[access_log],
        max_connect_attempts=proto.number(3),
    )


def to_cluster(
    stat_prefix: str, cluster: str, access_log: accesslog_pb2.AccessLog, *, policy: TrafficPolicy | None = None
) -> listener_components_pb2.Filter:
    """Passes bytes to one cluster, as its policy asks."""
    message = _proxy(stat_prefix, access_log)
    message.cluster = cluster
    stream_policy.on_proxy(message, policy)
    return _filter(message)


def to_weighted(
    stat_prefix: str,
    clusters: tuple[tuple[str, int], ...],
    access_log: accesslog_pb2.AccessLog,
    *,
    policy: TrafficPolicy | None = None,
) -> listener_components_pb2.Filter:
    """Passes each connection to one of several clusters, by weight, as one policy asks for all of them."""
    message = _proxy(stat_prefix, access_log)
    stream_policy.on_proxy(message, policy)
    weighted = tcp_proxy_pb2.TcpProxy.WeightedCluster
    message.weighted_clusters.clusters.extend(
        weighted.ClusterWeight(name=name, weight=weight) for name, weight in clusters
    )
    return _filter(message)


def to_dialled_workload(
    stat_prefix: str, access_log: accesslog_pb2.AccessLog
) -> tuple[listener_components_pb2.Filter, ...]:
    """Passes bytes to the workload at the dialled address, whose cluster is asked for where it is not there yet."""
    name = value_pb2.FilterStateValue(
        object_key="envoy.tcp_proxy.cluster",
        format_string=substitution_format_string_pb2.SubstitutionFormatString(
            text_format_source=base_pb2.DataSource(inline_string=f"{names.DIRECT_PREFIX}%DOWNSTREAM_LOCAL_ADDRESS%")
        ),
    )
    message = _proxy(stat_prefix, access_log)
    message.cluster = names.BLACKHOLE_CLUSTER
    message.on_demand.odcds_config.CopyFrom(proto.ads())
    message.on_demand.timeout.CopyFrom(proto.seconds(ON_DEMAND_TIMEOUT))
    state = listener_components_pb2.Filter(
        name="envoy.filters.network.set_filter_state",
        typed_config=proto.packed(set_filter_state_pb2.Config(on_new_connection=[name])),
    )
    return (state, _filter(message))
