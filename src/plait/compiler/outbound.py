"""The outbound listener: where captured connections of the app arrive.

Transparent capture: a matcher tree picks a chain by the dialled address and port. Nothing is sniffed, so protocols
in which the server speaks first are not delayed:

    a service address                        http         routes by scope; the key is ADDRESS:PORT as dialled
    a service address and a TCP service's port tcp/ADDRESS:PORT
    a workload's own address                 direct       mutual TLS, no routes
    a range of addresses, or a wildcard      http/HOST:PORT  routes by name
    anything else                            passthrough (it ends there where a Sidecar says REGISTRY_ONLY)

(Envoy's own chain matching would not do: a chain with a port takes that port from every chain without one.)
The scope key is a header that is overwritten from the connection's original destination, so a caller cannot choose
it; routes remove it again. Explicit capture: an HTTP proxy on loopback, whose scope key is the authority.
"""

from collections.abc import Iterable, Iterator

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from envoy.config.core.v3 import base_pb2, extension_pb2, substitution_format_string_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.filters.http.on_demand.v3 import on_demand_pb2
from envoy.extensions.filters.listener.original_dst.v3 import original_dst_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2

from plait.compiler import connections, denials, destinations, dynamic, http, metrics, targets, tcp
from plait.compiler.filters import HttpFilter, http_filter
from plait.compiler.policies import authorizers, cors, faults, protection, sessions
from plait.envoy import names, proto
from plait.model.services import Capture
from plait.model.view import OutboundFrontend, View

Chain = listener_components_pb2.FilterChain

HTTP_CHAIN = "http"
DIRECT_CHAIN = "direct"
PASSTHROUGH_CHAIN = "passthrough"

_UNKNOWN_HOST = (
    "plait: %REQ(:AUTHORITY)% is no service of this mesh, or none of its rules matches. Hosts outside the mesh belong"
    " into NO_PROXY, or into a ServiceEntry.\n"
)


def listener(view: View) -> listener_pb2.Listener:
    """The outbound listener of a workload."""
    return _transparent(view) if view.capture is Capture.TRANSPARENT else _explicit(view)


def _reporter(view: View) -> metrics.Reporter:
    return metrics.source(str(view.name), str(view.identity))


def _transparent(view: View) -> listener_pb2.Listener:
    reporter = _reporter(view)
    streams = _streams(view)
    log = metrics.connections(reporter)
    chains = [Chain(name=HTTP_CHAIN, filters=[_by_address(view, reporter)])]
    if view.direct or view.workload_addresses:
        chains.append(Chain(name=DIRECT_CHAIN, filters=tcp.to_dialled_workload(DIRECT_CHAIN, log)))
    known = connections.known(view)
    chains.extend(_own(view, frontend, reporter) for frontend in view.frontends if frontend.own_chain)
    chains.extend(
        Chain(name=stream_chain(frontend), filters=[connections.captured(frontend, known, log)]) for frontend in streams
    )
    through = tcp.to_cluster(PASSTHROUGH_CHAIN, names.PASSTHROUGH_CLUSTER, log)
    if view.refuses_unknown:
        refused = metrics.connections(metrics.refused(reporter))
        through = tcp.to_cluster(PASSTHROUGH_CHAIN, names.BLACKHOLE_CLUSTER, refused)
    return listener_pb2.Listener(
        name=names.OUTBOUND_LISTENER,
        address=proto.socket_address("0.0.0.0", view.outbound_port),  # noqa: S104 (nft refuses what it did not redirect)
        traffic_direction=base_pb2.OUTBOUND,
        enable_reuse_port=proto.true(),
        listener_filters=[original_destination()],
        filter_chains=chains,
        filter_chain_matcher=destinations.matcher(_places(view)),
        default_filter_chain=Chain(name=PASSTHROUGH_CHAIN, filters=[through]),
    )


def _streams(view: View) -> list[OutboundFrontend]:
    return [frontend for frontend in view.frontends if frontend.dialled and not frontend.protocol.is_http]


def inner_listeners(view: View) -> Iterator[listener_pb2.Listener]:
    """The listeners that tell captured connections apart by server name."""
    if view.capture is Capture.TRANSPARENT:
        yield from connections.listeners(_streams(view), connections.known(view), metrics.connections(_reporter(view)))


def inner_clusters(view: View) -> Iterator[cluster_pb2.Cluster]:
    """What leads to these listeners."""
    if view.capture is Capture.TRANSPARENT:
        yield from connections.clusters(_streams(view))


def original_destination() -> listener_components_pb2.ListenerFilter:
    """Takes the address that the app dialled from the kernel."""
    return listener_components_pb2.ListenerFilter(
        name="envoy.filters.listener.original_dst", typed_config=proto.packed(original_dst_pb2.OriginalDst())
    )


def stream_chain(frontend: OutboundFrontend) -> str:
    """The name of a TCP service's chain."""
    return f"tcp/{frontend.dialled[0]}:{frontend.port}"


