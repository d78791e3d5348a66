"""Endpoints of clusters: from workloads, EndpointSlices and what ServiceEntries list.

A workload's endpoint on a port is one object however many services lead to it, made once a change of the workload.
Only workloads that are ready have endpoints; the identities of a cluster are those of all its workloads, ready or not,
so that a restart changes endpoints only and never what callers are configured to trust.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from plait.model.ids import ObjectName
from plait.model.services import Endpoint, Resolution, Workload
from plait.resources.core.endpoint_slice import EndpointConditions, EndpointSlice
from plait.snapshot.declared import (
    DeclaredPort,
    DeclaredService,
    DeclaredSlice,
    DeclaredWorkload,
    FixedEndpoint,
    SliceEndpoint,
)
from plait.snapshot.services import target_number

SERVICE_LABEL = "kubernetes.io/service-name"
WorkloadAt = Callable[[str], DeclaredWorkload | None]
Plaintext = Callable[[Workload, int], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """What a service's endpoints are made of; `workload_at` finds the workloads that slices list by address.

    `plaintext` says whether a port of a workload of the mesh is called without mutual TLS.
    """

    members: Sequence[DeclaredWorkload] = ()
    slices: Sequence[DeclaredSlice] = ()
    workload_at: WorkloadAt
    plaintext: Plaintext

    def secured(self, member: DeclaredWorkload, number: int) -> bool:
        """Whether callers bring mutual TLS to that port."""
        return member.workload.in_mesh and not self.plaintext(member.workload, number)


def declare_slice(name: ObjectName, document: EndpointSlice, service: str) -> DeclaredSlice | None:
    """The slice of that Service, or None where it belongs to none or has no IP addresses."""
    if not service or document.address_type == "FQDN":
        return None
    return DeclaredSlice(
        name=name,
        service=ObjectName(namespace=name.namespace, name=service),
        ports=tuple(
            (port.name, port.port) for port in document.ports if port.port is not None and port.protocol == "TCP"
        ),
        endpoints=tuple(
            SliceEndpoint(
                address=endpoint.addresses[0],
                ready=_ready(endpoint.conditions),
                node=endpoint.node_name or "",
                zone=endpoint.zone or "",
            )
            for endpoint in document.endpoints
        ),
    )


def _ready(conditions: EndpointConditions) -> bool:
    return conditions.ready is not False and conditions.terminating is not True


def cluster_endpoints(service: DeclaredService, port: DeclaredPort, behind: Behind) -> tuple[Endpoint, ...]:
    """The endpoints of a port of a service, each address once, in an order that depends on nothing but them."""
    found: dict[tuple[str, int], Endpoint] = {}
    for endpoint in _all(service, port, behind):
        found.setdefault((endpoint.address, endpoint.port), endpoint)
    return tuple(found.values())


def cluster_identities(service: DeclaredService, port: DeclaredPort, behind: Behind) -> tuple[str, ...]:
    """The SPIFFE IDs that endpoints of a port of the service may prove; none outside the mesh."""
    if service.external:
        return ()
    found = {fixed.identity for fixed in service.fixed if fixed.serves(port)} | {
        name for name in service.proves if "://" in name
    }
    for member, number in _listed(service, port, behind):
        if behind.secured(member, number):
            found.add(str(member.workload.identity))
    return tuple(sorted(found - {""}))


def cluster_members(service: DeclaredService, port: DeclaredPort, behind: Behind) -> tuple[tuple[ObjectName, int], ...]:
    """The workloads that callers reach by mutual TLS, ready or not, and the port of each; none outside the mesh."""
    if service.external:
        return ()
    found = _listed(service, port, behind)
    return tuple(sorted({(item.workload.name, number) for item, number in found if behind.secured(item, number)}))


def _listed(service: DeclaredService, port: DeclaredPort, behind: Behind) -> Iterable[tuple[DeclaredWorkload, int]]:
    """The workloads behind a port of a service, ready or not, and the number of it there."""
    for member in behind.members:
        number = target_number(service, port, member.workload)
        if number is not None:
            yield member, number
    for item in behind.slices:
        number = _number_in(item, port)
        found = (behind.workload_at(endpoint.address) for endpoint in item.endpoints)
        yield from ((member, number) for member in found if member is not None)


def _all(service: DeclaredService, port: DeclaredPort, behind: Behind) -> Iterable[Endpoint]:
    for member in behind.members:
        number = target_number(service, port, member.workload) if _callable(service, member) else None
        if number is not None:
            yield _of_workload(member, number, secured=_secured(service, member, number, behind))
    for item in sorted(behind.slices, key=lambda item: item.name):
        yield from _of_slice(service, port, item, behind)
    if service.resolution is Resolution.STATIC or service.resolution.is_named:
        yield from (_of_fixed(service, port, fixed) for fixed in service.fixed if fixed.serves(port))


def _secured(service: DeclaredService, member: DeclaredWorkload, number: int, behind: Behind) -> bool:
    return not service.external and behind.secured(member, number)


def _callable(service: DeclaredService, member: DeclaredWorkload) -> bool:
    workload = member.workload
    return workload.ready or (service.unready and not workload.leaving)


def _of_workload(member: DeclaredWorkload, number: int, *, secured: bool) -> Endpoint:
    made = member.endpoints.get((number, secured))
    if made is None:
        workload = member.workload
        listed = next((port for port in workload.ports if port.number == number), None)
        published = listed.published if listed else 0
        made = member.endpoints[number, secured] = Endpoint(
            address=workload.address,
            port=listed.sidecar or number if listed else number,
            workload=str(workload.name),
            node=workload.node,
            machine_address=workload.machine_address if published else "",
            published=published,
            identity=str(workload.identity) if secured else "",
            locality=workload.locality,
            weight=workload.weight,
            labels=workload.labels,
        )
    return made


def _of_slice(service: DeclaredService, port: DeclaredPort, item: DeclaredSlice, behind: Behind) -> Iterable[Endpoint]:
    number = _number_in(item, port)
    for endpoint in item.endpoints if number else ():
        member = behind.workload_at(endpoint.address)
        if not (endpoint.ready or service.unready):
            continue
        if member is None:
            yield Endpoint(address=endpoint.address, port=number, node=endpoint.node, locality=_locality(endpoint))
        elif _callable(service, member):
            yield _of_workload(member, number, secured=_secured(service, member, number, behind))


def _number_in(item: DeclaredSlice, port: DeclaredPort) -> int:
    """The number that a slice has for a port of its service; 0 if it has none."""
    return next((number for name, number in item.ports if name in ("", port.name)), 0)


def _locality(endpoint: SliceEndpoint) -> str:
    return f"/{endpoint.zone}" if endpoint.zone else ""


def _of_fixed(service: DeclaredService, port: DeclaredPort, fixed: FixedEndpoint) -> Endpoint:
    target = port.target if isinstance(port.target, int) else port.number
    return Endpoint(
        address=fixed.address,
        port=dict(fixed.ports).get(port.name, target),
        identity="" if service.external else fixed.identity,
        locality=fixed.locality,
        weight=fixed.weight,
        labels=fixed.labels,
    )
