"""Route configurations: the ordered rules of a frontend as an ordered list of Envoy routes.

The first route whose match holds decides, exactly as in the model, so the list's order is all there is to
precedence; a long list becomes a tree of lists (`route_tree`), which changes nothing of that. A frontend without routes
sends everything to its own service; a closed one answers 404 past its rules.
Routes carry the origin of their rule as metadata, without file and line: moving a document recompiles nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from envoy.config.route.v3 import route_components_pb2, route_pb2

from plait.compiler import provenance, route_tree, shares, tunnels
from plait.compiler.actions import answer
from plait.compiler.matches import route_match, share_of
from plait.compiler.policies import authorizers, cors, headers, sessions
from plait.compiler.targets import Targets
from plait.envoy import names, proto
from plait.model.traffic import Destination, Rule
from plait.model.view import OutboundFrontend

DEFAULT_ROUTE = "default"
_DEFAULT_BODY: Final = 4096


def route(rule: Rule, clusters: Targets, port: int) -> route_components_pb2.Route:
    """One rule as a route of a frontend at that port."""
    if rule.authorizer and rule.authorizer.cluster not in clusters:  # a stale reference must not let anybody in
        rule = Rule(name=rule.name, match=rule.match, status=500, origin=rule.origin)
    message = route_components_pb2.Route(name=rule.name, match=route_match(rule.match))
    if rule.origin:
        message.metadata.CopyFrom(provenance.metadata(rule.origin, rule.name))
    headers.on_route(message, request=rule.request_headers, response=rule.response_headers)
    answer(message, rule, clusters, port)
    cors.on_route(message, rule.cors)
    authorizers.on_route(message, rule.authorizer, clusters)
    sessions.on_route(message, rule.session)
    return message


def of_rule(rule: Rule, clusters: Targets, port: int) -> Iterator[route_components_pb2.Route]:
    """The routes of one rule at that port: one, or one for each backend where they treat requests differently."""
    for item, share in shares.of_rule(rule):
        message = route(item, clusters, port)
        share_of(message.match, share)
        yield message


def of_rules(
    rules: Iterable[Rule], clusters: Targets, port: int, *, tunnelled: Callable[[Rule], bool]
) -> list[route_components_pb2.Route]:
    """The routes of these rules in their order; those for CONNECT come after all others, which never take it."""
    pairs = [(rule, message) for rule in rules for message in of_rule(rule, clusters, port)]
    return [*(message for _, message in pairs), *(tunnels.of(message) for rule, message in pairs if tunnelled(rule))]


def _default(frontend: OutboundFrontend, clusters: Targets) -> route_components_pb2.Route:
    rule = Rule(name=DEFAULT_ROUTE, destinations=(Destination(cluster=frontend.default),))
    message = route(rule, clusters, frontend.port)
    message.match.Clear()
    message.match.prefix = ""  # OPTIONS * too
    return message


def virtual_host(
    name: str, domains: Iterable[str], routes: Iterable[route_components_pb2.Route]
) -> route_components_pb2.VirtualHost:
    """A virtual host; its own name is of no meaning."""
    return route_components_pb2.VirtualHost(name=name, domains=domains, routes=routes)


def configuration(name: str, virtual_hosts: Iterable[route_components_pb2.VirtualHost]) -> route_pb2.RouteConfiguration:
    """A route configuration in which a header changed by a destination wins over the same by its rule."""
    message = route_pb2.RouteConfiguration(
        name=name,
        virtual_hosts=virtual_hosts,
        most_specific_header_mutations_wins=True,
        validate_clusters=proto.false(),
    )
    _admit_bodies(message)
    for host in message.virtual_hosts:
        route_tree.plant(host)
    return message


def _admit_bodies(message: route_pb2.RouteConfiguration) -> None:
    """Envoy refuses answers of its own beyond 4 KiB unless told otherwise."""
    routes = (route for host in message.virtual_hosts for route in host.routes)
    bodies = (route.direct_response.body for route in routes)
    longest = max((len(body.inline_bytes or body.inline_string.encode()) for body in bodies), default=0)
    if longest > _DEFAULT_BODY:
        message.max_direct_response_body_size_bytes.CopyFrom(proto.number(longest))


def outbound(frontend: OutboundFrontend, clusters: Targets) -> route_pb2.RouteConfiguration:
    """The route configuration of a frontend, chosen by destination and never by Host.

    One whose calls name their servers takes only names that it stands for.
    """
    routes = of_rules(frontend.rules, clusters, frontend.port, tunnelled=tunnels.admitted)
    if not frontend.closed:
        default = _default(frontend, clusters)
        routes.extend((default, tunnels.of(default)))
    domains = (frontend.host,) if frontend.dynamic else ("*",)
    message = configuration(names.route(frontend.host, frontend.port), [virtual_host("service", domains, routes)])
    message.ignore_port_in_host_matching = frontend.dynamic
    message.request_headers_to_remove.append(names.DESTINATION_HEADER)
    return message
