"""From the view of one proxy to everything its Envoy holds. The steps, in Envoy's order:

    clusters     what can be called, the app itself, and wherever else a connection was going
    secrets      a gateway's certificates
    listeners    where connections arrive: outbound, inbound, published ports, a gateway's ports
    routes       the rules of each frontend, of the app's ports, of a gateway's ports
    scopes       which destination leads to which routes, for what the workload has asked for

The view is the only input: equal views give equal bytes. Endpoints and the scopes of everything else are shared
by many proxies and added by the caller (`endpoints`, `scopes`, `names`).

What many views have in common, the clusters and the routes of a service that many call, is compiled once for all: the
latest results are remembered by their inputs, so that equal parts of different proxies are the same entry. A sidecar's
own part is compiled from a view without rules, so that a route that changes leaves it as it is.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from itertools import chain
from typing import Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2

from plait.compiler import clusters, gateway, inbound, inbound_http, outbound, routes, scopes, secrets, targets
from plait.compiler.targets import Target
from plait.envoy import types
from plait.envoy.resource_set import Entry, ResourceSet, entry_of, resource_set
from plait.model.ids import ObjectName
from plait.model.remembered import Remembered
from plait.model.services import Capture, WorkloadKind
from plait.model.traffic import ClusterKey
from plait.model.view import OutboundCluster, OutboundFrontend, ScopeKey, View

_REMEMBERED: Final = 4096

_Known = tuple[tuple[ClusterKey, Target], ...]
"""The clusters that routes may refer to."""
_CLUSTERS: Final = Remembered[ClusterKey, Entry](_REMEMBERED)
_FRONTENDS: Final = Remembered[tuple[str, int, _Known], Entry](_REMEMBERED)
_BARE: Final = Remembered[tuple[str, int, tuple[str, ...]], OutboundFrontend](_REMEMBERED)
"""Frontends without their rules."""
_SCOPES: Final = Remembered[tuple[str, int, tuple[str, ...], Capture], tuple[Entry, ...]](_REMEMBERED)

Named = cluster_pb2.Cluster | listener_pb2.Listener | route_pb2.RouteConfiguration


def compile_view(view: View) -> ResourceSet:
    """Everything the configuration of one proxy consists of, but endpoints and shared scopes."""
    return resource_set(
        chain(
            _of(types.CLUSTER, (_cluster(item) for item in view.clusters if not item.missing)),
            _entries(types.CLUSTER, (clusters.direct(endpoint) for endpoint in view.direct)),
            _of(types.SECRET, (secrets.certificate(item) for item in view.certificates)),
            _own(view) if _is_gateway(view) else _LATEST.of(_without_rules(view)),
            _of(types.ROUTE, _frontends(view)),
            _of(types.SCOPE, _scopes(view)),
        )
    )


def _of(url: str, entries: Iterable[Entry]) -> Iterator[tuple[str, Entry]]:
    return ((url, entry) for entry in entries)


def _entries(url: str, messages: Iterable[Named]) -> Iterator[tuple[str, Entry]]:
    return ((url, entry_of(message.name, message)) for message in messages)


def _is_gateway(view: View) -> bool:
    return view.kind is WorkloadKind.GATEWAY


def _cluster(cluster: OutboundCluster) -> Entry:
    return _CLUSTERS.of(cluster.key, (cluster,), _cluster_anew)


@lru_cache(_REMEMBERED)
def _cluster_anew(cluster: OutboundCluster) -> Entry:
    message = clusters.outbound(cluster)
    return entry_of(message.name, message)


def _own(view: View) -> Iterator[tuple[str, Entry]]:
    """What no other proxy has: where connections arrive, and what is behind the workload's own ports."""
    return chain(
        _entries(types.CLUSTER, _own_clusters(view)),
        _entries(types.LISTENER, _listeners(view)),
        _entries(types.ROUTE, _own_routes(view)),
    )