def _own(view: View, frontend: OutboundFrontend, reporter: metrics.Reporter) -> Chain:
    """The chain of a service that no scope can choose: of a range of addresses, or whose calls name their servers."""
    message = http.manager(names.OUTBOUND_LISTENER, metrics.requests(reporter))
    http.routes_by_name(message, names.route(frontend.host, frontend.port))
    _explain(view, message)
    resolving = [dynamic.resolving_filter()] if frontend.dynamic else []
    filters = [*_of_routes(view), *resolving]
    return Chain(name=_own_chain(frontend), filters=[http.network_filter(http.add_filters(message, filters))])


def _own_chain(frontend: OutboundFrontend) -> str:
    return f"http/{frontend.host}:{frontend.port}"


def _explain(view: View, message: http.Manager) -> None:
    message.local_reply_config.mappers.append(denials.by_caller(str(view.identity)))
    message.local_reply_config.mappers.extend(protection.by_caller())


def _places(view: View) -> Iterable[destinations.Place]:
    for prefix in view.mesh_addresses:
        yield destinations.Place(prefix=prefix, chain=HTTP_CHAIN)
    for prefix in view.workload_addresses:
        yield destinations.Place(prefix=prefix, chain=DIRECT_CHAIN)
    for endpoint in view.direct:
        if not destinations.within(endpoint.address, view.workload_addresses):
            yield destinations.Place(prefix=endpoint.address, port=endpoint.port, chain=DIRECT_CHAIN)
    for frontend in view.frontends:
        chain = _chain(frontend)
        for prefix in frontend.dialled:
            if chain != HTTP_CHAIN or not destinations.within(prefix, view.mesh_addresses):
                yield destinations.Place(prefix=prefix, port=frontend.port, chain=chain)


def _chain(frontend: OutboundFrontend) -> str:
    if not frontend.protocol.is_http:
        return stream_chain(frontend) if frontend.dialled else ""
    return _own_chain(frontend) if frontend.own_chain else HTTP_CHAIN


def _by_address(view: View, reporter: metrics.Reporter) -> listener_components_pb2.Filter:
    message = http.manager(names.OUTBOUND_LISTENER, metrics.requests(reporter))
    message.early_header_mutation_extensions.append(_destination_header())
    return _by_scope(view, message, names.DESTINATION_HEADER)


def _by_scope(view: View, message: http.Manager, key_header: str) -> listener_components_pb2.Filter:
    message.scoped_routes.CopyFrom(_scopes(key_header))
    _explain(view, message)
    on_demand = http_filter("envoy.filters.http.on_demand", on_demand_pb2.OnDemand())
    return http.network_filter(http.add_filters(message, [on_demand, *_of_routes(view)]))


def _of_routes(view: View) -> tuple[HttpFilter, ...]:
    """Filters that do what routes ask of them."""
    before = cors.filter_of_routes(), targets.refusing_filter(), *authorizers.filters_of_routes(view)
    return *before, sessions.filter_of_routes(), faults.filter_of_routes()


def _destination_header() -> extension_pb2.TypedExtensionConfig:
    option = base_pb2.HeaderValueOption(
        header=base_pb2.HeaderValue(key=names.DESTINATION_HEADER, value="%DOWNSTREAM_LOCAL_ADDRESS%"),
        append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
    return proto.extension(
        "envoy.http.early_header_mutation.header_mutation",
        header_mutation_pb2.HeaderMutation(mutations=[mutation_rules_pb2.HeaderMutation(append=option)]),
    )


def _scopes(key_header: str) -> http_connection_manager_pb2.ScopedRoutes:
    scoped = http_connection_manager_pb2.ScopedRoutes
    fragment = scoped.ScopeKeyBuilder.FragmentBuilder(
        header_value_extractor=scoped.ScopeKeyBuilder.FragmentBuilder.HeaderValueExtractor(name=key_header, index=0)
    )
    return scoped(
        name=names.OUTBOUND_SCOPES,
        scope_key_builder=scoped.ScopeKeyBuilder(fragments=[fragment]),
        rds_config_source=proto.ads(),
        scoped_rds=http_connection_manager_pb2.ScopedRds(scoped_rds_config_source=proto.ads()),
    )


def _explicit(view: View) -> listener_pb2.Listener:
    message = http.manager(names.OUTBOUND_LISTENER, metrics.requests(_reporter(view)))
    message.local_reply_config.mappers.append(_unknown_host())
    proxy = _by_scope(view, message, ":authority")
    return listener_pb2.Listener(
        name=names.OUTBOUND_LISTENER,
        address=proto.socket_address("127.0.0.1", view.outbound_port),
        traffic_direction=base_pb2.OUTBOUND,
        enable_reuse_port=proto.true(),
        filter_chains=[Chain(name=HTTP_CHAIN, filters=[proxy])],
    )


def _unknown_host() -> http_connection_manager_pb2.ResponseMapper:
    return http_connection_manager_pb2.ResponseMapper(
        filter=accesslog_pb2.AccessLogFilter(response_flag_filter=accesslog_pb2.ResponseFlagFilter(flags=["NR"])),
        body_format_override=substitution_format_string_pb2.SubstitutionFormatString(
            text_format_source=base_pb2.DataSource(inline_string=_UNKNOWN_HOST)
        ),
    )
