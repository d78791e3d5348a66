"""A resource set as a bootstrap without any stream, so that `envoy --mode validate` can judge it.

Whatever a set takes from the stream is put in its place: routes into connection managers, scopes with their routes,
endpoints into clusters. A set is valid exactly if the bootstrap made from it is, but for references to secrets that
never come from control, for which stand-ins can be given.
"""

from collections.abc import Iterable, Mapping

from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_pb2, scoped_route_pb2
from envoy.extensions.bootstrap.internal_listener.v3 import internal_listener_pb2
from envoy.extensions.filters.http.on_demand.v3 import on_demand_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2, tls_pb2
from google.protobuf import any_pb2

from plait.envoy import names, proto, types
from plait.envoy.resource_set import ResourceSet

Manager = http_connection_manager_pb2.HttpConnectionManager


def static_bootstrap(
    resources: ResourceSet, *, secrets: Iterable[secret_pb2.Secret] = (), admin_socket: str = ""
) -> bootstrap_pb2.Bootstrap:
    """The bootstrap that holds a whole resource set; write it as JSON with `google.protobuf.json_format`."""
    message = bootstrap_pb2.Bootstrap()
    message.node.id = message.node.cluster = "static"
    if admin_socket:
        message.admin.address.pipe.path = admin_socket
    extension = message.bootstrap_extensions.add(name="envoy.bootstrap.internal_listener")
    extension.typed_config.CopyFrom(proto.packed(internal_listener_pb2.InternalListener()))
    static = message.static_resources
    static.clusters.extend(_clusters(resources))
    if names.XDS_CLUSTER not in resources.of(types.CLUSTER):  # filters may ask the relay
        static.clusters.append(cluster_pb2.Cluster(name=names.XDS_CLUSTER, type=cluster_pb2.Cluster.STATIC))
    static.secrets.extend(secret_pb2.Secret.FromString(item.body) for item in resources.of(types.SECRET).values())
    static.secrets.extend(secrets)
    routes = _routes(resources)
    for item in resources.of(types.LISTENER).values():
        static.listeners.append(_listener(listener_pb2.Listener.FromString(item.body), resources, routes))
    return message


def _routes(resources: ResourceSet) -> Mapping[str, route_pb2.RouteConfiguration]:
    return {
        name: route_pb2.RouteConfiguration.FromString(item.body) for name, item in resources.of(types.ROUTE).items()
    }


def _clusters(resources: ResourceSet) -> Iterable[cluster_pb2.Cluster]:
    assignments = resources.of(types.ENDPOINT)
    for name, item in resources.of(types.CLUSTER).items():
        cluster = cluster_pb2.Cluster.FromString(item.body)
        if cluster.type == cluster_pb2.Cluster.EDS:
            cluster.type = cluster_pb2.Cluster.STATIC
            cluster.ClearField("eds_cluster_config")
            cluster.load_assignment.cluster_name = name
            if name in assignments:
                body = assignments[name].body
                cluster.load_assignment.CopyFrom(endpoint_pb2.ClusterLoadAssignment.FromString(body))
        if cluster.HasField("transport_socket"):
            _static_secrets(cluster.transport_socket.typed_config)
        for match in cluster.transport_socket_matches:
            _static_secrets(match.transport_socket.typed_config)
        yield cluster


def _static_secrets(config: any_pb2.Any) -> None:
    for context in (tls_pb2.UpstreamTlsContext(), tls_pb2.DownstreamTlsContext()):
        if config.Is(context.DESCRIPTOR):
            config.Unpack(context)
            common = context.common_tls_context
            for secret in common.tls_certificate_sds_secret_configs:
                secret.ClearField("sds_config")
            if common.HasField("combined_validation_context"):
                common.combined_validation_context.validation_context_sds_secret_config.ClearField("sds_config")
            config.CopyFrom(proto.packed(context))


def _listener(
    message: listener_pb2.Listener, resources: ResourceSet, routes: Mapping[str, route_pb2.RouteConfiguration]
) -> listener_pb2.Listener:
    for chain in (*message.filter_chains, message.default_filter_chain):
        if chain.HasField("transport_socket"):
            _static_secrets(chain.transport_socket.typed_config)
        for item in chain.filters:
            _filter(item, resources, routes)
    return message


def _filter(
    item: listener_components_pb2.Filter, resources: ResourceSet, routes: Mapping[str, route_pb2.RouteConfiguration]
) -> None:
    manager = Manager()
    stream = tcp_proxy_pb2.TcpProxy()
    if item.typed_config.Is(manager.DESCRIPTOR):
        item.typed_config.Unpack(manager)
        _manager(manager, resources, routes)
        item.typed_config.CopyFrom(proto.packed(manager))
    elif item.typed_config.Is(stream.DESCRIPTOR):
        item.typed_config.Unpack(stream)
        stream.ClearField("on_demand")
        item.typed_config.CopyFrom(proto.packed(stream))


def _manager(manager: Manager, resources: ResourceSet, routes: Mapping[str, route_pb2.RouteConfiguration]) -> None:
    if manager.HasField("rds"):
        name = manager.rds.route_config_name
        manager.route_config.CopyFrom(routes.get(name) or route_pb2.RouteConfiguration(name=name))
    elif manager.HasField("scoped_routes"):
        inline = manager.scoped_routes.scoped_route_configurations_list.scoped_route_configurations
        for item in resources.of(types.SCOPE).values():
            scope = scoped_route_pb2.ScopedRouteConfiguration.FromString(item.body)
            if scope.route_configuration_name in routes:
                scope.route_configuration.CopyFrom(routes[scope.route_configuration_name])
                scope.route_configuration_name = ""
                scope.on_demand = False
                inline.append(scope)
        manager.scoped_routes.ClearField("rds_config_source")
        _drop_on_demand(manager)
        if not inline:  # an inline list may not be empty
            manager.route_config.CopyFrom(route_pb2.RouteConfiguration(name="none"))


def _drop_on_demand(manager: Manager) -> None:
    """Envoy 1.40 crashes at an unknown key if scopes are inline and routes may be asked for on demand."""
    kept = [item for item in manager.http_filters if not item.typed_config.Is(on_demand_pb2.OnDemand.DESCRIPTOR)]
    del manager.http_filters[:]
    manager.http_filters.extend(kept)
