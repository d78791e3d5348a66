"""Gateways: proxies at the edge of the mesh.

Listeners that share a port share one Envoy listener. Plaintext ones share one route configuration, in which the Host
chooses the listener; each TLS listener is a chain of its own, chosen by server name, with its own certificate and
route configuration. Within a listener the most specific hostname comes first, as Gateway API orders it: rules of
`foo.example.com` before those of `*.example.com` before those of every host.

Clients reuse a connection for every host that its certificate is for. So a request on a TLS listener whose host belongs
to another TLS listener of the port is answered 421, after which the client makes a connection for that host.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.listener.proxy_protocol.v3 import proxy_protocol_pb2

from plait.compiler import denials, http, inbound_http, metrics, routes, targets, tls, tunnels
from plait.compiler import gateway_connections as connections
from plait.compiler.connections import tls_inspector
from plait.compiler.policies import authorization, authorizers, cors, faults, protection, sessions
from plait.compiler.targets import Targets
from plait.envoy import names, proto
from plait.model.gateways import GatewayListener
from plait.model.services import Protocol
from plait.model.traffic import Rule
from plait.model.view import View

Chain = listener_components_pb2.FilterChain

_REQUEST_HEADERS_TIMEOUT: Final = 10.0
_BUFFER_LIMIT: Final = 65536
_MAX_STREAMS: Final = 100
MISDIRECTED: Final = "misdirected"
"""The route for requests whose host belongs to another listener than their connection's."""
_MISDIRECTED_BODY: Final = "plait: this connection was made for another host; make a new one\n"


def _ports(view: View) -> dict[int, list[GatewayListener]]:
    ports: dict[int, list[GatewayListener]] = {}
    for item in view.listeners:
        if not item.tls or item.certificates or item.terms.mesh:
            ports.setdefault(item.port, []).append(item)
    return dict(sorted(ports.items()))


def listeners(view: View) -> Iterator[listener_pb2.Listener]:
    """One Envoy listener per port."""
    bound = dict(view.gateway_ports)
    for port, items in _ports(view).items():
        requests = [item for item in items if item.protocol.is_http]
        plain = [item for item in requests if not item.tls]
        chains = [_secure(view, item) for item in requests if item.tls]
        chains.extend(chain for item in items if item not in requests for chain in connections.chains(view, item))
        if plain:
            match = listener_components_pb2.FilterChainMatch(transport_protocol="raw_buffer" if chains else "")
            routes_name = names.gateway_route(port)
            chains.append(
                Chain(name="plaintext", filter_chain_match=match, filters=[_requests(view, routes_name, plain)])
            )
        message = listener_pb2.Listener(
            name=names.gateway_listener(port),
            address=proto.socket_address("0.0.0.0", bound.get(port, port)),  # noqa: S104 (a gateway is there to be called)
            traffic_direction=base_pb2.OUTBOUND,
            enable_reuse_port=proto.true(),
            per_connection_buffer_limit_bytes=proto.number(_BUFFER_LIMIT),
            filter_chains=chains,
        )
        if any(item.clients.proxy_protocol for item in items):
            message.listener_filters.append(_proxy_protocol())
        if any(item.tls or item.protocol is Protocol.TLS for item in items):
            message.listener_filters.append(tls_inspector())
        yield message


def _secure(view: View, item: GatewayListener) -> Chain:
    match = listener_components_pb2.FilterChainMatch(transport_protocol="tls")
    if item.hostname:
        match.server_names.append(item.hostname)
    certificates = [names.gateway_secret(name.namespace, name.name) for name in item.certificates]
    return Chain(
        name=item.name,
        filter_chain_match=match,
        transport_socket=tls.from_outside(certificates, terms=item.terms, trust_domain=view.identity.trust_domain),
        filters=[_requests(view, names.gateway_route(item.port, item.name), [item])],
    )


def _proxy_protocol() -> listener_components_pb2.ListenerFilter:
    """Takes the client's address from what the proxy in front writes first."""
    return listener_components_pb2.ListenerFilter(
        name="envoy.filters.listener.proxy_protocol", typed_config=proto.packed(proxy_protocol_pb2.ProxyProtocol())
    )


def _requests(view: View, routes_name: str, items: Sequence[GatewayListener]) -> listener_components_pb2.Filter:
    reporter = metrics.source(str(view.gateway or view.name), str(view.identity))
    message = http.manager("gateway", metrics.requests(reporter))
    message.use_remote_address.CopyFrom(proto.true())
    message.xff_num_trusted_hops = max(item.clients.trusted_proxies for item in items)
    message.normalize_path.CopyFrom(proto.true())
    message.request_headers_timeout.CopyFrom(proto.seconds(_REQUEST_HEADERS_TIMEOUT))
    message.stream_idle_timeout.CopyFrom(proto.seconds(300))
    message.http2_protocol_options.max_concurrent_streams.CopyFrom(proto.number(_MAX_STREAMS))
    http.routes_by_name(message, routes_name)
    message.local_reply_config.mappers.append(denials.by_caller(str(view.identity)))
    message.local_reply_config.mappers.extend(protection.by_caller())
    asking = [cors.filter_of_routes(), *inbound_http.filters(), targets.refusing_filter()]
    asking += authorizers.filters_of_routes(view)
    rest = sessions.filter_of_routes(), faults.filter_of_routes()
    return http.network_filter(http.add_filters(message, [*asking, *rest]))


