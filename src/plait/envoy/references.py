"""Whether everything that a resource set refers to is in it.

Envoy accepts references to what is not there and then answers 503 or waits, so a missing piece must be found before
sending. Not counted: the secrets that the node agent adds, endpoints (they are shared and sent beside the set), and
clusters that are missing on purpose: the one for broken backends, and subsets that no DestinationRule declares.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2, scoped_route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from google.protobuf import any_pb2

from plait.envoy import names, route_trees, types
from plait.envoy.resource_set import ResourceSet

_LOCAL_SECRETS: Final = (names.IDENTITY_SECRET, names.BUNDLE_SECRET, names.SYSTEM_SECRET)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Reference:
    """A resource that another one, `by`, needs."""

    type_url: str
    name: str
    by: str

    def __str__(self) -> str:
        return f"{self.by} refers to {self.type_url.rpartition('.')[2]} {self.name}, which is not there"


def missing_references(resources: ResourceSet) -> list[Reference]:
    """What the set refers to and does not hold, each once per referrer, sorted."""
    found = {item for item in _references(resources) if item.name not in resources.of(item.type_url)}
    return sorted(found)


def _references(resources: ResourceSet) -> Iterator[Reference]:
    for name, item in resources.of(types.LISTENER).items():
        yield from _named(f"listener {name}", _of_listener(listener_pb2.Listener.FromString(item.body)))
    for name, item in resources.of(types.ROUTE).items():
        yield from _named(f"route {name}", _of_routes(route_pb2.RouteConfiguration.FromString(item.body)))
    for name, item in resources.of(types.CLUSTER).items():
        yield from _named(f"cluster {name}", _of_cluster(cluster_pb2.Cluster.FromString(item.body)))
    for name, item in resources.of(types.SCOPE).items():
        scope = scoped_route_pb2.ScopedRouteConfiguration.FromString(item.body)
        if not scope.on_demand:
            yield Reference(type_url=types.ROUTE, name=scope.route_configuration_name, by=f"scope {name}")


def _named(by: str, pairs: Iterable[tuple[str, str]]) -> Iterator[Reference]:
    return (Reference(type_url=url, name=name, by=by) for url, name in pairs)


def _of_listener(listener: listener_pb2.Listener) -> Iterator[tuple[str, str]]:
    for chain in (*listener.filter_chains, listener.default_filter_chain):
        yield from _secrets(chain.transport_socket.typed_config)
        for item in chain.filters:
            yield from _of_filter(item)


def _of_filter(item: listener_components_pb2.Filter) -> Iterator[tuple[str, str]]:
    manager = http_connection_manager_pb2.HttpConnectionManager()
    proxy = tcp_proxy_pb2.TcpProxy()
    if item.typed_config.Is(manager.DESCRIPTOR):
        item.typed_config.Unpack(manager)
        if manager.HasField("rds"):
            yield types.ROUTE, manager.rds.route_config_name
    elif item.typed_config.Is(proxy.DESCRIPTOR):
        item.typed_config.Unpack(proxy)
        yield from _clusters([proxy.cluster, *(part.name for part in proxy.weighted_clusters.clusters)])


def _of_routes(configuration: route_pb2.RouteConfiguration) -> Iterator[tuple[str, str]]:
    for host in configuration.virtual_hosts:
        for route in route_trees.every(host):
            yield from _clusters(_of_action(route.route))


def _of_action(action: route_components_pb2.RouteAction) -> Iterator[str]:
    yield action.cluster
    yield from (part.name for part in action.weighted_clusters.clusters)
    yield from (mirror.cluster for mirror in action.request_mirror_policies)


def _clusters(wanted: Iterable[str]) -> Iterator[tuple[str, str]]:
    return ((types.CLUSTER, name) for name in wanted if name and not _may_be_missing(name))


def _may_be_missing(cluster: str) -> bool:
    parsed = names.parse_cluster(cluster)
    return cluster == names.BLACKHOLE_CLUSTER or bool(parsed and parsed[2])


def _of_cluster(cluster: cluster_pb2.Cluster) -> Iterator[tuple[str, str]]:
    yield from _secrets(cluster.transport_socket.typed_config)
    for match in cluster.transport_socket_matches:
        yield from _secrets(match.transport_socket.typed_config)


def _secrets(config: any_pb2.Any) -> Iterator[tuple[str, str]]:
    for context in (tls_pb2.UpstreamTlsContext(), tls_pb2.DownstreamTlsContext()):
        if config.Is(context.DESCRIPTOR):
            config.Unpack(context)
            common = context.common_tls_context
            wanted = [item.name for item in common.tls_certificate_sds_secret_configs]
            wanted.append(common.combined_validation_context.validation_context_sds_secret_config.name)
            yield from ((types.SECRET, name) for name in wanted if name and name not in _LOCAL_SECRETS)
