"""From the view of one proxy to everything its Envoy holds. The steps, in Envoy's order:

    clusters     what can be called, the app itself, and wherever else a connection was going
    secrets      a gateway's certificates
    listeners    where connections arrive: outbound, inbound, published ports, a gateway's ports
    routes       the rules of each frontend, of the app's ports, of a gateway's ports
    scopes       which destination leads to which routes, for what the workload has asked for

The view is the only input: equal views give equal bytes. Endpoints and the scopes of everything else are shared
by many proxies and added by the caller (`endpoints`, `scopes`, `names`).
"""

from collections.abc import Iterable, Iterator
from itertools import chain

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2

from plait.compiler import clusters, gateway, inbound, inbound_http, outbound, routes, scopes, secrets
from plait.envoy import types
from plait.envoy.resource_set import Entry, ResourceSet, entry_of, resource_set
from plait.model.services import WorkloadKind
from plait.model.view import InboundMode, View

Named = cluster_pb2.Cluster | listener_pb2.Listener | route_pb2.RouteConfiguration


def compile_view(view: View) -> ResourceSet:
    """Everything the configuration of one proxy consists of, but endpoints and shared scopes."""
    return resource_set(
        chain(
            _entries(types.CLUSTER, _clusters(view)),
            _of(types.SECRET, (secrets.certificate(item) for item in view.certificates)),
            _entries(types.LISTENER, _listeners(view)),
            _entries(types.ROUTE, _routes(view)),
            _of(types.SCOPE, _scopes(view)),
        )
    )


def _of(url: str, entries: Iterable[Entry]) -> Iterator[tuple[str, Entry]]:
    return ((url, entry) for entry in entries)


def _entries(url: str, messages: Iterable[Named]) -> Iterator[tuple[str, Entry]]:
    return ((url, entry_of(message.name, message)) for message in messages)


def _is_gateway(view: View) -> bool:
    return view.kind is WorkloadKind.GATEWAY


def _clusters(view: View) -> Iterator[cluster_pb2.Cluster]:
    yield from (clusters.outbound(cluster) for cluster in view.clusters)
    yield from (clusters.direct(endpoint) for endpoint in view.direct)
    yield from (clusters.inbound(port) for port in inbound.app_ports(view))
    if not _is_gateway(view):
        yield clusters.passthrough()


def _listeners(view: View) -> Iterator[listener_pb2.Listener]:
    if _is_gateway(view):
        yield from gateway.listeners(view)
    else:
        yield outbound.listener(view)
        yield from inbound.listeners(view)


def _routes(view: View) -> Iterator[route_pb2.RouteConfiguration]:
    known = clusters.names_of(view.clusters)
    if _is_gateway(view):
        yield from gateway.route_configurations(view, known)
    http = (frontend for frontend in view.frontends if frontend.protocol.is_http)
    yield from (routes.outbound(frontend, known) for frontend in http)
    yield from (inbound_http.route_configuration(port) for port in view.inbound if port.mode is InboundMode.HTTP)


def _scopes(view: View) -> Iterator[Entry]:
    seen: set[str] = set()
    for frontend in view.frontends:
        if frontend.protocol.is_http and not _is_gateway(view):
            for key in scopes.keys_of(frontend, view.capture):
                if key.key not in seen:
                    seen.add(key.key)
                    yield scopes.scope_entry(key, on_demand=False)