def route_configurations(view: View, clusters: Targets) -> Iterator[route_pb2.RouteConfiguration]:
    """The route configurations of all listeners."""
    for port, items in _ports(view).items():
        requests = [item for item in items if item.protocol.is_http]
        plain = [item for item in requests if not item.tls]
        if plain:
            yield _configuration(names.gateway_route(port), plain, view, clusters)
        secure = [item for item in requests if item.tls]
        for item in secure:
            message = _configuration(names.gateway_route(port, item.name), [item], view, clusters)
            _answer_misdirected(message, item, secure)
            yield message


def _configuration(
    name: str, items: Sequence[GatewayListener], view: View, clusters: Targets
) -> route_pb2.RouteConfiguration:
    hosts = [_host(host, item, view, clusters) for host, item in _hosts(items)]
    message = routes.configuration(name, hosts)
    message.ignore_port_in_host_matching = True
    return message


def _answer_misdirected(
    message: route_pb2.RouteConfiguration, item: GatewayListener, secure: Sequence[GatewayListener]
) -> None:
    """Answers 421 for hosts that belong to another listener than the one that the connection was made for."""
    if item.separate_hosts:
        return
    others = [other for other in secure if other is not item and not other.separate_hosts]
    for index, host in reversed([*enumerate(message.virtual_hosts)]):
        wanted = "" if host.domains[0] == "*" else host.domains[0]
        if _owner(wanted, [item, *others]) is not item:
            del message.virtual_hosts[index]
    for other in others:
        host = other.hostname or "*"
        answer = route_components_pb2.Route(name=MISDIRECTED)
        answer.match.prefix = ""
        answer.direct_response.status = 421
        answer.direct_response.body.inline_string = _MISDIRECTED_BODY
        message.virtual_hosts.append(routes.virtual_host(f"misdirected {host}", (host,), (answer,)))


def _host(host: str, item: GatewayListener, view: View, clusters: Targets) -> route_components_pb2.VirtualHost:
    place = authorization.Place(port=item.port, http=True)
    chosen = routes.of_rules(_rules(host, item), clusters, item.port, tunnelled=tunnels.asked)
    governed = [authorization.on_route(route, view.policies, place) for route in chosen]
    return routes.virtual_host(host or "any", (host or "*",), governed)


def covers(pattern: str, host: str) -> bool:
    """Whether a hostname pattern (empty for every host) includes a host or another pattern."""
    if not pattern or pattern == host:
        return True
    return pattern.startswith("*.") and host.removeprefix("*").endswith(pattern[1:]) and bool(host)


def specificity(pattern: str) -> tuple[int, int]:
    """Orders hostname patterns: characters without a wildcard first, then characters at all."""
    return (0 if pattern.startswith("*") else len(pattern), len(pattern))


def _hosts(items: Sequence[GatewayListener]) -> Iterator[tuple[str, GatewayListener]]:
    """Every hostname that is told apart, each with the most specific listener that includes it."""
    found: dict[str, GatewayListener] = {}
    wanted = {item.hostname for item in items}
    wanted |= {host for item in items for rule in item.rules for host in rule.hostnames if covers(item.hostname, host)}
    for host in sorted(wanted):
        found[host] = _owner(host, items)
    return iter(found.items())


def _owner(host: str, items: Iterable[GatewayListener]) -> GatewayListener:
    """The most specific listener that includes a host, one of which does."""
    return max((item for item in items if covers(item.hostname, host)), key=lambda it: specificity(it.hostname))


def _rules(host: str, item: GatewayListener) -> list[Rule]:
    """The rules for a hostname, those of more specific hostnames first, else as they were ordered."""
    own = item.hostname if item.separate_hosts else ""
    ranked = sorted(_ranked(host, item.rules, own), key=lambda pair: pair[0], reverse=True)
    return [rule for rank, rule in ranked if not item.separate_hosts or rank == ranked[0][0]]


def _ranked(host: str, rules: Iterable[Rule], hostname: str) -> Iterator[tuple[tuple[int, int], Rule]]:
    for rule in rules:
        matching = [specificity(pattern) for pattern in rule.hostnames or (hostname,) if covers(pattern, host)]
        if matching:
            yield max(matching), rule
