"""Where would this call go? The answer, computed on what one proxy holds, without any Envoy.

The walk is Envoy's own: listener, filter chain, policies, scope, route, and what the route does. It reads the compiled
messages and nothing else, so it says what the proxy does and not what the compiler meant; a test holds it against a
real Envoy. A call is either a request (with method, path and headers) or a connection (bytes).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from envoy.config.listener.v3 import listener_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2, scoped_route_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2

from plait.envoy import access, actions, branches, chains, choice, names, types
from plait.envoy.resource_set import ResourceSet
from plait.envoy.strings import Headers

Manager = http_connection_manager_pb2.HttpConnectionManager


class Direction(StrEnum):
    """Through which listener a call comes."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"
    GATEWAY = "gateway"
    PUBLISHED = "published"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call as the proxy gets it. `address` and `port` are what was dialled; `identity` what mutual TLS proved.

    `http` false is a connection of which only bytes are known. In explicit capture the authority decides and
    `address` is of no meaning.
    """

    direction: Direction = Direction.OUTBOUND
    address: str = ""
    port: int = 80
    http: bool = True
    method: str = "GET"
    authority: str = ""
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    identity: str = ""
    tls: bool = False
    server_name: str = ""
    protocols: tuple[str, ...] = ()
    """What the caller's TLS offers (ALPN)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What becomes of a call. `status` is an answer by the proxy itself; `clusters` are shares by weight.

    `rule` is the policy's rule that denied (or, with `denied` false, allowed) the call; `reason` a sentence where
    the call ends here; `misses` why each route before the chosen one did not match.
    """

    listener: str = ""
    chain: str = ""
    scope: str = ""
    route_configuration: str = ""
    route: str = ""
    origin: str = ""
    denied: bool = False
    rule: str = ""
    status: int | None = None
    reason: str = ""
    misses: tuple[tuple[str, str], ...] = ()
    action: actions.Action = field(default_factory=actions.Action)
    endpoints: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])

    @property
    def clusters(self) -> Mapping[str, int]:
        """Where the call goes, by weight."""
        return dict(self.action.clusters)


def simulate(resources: ResourceSet, call: Call) -> Outcome:
    """Walks a call through what a proxy holds."""
    listener = _listener(resources, call)
    if listener is None:
        return Outcome(reason=f"no listener takes {call.direction} calls to port {call.port}")
    connection = chains.Connection(
        address=call.address or "127.0.0.1",
        port=call.port,
        tls=call.tls,
        server_name=call.server_name if call.tls else "",
        protocols=call.protocols if call.tls else (),
    )
    chain = chains.choose(listener, connection)
    if chain is None:
        return Outcome(listener=listener.name, reason=_refusal(call))
    outcome = Outcome(listener=listener.name, chain=chain.name)
    rules: list[rbac_pb2.RBAC] = []
    for item in chain.filters:
        if item.typed_config.Is(network_rbac_pb2.RBAC.DESCRIPTOR):
            config = network_rbac_pb2.RBAC()
            item.typed_config.Unpack(config)
            rules.append(config.rules)
        elif item.typed_config.Is(tcp_proxy_pb2.TcpProxy.DESCRIPTOR):
            return _stream(resources, call, _allowed(outcome, rules, call), item.typed_config.value)
        elif item.typed_config.Is(Manager.DESCRIPTOR):
            return _requests(resources, call, outcome, Manager.FromString(item.typed_config.value))
    return outcome


def _listener(resources: ResourceSet, call: Call) -> listener_pb2.Listener | None:
    wanted = {
        Direction.OUTBOUND: (names.OUTBOUND_LISTENER,),
        Direction.INBOUND: (names.inbound_listener(call.port), names.INBOUND_LISTENER),
        Direction.GATEWAY: (names.gateway_listener(call.port),),
        Direction.PUBLISHED: (names.publish_listener(call.port),),
    }[call.direction]
    held = resources.of(types.LISTENER)
    name = next((name for name in wanted if name in held), None)
    return listener_pb2.Listener.FromString(held[name].body) if name else None


def _refusal(call: Call) -> str:
    if call.direction == Direction.INBOUND and not call.tls:
        return f"port {call.port} accepts only mutual TLS (STRICT), or is not a port of the workload"
    return f"no filter chain takes connections to {call.address}:{call.port}"


def _allowed(outcome: Outcome, rules: list[rbac_pb2.RBAC], call: Call, headers: Headers = ()) -> Outcome:
    decision = access.decide(rules, access.Caller(identity=call.identity, port=call.port, headers=headers))
    return replace(outcome, denied=not decision.allowed, rule=decision.rule, reason=_denial(decision, call))


def _denial(decision: access.Decision, call: Call) -> str:
    if decision.allowed:
        return ""
    who = call.identity or "a caller without identity"
    if decision.rule == access.NONE:
        return f"no rule of any ALLOW policy matches {who}"
    return f"policy rule {decision.rule} denies {who}"


def _stream(resources: ResourceSet, call: Call, outcome: Outcome, config: bytes) -> Outcome:
    if outcome.denied:
        return outcome
    proxy = tcp_proxy_pb2.TcpProxy.FromString(config)
    cluster = proxy.cluster
    if cluster.startswith(names.SERVER_NAMES_PREFIX):
        return _by_server_name(resources, call, outcome, cluster)
    if cluster == names.BLACKHOLE_CLUSTER and not proxy.HasField("on_demand"):
        return replace(outcome, reason=_refusal(call))
    if proxy.HasField("on_demand"):
        cluster = names.direct_cluster(call.address, call.port)
        if cluster not in resources.of(types.CLUSTER):
            outcome = replace(outcome, reason=f"{cluster} is fetched with the first connection")
    shares = actions.stream_shares(proxy) or ((cluster, 1),)
    return _with_endpoints(resources, replace(outcome, action=actions.Action(clusters=shares)))


def _by_server_name(resources: ResourceSet, call: Call, outcome: Outcome, name: str) -> Outcome:
    """Goes on in the listener inside the proxy that tells connections apart by server name."""
    held = resources.of(types.LISTENER).get(name)
    asked = chains.Connection(
        address=call.address, port=call.port, tls=call.tls, server_name=call.server_name, protocols=call.protocols
    )
    chain = chains.choose(listener_pb2.Listener.FromString(held.body), asked) if held else None
    if chain is None:
        named = f"server name {call.server_name}" if call.tls and call.server_name else "no server name"
        return replace(outcome, reason=f"no rule of {call.address}:{call.port} takes connections with {named}")
    outcome = replace(outcome, chain=f"{outcome.chain} {chain.name}")
    return _stream(resources, call, outcome, chain.filters[-1].typed_config.value)


def _requests(resources: ResourceSet, call: Call, outcome: Outcome, manager: Manager) -> Outcome:
    if not call.http:
        return replace(outcome, status=400, reason="the port speaks HTTP, and this is no request")
    if "#" in call.path:
        return replace(outcome, status=400, reason="a request's path has no fragment")
    headers = _headers(call)
    outcome, configuration = _configuration(resources, call, outcome, manager)
    if configuration is None:
        return outcome
    outcome = replace(outcome, route_configuration=configuration.name)
    host = actions.virtual_host(configuration, call.authority)
    found, misses = branches.of_host(host, headers) if host else ((), ())
    outcome = replace(outcome, misses=misses)
    if not found:
        return replace(outcome, status=404, reason=_unrouted(configuration, call, misses))
    route = found[0].route
    outcome = replace(outcome, route=route.name, origin=actions.origin(route))
    outcome = _allowed(outcome, _route_rules(route, manager), call, headers)
    if outcome.denied:
        return replace(outcome, status=403)
    return _answer(resources, outcome, branches.action_of(found, call.authority, headers))


def _headers(call: Call) -> Headers:
    written = tuple((name.lower(), value) for name, value in call.headers)
    scheme = next((value for name, value in written if name == "x-forwarded-proto"), "https" if call.tls else "http")
    own = ((":method", call.method), (":path", call.path), (":authority", call.authority), (":scheme", scheme))
    return (*own, *written)


def _configuration(
    resources: ResourceSet, call: Call, outcome: Outcome, manager: Manager
) -> tuple[Outcome, route_pb2.RouteConfiguration | None]:
    name = manager.rds.route_config_name
    if manager.HasField("scoped_routes"):
        fragment = manager.scoped_routes.scope_key_builder.fragments[0]
        by_authority = fragment.header_value_extractor.name == ":authority"
        key = call.authority if by_authority else f"{call.address}:{call.port}"
        entry = resources.of(types.SCOPE).get(names.scope(key))
        if entry is None:
            return replace(outcome, status=404, reason=f"no service of the mesh is at {key}"), None
        outcome = replace(outcome, scope=entry.name)
        name = scoped_route_pb2.ScopedRouteConfiguration.FromString(entry.body).route_configuration_name
    held = resources.of(types.ROUTE).get(name)
    if held is None:
        return replace(outcome, route_configuration=name, reason=f"{name} is fetched with the first request"), None
    return outcome, route_pb2.RouteConfiguration.FromString(held.body)


def _unrouted(configuration: route_pb2.RouteConfiguration, call: Call, misses: tuple[tuple[str, str], ...]) -> str:
    if not misses:
        return f"no hostname of {configuration.name} includes {call.authority or 'an empty Host'}"
    nearest = max(misses, key=lambda item: not item[1].startswith("path "))
    return f"no rule of {configuration.name} matches; the nearest is {nearest[0]}: {nearest[1]}"


def _route_rules(route: route_components_pb2.Route, manager: Manager) -> list[rbac_pb2.RBAC]:
    rules: list[rbac_pb2.RBAC] = []
    for item in manager.http_filters:
        if item.name in route.typed_per_filter_config and item.typed_config.Is(http_rbac_pb2.RBAC.DESCRIPTOR):
            config = http_rbac_pb2.RBACPerRoute()
            route.typed_per_filter_config[item.name].Unpack(config)
            rules.append(config.rbac.rules)
    return rules


def _answer(resources: ResourceSet, outcome: Outcome, action: actions.Action) -> Outcome:
    outcome = _with_endpoints(resources, replace(outcome, action=action, status=action.status))
    if action.abort[1] >= 1:
        aborted = replace(action, location="", body="")
        return replace(outcome, action=aborted, status=action.abort[0], reason="the rule aborts requests on purpose")
    held = resources.of(types.CLUSTER)
    if action.clusters and all(name not in held for name, _ in action.clusters):
        return replace(outcome, status=action.missing_status, reason="no cluster of this route exists")
    known = [outcome.endpoints.get(name) for name, _ in action.clusters]
    if known and all(item == () for item in known):
        return replace(outcome, status=503, reason="no endpoint is healthy")
    return outcome


def _with_endpoints(resources: ResourceSet, outcome: Outcome) -> Outcome:
    assigned = {name: choice.assignment(resources, name) for name, _ in outcome.action.clusters}
    found = {name: actions.addresses(item) for name, item in assigned.items() if item is not None}
    return replace(outcome, endpoints=found)
