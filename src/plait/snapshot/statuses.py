"""Statuses: what the mesh says of each object, written again only where something it depends on changed."""

from collections.abc import Iterable

from plait.model.ids import ObjectName
from plait.model.snapshot import Condition, ParentStatus, Status
from plait.snapshot.attach import GATEWAY_GROUP, is_gateway, is_service, service_problem, takes
from plait.snapshot.conditions import ACCEPTED, CONFLICTED, RESOLVED_REFS, Problem, checked, holds, partially_invalid
from plait.snapshot.declared import DeclaredEntry, DeclaredPort, DeclaredService
from plait.snapshot.declared_routes import DeclaredRoute, ParentRef
from plait.snapshot.dirty import Dirty
from plait.snapshot.entry_merging import problems
from plait.snapshot.gateways import class_status
from plait.snapshot.link_destinations import DESTINATION_RULE, note_destination_conditions
from plait.snapshot.link_policies import AUTHORIZATION_POLICY, PEER_AUTHENTICATION
from plait.snapshot.link_sidecars import SIDECAR
from plait.snapshot.links import Stage
from plait.snapshot.routes import ResolvedRoute
from plait.snapshot.services import service_host
from plait.snapshot.virtual_services import KIND as VIRTUAL_SERVICE
from plait.snapshot.virtual_statuses import overruled_at, virtual_service_status

GATEWAY = "Gateway"
GATEWAY_CLASS = "GatewayClass"
SERVICE_ENTRY = "ServiceEntry"
_OUR_PARENTS = ("", GATEWAY_GROUP)
_DROPPED = "Dropped Rule: "
"""What Gateway API wants this message to start with."""


def write_statuses(stage: Stage, dirty: Dirty) -> None:
    """Write the statuses of every marked object again."""
    statuses, tables = stage.links.statuses, stage.tables
    for key in dirty.answers:
        route = tables.routes.routes.get(key)
        statuses.put((key[0].value, key[1]), _route_status(stage, route) if route else None)
    for name in dirty.gateways:
        linked = stage.links.linked_gateways.get(name)
        statuses.put((GATEWAY, name), linked.status if linked else None)
    for text in dirty.classes:
        declared = tables.gateways.classes.get(text)
        key = GATEWAY_CLASS, ObjectName(namespace="", name=text)
        statuses.put(key, class_status(declared) if declared else None)
    for name in dirty.entries:
        entry = tables.services.entries.get(name)
        statuses.put((SERVICE_ENTRY, name), _entry_status(stage, entry) if entry else None)
    for name in dirty.virtual:
        virtual = tables.virtual_services.find(name)
        statuses.put((VIRTUAL_SERVICE, name), virtual_service_status(stage, virtual) if virtual else None)
    note_destination_conditions(stage, dirty)
    _write_policies(stage, dirty)


def _write_policies(stage: Stage, dirty: Dirty) -> None:
    tables, links = stage.tables.policies, stage.links
    for kind, namespaces, tables_of in (
        (SIDECAR, dirty.sidecars, stage.tables.sidecars.sidecars),
        (DESTINATION_RULE, dirty.destinations, stage.tables.destinations.rules),
        (PEER_AUTHENTICATION, dirty.peers, tables.peers),
        (AUTHORIZATION_POLICY, dirty.authorization, tables.authorization),
    ):
        for namespace in namespaces:
            conditions = links.policy_conditions[kind, namespace]
            for name, policy in tables_of[namespace].items():
                told = links.overlaps.told(kind, name, conditions[name])
                status = Status(kind=kind, name=name, generation=policy.generation, conditions=told)
                links.statuses.put((kind, name), status)
            for name in links.policy_statuses.get((kind, namespace), frozenset()) - tables_of[namespace].keys():
                links.statuses.put((kind, name), None)
            links.policy_statuses[kind, namespace] = frozenset(tables_of[namespace])


def _route_status(stage: Stage, route: DeclaredRoute) -> Status:
    parents = [
        ParentStatus(parent=parent.written, conditions=conditions)
        for parent in route.parents
        if (conditions := _conditions(stage, route, parent))
    ]
    return Status(kind=route.kind.value, name=route.name, generation=route.generation, parents=tuple(parents))


