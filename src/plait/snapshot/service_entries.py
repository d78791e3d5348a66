"""ServiceEntries to declared services, one a host.

Callers find a host by DNS, so what Istio matches by Host or by port alone has an address here: without `addresses` the
mesh gives each host one of its own, and two TCP services on one port number never meet. Without addresses NONE
therefore means the address that the host's name has when it is called. A host with a wildcard stands for every name
below it: each call goes where its own Host or server name leads, unless endpoints are listed.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from plait.model.ids import Identity, ObjectName, Origin
from plait.model.services import Protocol, Resolution
from plait.resources.istio.service_entry import ServiceEntryPort, ServiceEntrySpec
from plait.resources.istio.workload_entry import WorkloadEntrySpec
from plait.snapshot.conditions import Problem
from plait.snapshot.declared import DeclaredEntry, DeclaredPort, DeclaredService, FixedEndpoint
from plait.snapshot.exports import seen_from
from plait.snapshot.protocols import declared_protocol, named_protocol
from plait.snapshot.services import entry_name
from plait.snapshot.workloads import labels_of

WILDCARD: Final = "*."
_RESOLUTIONS: Final = {
    "STATIC": Resolution.STATIC,
    "DNS": Resolution.DNS,
    "DNS_ROUND_ROBIN": Resolution.LOGICAL_DNS,
}
_BY_NAME: Final = (Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC, Protocol.TLS)
"""What tells a server's name with each call."""


def declare_entry(
    name: ObjectName,
    spec: ServiceEntrySpec,
    *,
    allocated: Mapping[str, str],
    trust_domain: str,
    order: tuple[int, float],
    origin: Origin,
) -> DeclaredEntry:
    """The services that a ServiceEntry declares, one a host; `allocated` are the addresses the mesh gave to hosts.

    `order` is its generation and its time of creation.
    """
    problems: list[Problem] = []
    address, ranges = _addresses(spec.addresses)
    services: list[DeclaredService] = []
    for host in (written.rstrip(".").lower() for written in spec.hosts):
        resolution = _resolution(spec, host)
        services.append(
            DeclaredService(
                name=entry_name(name.namespace, host),
                host=host,
                address=address or allocated.get(host, ""),
                ranges=ranges,
                ports=tuple(_ports(host, spec.ports, resolution, problems)),
                selector=labels_of(spec.workload_selector.labels) if spec.workload_selector else (),
                external=spec.location == "MESH_EXTERNAL",
                resolution=resolution,
                fixed=_fixed(host, spec, namespace=name.namespace, trust_domain=trust_domain),
                exported_to=seen_from(spec.export_to, name.namespace),
                proves=spec.subject_alt_names,
                created=order[1],
                origin=origin,
            )
        )
    return DeclaredEntry(name=name, generation=order[0], services=tuple(services), dropped=tuple(problems))


def _addresses(written: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """The first single address, and all others as ranges."""
    networks = [ipaddress.ip_network(text, strict=False) for text in written]
    single = next((network for network in networks if network.num_addresses == 1), None)
    others = tuple(str(network) for network in networks if network != single)
    return str(single.network_address) if single else "", others


def _resolution(spec: ServiceEntrySpec, host: str) -> Resolution:
    if spec.workload_selector is not None:
        return Resolution.MESH
    if spec.resolution == "NONE" and spec.addresses:
        return Resolution.NONE
    each = spec.resolution in ("NONE", "DYNAMIC_DNS")
    if host.startswith(WILDCARD) and each:
        return Resolution.DYNAMIC
    return Resolution.DNS if each else _RESOLUTIONS[spec.resolution]


def _ports(
    host: str, ports: Iterable[ServiceEntryPort], resolution: Resolution, problems: list[Problem]
) -> Iterator[DeclaredPort]:
    for written in ports:
        port = _port(written)
        if resolution is Resolution.DYNAMIC and port.protocol not in (None, *_BY_NAME):
            sentence = (
                f"ports: {written.name} of {host} is {written.protocol}, in which no call names its server; "
                "declare it as HTTP or TLS, or name its hosts one by one"
            )
            problems.append(Problem(reason="UnsupportedValue", message=sentence))
            continue
        if resolution is Resolution.DYNAMIC and written.target_port not in (None, written.number):
            sentence = f"ports: targetPort of {written.name} has no effect: each call goes to the port that it names"
            problems.append(Problem(reason="UnsupportedValue", message=sentence))
        yield port


def _port(port: ServiceEntryPort) -> DeclaredPort:
    protocol = declared_protocol(port.protocol) or named_protocol(port.name)
    known = Protocol.TCP if port.protocol else None
    return DeclaredPort(
        number=port.number,
        name=port.name,
        target=port.target_port or port.number,
        protocol=protocol or known,
        tcp=port.protocol.upper() != "UDP",
    )


def _fixed(host: str, spec: ServiceEntrySpec, *, namespace: str, trust_domain: str) -> tuple[FixedEndpoint, ...]:
    resolution = _resolution(spec, host)
    if resolution.is_named and not spec.endpoints:
        return (FixedEndpoint(address=host),)
    if resolution is Resolution.STATIC and not spec.endpoints:
        return tuple(FixedEndpoint(address=address) for address in spec.addresses if "/" not in address)
    internal = spec.location == "MESH_INTERNAL"
    return tuple(
        _endpoint(item, proves=_proves(item, spec, namespace, trust_domain) if internal else "")
        for item in spec.endpoints
    )


def _proves(item: WorkloadEntrySpec, spec: ServiceEntrySpec, namespace: str, trust_domain: str) -> str:
    """The identity that an endpoint proves: its account's, else the first that the entry lists."""
    if item.service_account:
        return str(Identity(trust_domain=trust_domain, namespace=namespace, service_account=item.service_account))
    return next(iter(spec.subject_alt_names), "")


def _endpoint(item: WorkloadEntrySpec, *, proves: str) -> FixedEndpoint:
    return FixedEndpoint(
        address=item.address,
        ports=tuple(sorted(item.ports.items())),
        identity=proves,
        locality=item.locality,
        weight=item.weight or 1,
        labels=labels_of(item.labels),
    )