def _without_rules(view: View) -> View:
    """The view without what only routes are made of, which changes more often than a sidecar's own part."""
    streams = {key for frontend in view.frontends if not frontend.protocol.is_http for key in _leads_to(frontend)}
    return replace(
        view,
        frontends=tuple(
            _BARE.of((frontend.host, frontend.port, frontend.aliases), (frontend,), _bare)
            if frontend.protocol.is_http
            else frontend
            for frontend in view.frontends
        ),
        clusters=tuple(cluster for cluster in view.clusters if cluster.key in streams),
    )


def _bare(frontend: OutboundFrontend) -> OutboundFrontend:
    return replace(frontend, rules=(), closed=False)


class _Latest:
    """Each sidecar's own part as it was compiled last, with what it was compiled from."""

    def __init__(self) -> None:
        self._parts: dict[ObjectName, tuple[View, tuple[tuple[str, Entry], ...]]] = {}

    def of(self, view: View) -> tuple[tuple[str, Entry], ...]:
        """The entries for that view, which must be all that they depend on."""
        known = self._parts.pop(view.name, None)
        if known is None or known[0] != view:
            known = (view, tuple(_own(view)))
        self._parts[view.name] = known
        if len(self._parts) > _REMEMBERED:
            del self._parts[next(iter(self._parts))]
        return known[1]


_LATEST: Final = _Latest()


def _own_clusters(view: View) -> Iterator[cluster_pb2.Cluster]:
    yield from (clusters.inbound(port) for port in inbound.app_ports(view))
    if not _is_gateway(view):
        yield clusters.passthrough()
        yield from outbound.inner_clusters(view)


def _listeners(view: View) -> Iterator[listener_pb2.Listener]:
    if _is_gateway(view):
        yield from gateway.listeners(view)
    else:
        yield outbound.listener(view)
        yield from outbound.inner_listeners(view)
        yield from inbound.listeners(view)


def _frontends(view: View) -> Iterator[Entry]:
    known, identity = {item.key: item for item in view.clusters}, str(view.identity)
    for frontend in view.frontends:
        if frontend.protocol.is_http:
            used = [known[key] for key in _leads_to(frontend) if key in known]
            found = tuple(targets.of(used, identity, tells_caller=frontend.tells_caller).items())
            yield _FRONTENDS.of((frontend.host, frontend.port, found), (frontend,), partial(_frontend, found))


def _leads_to(frontend: OutboundFrontend) -> Iterator[ClusterKey]:
    """The clusters that a frontend's routes may refer to, each once and in a stable order."""
    found = {frontend.default: None}
    for rule in frontend.rules:
        found.update(dict.fromkeys(rule.clusters))
    for l4_rule in frontend.l4_rules:
        found.update((item.cluster, None) for item in l4_rule.destinations if item.cluster is not None)
    return iter(found)


@lru_cache(_REMEMBERED)
def _frontend(known: _Known, frontend: OutboundFrontend) -> Entry:
    message = routes.outbound(frontend, dict(known))
    return entry_of(message.name, message)


def _own_routes(view: View) -> Iterator[route_pb2.RouteConfiguration]:
    if _is_gateway(view):
        yield from gateway.route_configurations(view, targets.of(view.clusters, str(view.identity)))
    yield from (inbound_http.route_configuration(port) for port in view.inbound if port.protocol.is_http)


def _scopes(view: View) -> Iterator[Entry]:
    seen: set[str] = set()
    for frontend in view.frontends:
        if frontend.protocol.is_http and not _is_gateway(view):
            key = (frontend.host, frontend.port, frontend.aliases, view.capture)
            for entry in _SCOPES.of(key, (frontend,), partial(_scopes_of, view.capture)):
                if entry.name not in seen:
                    seen.add(entry.name)
                    yield entry


def _scopes_of(capture: Capture, frontend: OutboundFrontend) -> tuple[Entry, ...]:
    return tuple(_scope(key) for key in scopes.keys_of(frontend, capture))


@lru_cache(_REMEMBERED)
def _scope(key: ScopeKey) -> Entry:
    return scopes.scope_entry(key, on_demand=False)
