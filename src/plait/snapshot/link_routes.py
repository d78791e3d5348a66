"""Linking routes: references resolved, and the rules of each frontend put in order.

A frontend's rules are those of the routes in its own namespace (producer routes); routes in another namespace (consumer
routes) replace them for callers of that namespace and are merged among themselves only.
"""

from collections.abc import Iterable, Sequence

from plait.model.ids import ObjectName
from plait.model.l4 import L4Rule
from plait.model.services import Service, ServicePort
from plait.model.traffic import ClusterKey, Frontend, Rule
from plait.snapshot.attach import is_gateway, is_service, takes
from plait.snapshot.declared import DeclaredPort, DeclaredService
from plait.snapshot.declared_routes import SPECIFICITY
from plait.snapshot.dirty import Dirty
from plait.snapshot.link_virtual_services import host_rules
from plait.snapshot.links import Stage
from plait.snapshot.precedence import ordered, ordered_connections
from plait.snapshot.routes import Lookup, ResolvedRoute, resolve
from plait.snapshot.services import service_host


def resolve_routes(stage: Stage, dirty: Dirty) -> None:
    """Resolve the references of every marked route again, and mark what it is attached to if that changed it."""
    tables, links = stage.tables, stage.links
    inside = Lookup(service=tables.services.by_name)
    edge = Lookup(service=tables.services.by_name, grants=tables.gateways.grants)
    for name in dirty.routes:
        stage.effects.work["routes"] += 1
        declared = tables.routes.routes.get(name)
        at_services, at_gateways = tables.routes.needs(name)
        for_mesh = resolve(declared, inside) if declared and at_services else None
        for_edge = resolve(declared, edge) if declared and at_gateways else None
        changed = (links.mesh_routes.put(name, for_mesh), links.gateway_routes.put(name, for_edge))
        for parent in declared.parents if declared else ():
            if is_service(parent.reference) and changed[0]:
                dirty.frontends.add(service_host(parent.name))
            if is_gateway(parent.reference) and changed[1]:
                dirty.gateways.add(parent.name)


def link_frontends(stage: Stage, dirty: Dirty) -> None:
    """Put the rules of every marked host's ports together again."""
    for host in dirty.frontends:
        service = stage.links.services.get(host)
        declared = stage.tables.services.owners.get(host)
        former = stage.links.ports.pop(host, ())
        kept: tuple[int, ...] = ()
        if service is not None and declared is not None:
            kept = stage.links.ports[host] = tuple(port.number for port in service.ports)
            for port in service.ports:
                stage.effects.work["frontends"] += 1
                _put(stage, (host, port.number), _frontend(stage, service, declared, port))
        for number in set(former).difference(kept):
            _put(stage, (host, number), None)


def _put(stage: Stage, key: tuple[str, int], frontend: Frontend | None) -> None:
    former = stage.links.frontends.get(key)
    if stage.links.frontends.put(key, frontend):
        stage.effects.hosts.add(key[0])
        stage.effects.scopes = stage.effects.scopes or _scope(former) != _scope(frontend)


def _scope(frontend: Frontend | None) -> tuple[str, bool] | None:
    return (frontend.address, frontend.protocol.is_http) if frontend else None


def _frontend(stage: Stage, service: Service, declared: DeclaredService, port: ServicePort) -> Frontend:
    written = declared.port(port.number)
    routes = _attached(stage, declared, written, of_requests=port.protocol.is_http) if written else ()
    own = _of_namespace(routes, service.name.namespace)
    others = sorted({route.route.name.namespace for route in routes} - {service.name.namespace})
    consumers = [(namespace, _of_namespace(routes, namespace)) for namespace in others]
    of_requests = port.protocol.is_http
    default = ClusterKey(service=service.name, port=port.number)
    return Frontend(
        service=service.name,
        host=service.host,
        address=service.address,
        port=port.number,
        protocol=port.protocol,
        default=default,
        attached=bool(own),
        host_rules=tuple(host_rules(stage, service.host, port, default)),
        rules=_rules(own) if of_requests else (),
        consumer_rules=tuple((name, _rules(found)) for name, found in consumers) if of_requests else (),
        l4_rules=() if of_requests else _connection_rules(own),
        consumer_l4_rules=() if of_requests else tuple((name, _connection_rules(found)) for name, found in consumers),
    )


def _of_namespace(routes: Iterable[ResolvedRoute], namespace: str) -> Sequence[ResolvedRoute]:
    """The routes of one namespace, of the most specific kind among them only."""
    found = [route for route in routes if route.route.name.namespace == namespace]
    kind = min((route.route.kind for route in found), key=SPECIFICITY.index, default=None)
    return [route for route in found if route.route.kind is kind]


def _rules(routes: Iterable[ResolvedRoute]) -> tuple[Rule, ...]:
    return ordered(route.ranked for route in routes)


def _connection_rules(routes: Iterable[ResolvedRoute]) -> tuple[L4Rule, ...]:
    return ordered_connections((route.connections, route.route.hostnames) for route in routes if route.connections)


def _attached(
    stage: Stage, service: DeclaredService, port: DeclaredPort, *, of_requests: bool
) -> Sequence[ResolvedRoute]:
    if service.is_entry or service.headless or service.alias:
        return ()
    reference = ("", "Service", service.name)
    return [
        resolved
        for name in stage.tables.routes.attached_to(reference)
        if name[0].of_requests is of_requests
        and (resolved := stage.links.mesh_routes.get(name))
        and _takes(resolved, service.name, port)
    ]


def _takes(resolved: ResolvedRoute, service: ObjectName, port: DeclaredPort) -> bool:
    reference = ("", "Service", service)
    route = resolved.route
    return any(parent.reference == reference and takes(route.kind, parent, port) for parent in route.parents)
