"""What the mesh says of each VirtualService.

`Accepted` is False where none of it can act: nobody sees it, its hosts are no services, or something else decides for
all of them. `ResolvedRefs` tells destinations that lead nowhere (their share is answered 503), `PartiallyInvalid` what
is left out or done otherwise than it is written.
"""

from collections.abc import Iterable, Iterator

from plait.model.snapshot import Status
from plait.snapshot.attach import takes
from plait.snapshot.conditions import ACCEPTED, RESOLVED_REFS, Problem, checked, partially_invalid
from plait.snapshot.declared import DeclaredService
from plait.snapshot.link_virtual_services import lookup_of
from plait.snapshot.links import Stage
from plait.snapshot.virtual_delegates import expanded
from plait.snapshot.virtual_destinations import MESH, VirtualDestination, VirtualRoute
from plait.snapshot.virtual_rules import Lookup, service_of, target_port
from plait.snapshot.virtual_service_table import ANY, patterns
from plait.snapshot.virtual_services import KIND, DeclaredVirtualService


def virtual_service_status(stage: Stage, declared: DeclaredVirtualService) -> Status:
    """The conditions of a VirtualService."""
    left_out: list[str] = []
    routes = tuple(expanded(declared, stage.tables.virtual_services.find, left_out.append))
    refused, partly = _hosts(stage, declared)
    sentences = (*left_out, *(text for route in routes for text in route.problems))
    problems = (*partly, *(Problem(reason="UnsupportedValue", message=text) for text in sentences))
    return Status(
        kind=KIND,
        name=declared.name,
        generation=declared.generation,
        conditions=(
            checked(ACCEPTED, refused),
            checked(RESOLVED_REFS, tuple(_references(declared, routes, lookup_of(stage)))),
            *partially_invalid(() if refused else problems),
        ),
    )


def _hosts(stage: Stage, declared: DeclaredVirtualService) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """(why it is refused, what holds for a part of its hosts)."""
    if not declared.hosts or MESH not in declared.gateways:
        return (), ()
    problems = [(host, _host_problem(stage, declared, host)) for host in declared.hosts]
    found = tuple(dict.fromkeys(problem for _, problem in problems if problem))
    return (found, ()) if all(problem for _, problem in problems) else ((), found)


def _host_problem(stage: Stage, declared: DeclaredVirtualService, hosts: tuple[str, ...]) -> Problem | None:
    if hosts[0].startswith(ANY):
        return None
    owners = stage.tables.services.owners
    host = next((host for host in hosts if host in owners), None)
    if host is None:
        remedy = "make a Service or a ServiceEntry for it"
        return Problem(reason="HostNotFound", message=f"spec.hosts: {hosts[0]} is no service of the mesh; {remedy}")
    service = owners[host]
    if service.headless:
        remedy = "callers reach its endpoints themselves, past all rules; give it a clusterIP"
        return Problem(reason="HeadlessHost", message=f"spec.hosts: {host} is headless: {remedy}")
    route = _gateway_api(stage, declared, service)
    if route:
        sentence = f"spec.hosts: {route} is attached to {host} and decides alone; delete one of the two"
        return Problem(reason="Overruled", message=sentence)
    older = _older(stage, declared, host)
    if older:
        sentence = f"spec.hosts: VirtualService {older} has {host} too and is older, so it decides; join the two"
        return Problem(reason="Conflicted", message=sentence)
    return None


def _gateway_api(stage: Stage, declared: DeclaredVirtualService, service: DeclaredService) -> str:
    """A route of Gateway API that decides for all callers of every port where rules could act; empty if none does."""
    reference = ("", "Service", service.name)
    routes = [stage.tables.routes.routes[name] for name in stage.tables.routes.attached_to(reference)]
    own = [route for route in routes if route.name.namespace == service.name.namespace]
    ports = [
        port for port in service.ports if port.tcp and (declared.http if port.takes_requests else declared.connections)
    ]
    decided = all(
        any(
            parent.reference == reference and takes(route.kind, parent, port)
            for route in own
            for parent in route.parents
        )
        for port in ports
    )
    return f"{own[0].kind.value} {own[0].name}" if own and ports and decided else ""


def overruled_at(stage: Stage, host: str) -> str:
    """The VirtualServices that name a host exactly and have no effect where a route decides alone; empty for none."""
    found = stage.tables.virtual_services.for_host(host)
    return ", ".join(str(item.name) for item in found if host in item.all_hosts and MESH in item.gateways)


def _older(stage: Stage, declared: DeclaredVirtualService, host: str) -> str:
    """The older VirtualService that names the same host exactly and is seen by all who would see this one."""
    for other in stage.tables.virtual_services.for_host(host):
        exact = host in other.all_hosts and MESH in other.gateways
        if other.name == declared.name or not exact:
            return ""
        if other.exports is None or (declared.exports is not None and declared.exports <= other.exports):
            return str(other.name)
    return ""


def _references(declared: DeclaredVirtualService, routes: Iterable[VirtualRoute], lookup: Lookup) -> Iterator[Problem]:
    found = [
        (item, rule.port) for route in routes for rule in route.rules for item in (*rule.destinations, *rule.mirrors)
    ]
    found += [(item, 0) for connection in declared.connections for item in connection.destinations]
    seen: set[tuple[str, str]] = set()
    for destination, port in found:
        place = destination.origin.name, destination.origin.path
        if place not in seen:
            seen.add(place)
            yield from _reference(destination, port, lookup)


def _reference(destination: VirtualDestination, called: int, lookup: Lookup) -> Iterator[Problem]:
    where = destination.origin.path
    service = service_of(destination, lookup)
    if service is None:
        sentence = f"{where}: {destination.hosts[0]} is no service of the mesh, so its share fails (503)"
        yield Problem(reason="BackendNotFound", message=sentence)
        return
    number = target_port(destination, called, service)
    listed = ", ".join(str(port.number) for port in service.ports) or "none"
    if number and service.port(number) is None:
        sentence = f"{where}: {service.host} has no port {number}; its ports are {listed}"
        yield Problem(reason="BackendNotFound", message=sentence)
    if destination.subset and not lookup.has_subset(patterns(service.host), destination.subset):
        sentence = f"{where}: no DestinationRule declares subset {destination.subset} of {service.host}"
        yield Problem(reason="SubsetNotFound", message=f"{sentence}, so its share fails (503)")