def _conditions(stage: Stage, route: DeclaredRoute, parent: ParentRef) -> tuple[Condition, ...]:
    links = stage.links
    if is_service(parent.reference):
        return _at_service(stage, route, parent)
    if is_gateway(parent.reference):
        linked = links.linked_gateways.get(parent.name)
        if linked is not None:
            return _at(links.gateway_routes.get(route.key), linked.outcomes.get((route.key, parent)))
        if parent.name in stage.tables.gateways.gateways:
            return ()
        sentence = f"Gateway {parent.name} does not exist; make it, or name another one in parentRefs"
        return _at(links.gateway_routes.get(route.key), Problem(reason="NoMatchingParent", message=sentence))
    if parent.group not in _OUR_PARENTS:
        return ()
    kind = f"{parent.group}/{parent.kind}" if parent.group else parent.kind
    remedy = 'write group: "" with it' if parent.kind == "Service" else "name a Service or a Gateway"
    sentence = f"{kind} {parent.name} cannot be a parent; {remedy}"
    return (checked(ACCEPTED, (Problem(reason="NoMatchingParent", message=sentence),)),)


def _at_service(stage: Stage, route: DeclaredRoute, parent: ParentRef) -> tuple[Condition, ...]:
    problem = _service_problem(stage, route, parent)
    conditions = _at(stage.links.mesh_routes.get(route.key), problem)
    overruled = overruled_at(stage, service_host(parent.name)) if conditions and not problem else ""
    if not overruled or conditions[0].status != "True" or route.name.namespace != parent.name.namespace:
        return conditions
    told = holds(ACCEPTED, f"decides alone at Service {parent.name}; VirtualService {overruled} has no effect there")
    return told, *conditions[1:]


def _service_problem(stage: Stage, route: DeclaredRoute, parent: ParentRef) -> Problem | None:
    declared = stage.tables.services.by_name(parent.name)
    problem = service_problem(route.kind, parent, declared)
    if problem or declared is None:
        return problem
    taken = [port for port in declared.ports if takes(route.kind, parent, port)]
    return None if any(_wins(stage, route, declared, port) for port in taken) else _conflict(stage, route, parent)


def _wins(stage: Stage, route: DeclaredRoute, service: DeclaredService, port: DeclaredPort) -> bool:
    """Whether the route is of the kind that acts at a port: the most specific one, and one for what the port speaks."""
    linked = stage.links.services.get(service.host)
    spoken = linked.port(port.number) if linked else None
    if spoken is not None and spoken.protocol.is_http is not route.kind.of_requests:
        return False
    return stage.tables.routes.kind_at(service.name, port, namespace=route.name.namespace) is route.kind


def _conflict(stage: Stage, route: DeclaredRoute, parent: ParentRef) -> Problem:
    others = stage.tables.routes.attached_to(parent.reference)
    listed = ", ".join(f"{kind} {name}" for kind, name in others if kind is not route.kind)
    sentence = (
        f"a port of Service {parent.name} has routes of one kind, the most specific of GRPCRoute, HTTPRoute, TLSRoute "
        f"and TCPRoute; {listed} comes before this {route.kind}, so name other ports"
    )
    return Problem(reason="Conflicted", message=sentence)


def _at(resolved: ResolvedRoute | None, problem: Problem | None) -> tuple[Condition, ...]:
    if resolved is None:
        return ()
    refused = (problem,) if problem else resolved.refused
    dropped = () if resolved.refused else resolved.dropped
    return (
        checked(ACCEPTED, refused),
        checked(RESOLVED_REFS, resolved.references),
        *partially_invalid(dropped, _DROPPED),
    )


def _entry_status(stage: Stage, entry: DeclaredEntry) -> Status:
    conflicts = tuple(_entry_conflicts(stage, entry))
    lost = sum(problem.reason == CONFLICTED for problem in conflicts) == len(entry.services)
    none_left = not entry.services
    refused = (conflicts or entry.dropped) if lost or none_left else ()
    return Status(
        kind=SERVICE_ENTRY,
        name=entry.name,
        generation=entry.generation,
        conditions=(
            checked(ACCEPTED, refused),
            *partially_invalid(() if refused else (*entry.dropped, *conflicts)),
        ),
    )


def _entry_conflicts(stage: Stage, entry: DeclaredEntry) -> Iterable[Problem]:
    for service in entry.services:
        owner = stage.tables.services.owners.get(service.host)
        if owner is not None and owner.is_entry:
            yield from problems(stage.tables.services.entries_for(service.host), service.origin)
        elif owner is not None:
            origin = owner.origin
            sentence = (
                f"hosts: {service.host} belongs to {origin.kind} {origin.namespace}/{origin.name}; "
                "remove it from one of the two"
            )
            yield Problem(reason=CONFLICTED, message=sentence)
