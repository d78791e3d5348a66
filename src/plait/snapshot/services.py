"""Services to declared services, and these (and those of ServiceEntries) to the services of the model.

A host belongs to one owner: a Service before any ServiceEntry, then the oldest ServiceEntry (with those that
`entry_merging` joins to it), then a VirtualService.
What a port speaks is decided in `link`, where routes and registrations are known.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from plait.model.ids import ObjectName, Origin
from plait.model.services import Protocol, Resolution, Service, ServicePort, Workload
from plait.resources.core import service as core
from plait.resources.core import traffic_annotations
from plait.snapshot import exports
from plait.snapshot.declared import DeclaredPort, DeclaredService, DeclaredWorkload, FixedEndpoint
from plait.snapshot.protection import needing_requests, protection_of
from plait.snapshot.protocols import agreed, declared_protocol, known_protocol, named_protocol
from plait.snapshot.workloads import labels_of, selects

CLUSTER_DOMAIN: Final = "cluster.local"
_HEADLESS: Final = "None"


def service_host(name: ObjectName) -> str:
    """The full name of a Service."""
    return f"{name.name}.{name.namespace}.svc.{CLUSTER_DOMAIN}"


def entry_name(namespace: str, host: str) -> ObjectName:
    """The name of the service behind a ServiceEntry's host: the host, with a dot so that no Service has that name."""
    return ObjectName(namespace=namespace, name=host if "." in host else f"{host}.")


def host_of(name: ObjectName) -> str:
    """The host of a service by its name in the model."""
    return name.name.rstrip(".") if "." in name.name else service_host(name)


def declare_service(
    name: ObjectName,
    spec: core.ServiceSpec,
    *,
    annotations: Mapping[str, str],
    order: tuple[int, float],
    origin: Origin,
    warned: bool = False,
) -> DeclaredService:
    """The service that a Service declares; `order` is its generation and its time of creation.

    `warned` says that its stored status tells of something that is not done.
    """
    alias = spec.type == "ExternalName"
    headless = spec.cluster_ip == _HEADLESS
    return DeclaredService(
        name=name,
        host=service_host(name),
        address="" if headless else spec.cluster_ip,
        ports=tuple(_port(port) for port in spec.ports),
        selector=() if alias else labels_of(spec.selector),
        headless=headless,
        external=alias,
        resolution=Resolution.DNS if alias else Resolution.MESH,
        unready=spec.publish_not_ready_addresses,
        alias=alias,
        fixed=(FixedEndpoint(address=spec.external_name),) if alias else (),
        tells_caller=traffic_annotations.tells_caller(annotations),
        protection=protection_of(annotations, origin),
        exported_to=exports.of_annotation(annotations.get(exports.EXPORT_TO, ""), name.namespace),
        created=order[1],
        generation=order[0],
        warned=warned,
        origin=origin,
    )


def _port(port: core.ServicePort) -> DeclaredPort:
    name = port.name or ""
    declared = declared_protocol(port.app_protocol) if port.app_protocol else None
    return DeclaredPort(
        number=port.port,
        name=name,
        target=port.target_port or port.port,
        protocol=declared or named_protocol(name),
        tcp=port.protocol == "TCP",
    )


def owner_of(candidates: Iterable[DeclaredService]) -> DeclaredService | None:
    """The service that a host belongs to, among all that declare it."""
    return min(candidates, key=_precedence, default=None)


def entries_of(candidates: Iterable[DeclaredService]) -> tuple[DeclaredService, ...]:
    """Those of a host's candidates that ServiceEntries declare, the one in force first."""
    return tuple(sorted((item for item in candidates if item.origin.kind == "ServiceEntry"), key=_precedence))


def _precedence(item: DeclaredService) -> tuple[object, ...]:
    return item.is_entry, item.is_virtual, item.created, str(item.name), item.origin


def link(
    declared: DeclaredService,
    *,
    attached: Callable[[DeclaredPort], Protocol | None],
    members: Sequence[DeclaredWorkload],
) -> Service:
    """The service of the model: its TCP ports with the protocol that all that is known gives them.

    `attached` tells what the routes at a port want it to speak.
    """
    return Service(
        name=declared.name,
        host=declared.host,
        address=declared.address,
        ports=tuple(_linked(declared, port, attached, members) for port in declared.ports if port.tcp),
        selector=declared.selector,
        headless=declared.headless,
        external=declared.external,
        resolution=declared.resolution,
        alias=declared.fixed[0].address.rstrip(".").lower() if declared.alias else "",
        tells_caller=declared.tells_caller,
        protection=declared.protection,
        exported_to=declared.exported_to,
        subject_alt_names=declared.proves,
        ranges=declared.ranges,
        origin=declared.origin,
    )


def _linked(
    declared: DeclaredService,
    port: DeclaredPort,
    attached: Callable[[DeclaredPort], Protocol | None],
    members: Sequence[DeclaredWorkload],
) -> ServicePort:
    routed = attached(port)
    protocol = port.protocol or _protocol(declared, port, attached=routed, members=members)
    wanted = bool(needing_requests(declared.protection, tells_caller=declared.tells_caller))
    return ServicePort(
        number=port.number,
        name=port.name,
        target=port.target,
        protocol=protocol,
        asks_for_http=protocol.is_http and (port.protocol is not None or wanted or routed is not None),
    )


def _protocol(
    service: DeclaredService, port: DeclaredPort, *, attached: Protocol | None, members: Sequence[DeclaredWorkload]
) -> Protocol:
    numbers = ((item.workload, target_number(service, port, item.workload)) for item in members)
    registered = agreed(registered_protocol(workload, number) for workload, number in numbers if number is not None)
    if attached:
        return registered if registered and _serves(registered, attached) else attached
    return registered or known_protocol(port.number, port.target)


def _serves(spoken: Protocol, wanted: Protocol) -> bool:
    """Whether what the app speaks is as good as what routes want, or more precise."""
    return spoken.is_http2 if wanted.is_http2 else wanted.is_http and spoken.is_http


def target_number(
    service: DeclaredService | Service, port: DeclaredPort | ServicePort, workload: Workload
) -> int | None:
    """The port of the workload that serves a port of the service: as it registered, else the target port.

    None where the workload has no port of the target's name, or registered for other ports of the service only.
    """
    claimed = workload.services and workload.name.namespace == service.name.namespace
    for name, number, app_port in workload.services if claimed else ():
        if name == service.name.name and number == port.number:
            return app_port
    if claimed and not (service.selector and selects(service.selector, workload.labels)):
        return None
    if isinstance(port.target, int):
        return port.target
    return next((own.number for own in workload.ports if own.name == port.target), None)


def registered_protocol(workload: Workload, number: int) -> Protocol | None:
    """What the workload's registration says the port speaks."""
    return next((port.protocol for port in workload.ports if port.number == number and port.protocol), None)
