"""Services of which each call names its own server (a ServiceEntry's wildcard): Envoy resolves that name.

Only names that the service stands for are resolved: a caller cannot reach anything else through it.
"""

from typing import Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.clusters.dynamic_forward_proxy.v3 import cluster_pb2 as dynamic_cluster_pb2
from envoy.extensions.common.dynamic_forward_proxy.v3 import dns_cache_pb2
from envoy.extensions.filters.http.dynamic_forward_proxy.v3 import dynamic_forward_proxy_pb2
from envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3 import sni_dynamic_forward_proxy_pb2

from plait.compiler.filters import HttpFilter, http_filter
from plait.envoy import proto

_FILTER: Final = "envoy.filters.http.dynamic_forward_proxy"
_MOST_NAMES: Final = 1024


def names() -> dns_cache_pb2.DnsCacheConfig:
    """What a proxy remembers of the names it resolved: one memory for all."""
    return dns_cache_pb2.DnsCacheConfig(
        name="dynamic",
        dns_lookup_family=cluster_pb2.Cluster.V4_PREFERRED,
        max_hosts=proto.number(_MOST_NAMES),
    )


def cluster_type(*, http: bool) -> cluster_pb2.Cluster.CustomClusterType:
    """A cluster whose endpoints are the names that calls bring; of bytes, the caller's TLS checks the server."""
    config = dynamic_cluster_pb2.ClusterConfig(dns_cache_config=names(), allow_insecure_cluster_options=not http)
    return cluster_pb2.Cluster.CustomClusterType(
        name="envoy.clusters.dynamic_forward_proxy", typed_config=proto.packed(config)
    )


def resolving_filter() -> HttpFilter:
    """Lets a request wait until the name in its Host is resolved."""
    config = dynamic_forward_proxy_pb2.FilterConfig(dns_cache_config=names())
    return http_filter(_FILTER, config)


def server_name_filter(port: int) -> listener_components_pb2.Filter:
    """Lets a connection wait until the server name of its TLS is resolved, and sends it to that port there."""
    config = sni_dynamic_forward_proxy_pb2.FilterConfig(dns_cache_config=names(), port_value=port)
    return listener_components_pb2.Filter(
        name="envoy.filters.network.sni_dynamic_forward_proxy", typed_config=proto.packed(config)
    )
