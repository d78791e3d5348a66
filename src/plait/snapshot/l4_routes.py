"""TCPRoute and TLSRoute objects to declared routes: one rule of references, and server names of a TLSRoute."""

from collections.abc import Sequence

from plait.resources.gateway_api import l4_routes as api
from plait.resources.parse import Resource
from plait.snapshot.declared_routes import DeclaredRoute, DeclaredRule, RouteKind
from plait.snapshot.route_references import backend_ref, declared_route


def declare_tcp_route(resource: Resource, spec: api.TCPRouteSpec) -> DeclaredRoute:
    """The route that a TCPRoute declares."""
    return _declare(resource, spec, RouteKind.TCP, ())


def declare_tls_route(resource: Resource, spec: api.TLSRouteSpec) -> DeclaredRoute:
    """The route that a TLSRoute declares."""
    return _declare(resource, spec, RouteKind.TLS, spec.hostnames)


def _declare(
    resource: Resource, spec: api.TCPRouteSpec | api.TLSRouteSpec, kind: RouteKind, hostnames: Sequence[str]
) -> DeclaredRoute:
    rules = (_rule(resource, index, rule) for index, rule in enumerate(spec.rules))
    return declared_route(resource, kind, rules, parents=spec.parent_refs, hostnames=hostnames)


def _rule(resource: Resource, index: int, rule: api.L4RouteRule) -> DeclaredRule:
    path = f"spec.rules[{index}]"
    return DeclaredRule(
        name=rule.name or f"rules[{index}]",
        matches=(),
        backends=tuple(
            backend_ref(ref, resource.namespace, resource.origin(f"{path}.backendRefs[{at}]"))
            for at, ref in enumerate(rule.backend_refs)
        ),
        mirrors=(),
        origin=resource.origin(path),
    )
