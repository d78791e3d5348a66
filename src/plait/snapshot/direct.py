"""Workloads called by their own address, past all routes but not past mutual TLS.

The demand for it is `ADDRESS:PORT` as dialled. In the range of workloads' addresses every such name exists: where no
workload has that address and port the connection goes there in plaintext, so it fails at once instead of waiting, and
a server that insists on mutual TLS refuses it.
"""

import ipaddress

from plait.envoy import names
from plait.model.services import Endpoint, Protocol, Workload
from plait.model.snapshot import Snapshot
from plait.model.view import DirectEndpoint
from plait.snapshot.workload_ports import called_ports, is_secured


def dialled(snapshot: Snapshot, spelling: str) -> tuple[str, int] | None:
    """The address and port that a demand names, if they are of the range of workloads' addresses; else None."""
    place = names.parse_dialled(spelling)
    if place is None:
        return None
    try:
        address = ipaddress.ip_address(place[0])
    except ValueError:
        return None
    within = any(address in ipaddress.ip_network(prefix) for prefix in snapshot.workload_addresses)
    return place if within or place[0] in snapshot.addresses else None


def endpoint_at(snapshot: Snapshot, address: str, port: int) -> Endpoint | None:
    """The one endpoint behind a workload's own address and port."""
    name = snapshot.addresses.get(address)
    workload = snapshot.workloads.get(name) if name else None
    if workload is None or port not in called_ports(snapshot, workload):
        return None
    return _endpoint(snapshot, workload, port)


def _endpoint(snapshot: Snapshot, workload: Workload, port: int) -> Endpoint:
    published = next((item.published for item in workload.ports if item.number == port), 0)
    return Endpoint(
        address=workload.address,
        port=port,
        workload=str(workload.name),
        node=workload.node,
        machine_address=workload.machine_address if published else "",
        published=published,
        identity=str(workload.identity) if is_secured(snapshot, workload, port) else "",
        locality=workload.locality,
        labels=workload.labels,
    )


def called_directly(endpoint: Endpoint, protocol: Protocol, *, node: str) -> DirectEndpoint:
    """An endpoint as a caller on that machine dials it; one that is no workload's is where it says."""
    return DirectEndpoint(
        address=endpoint.address,
        port=endpoint.port,
        protocol=protocol,
        identity=endpoint.identity,
        workload=endpoint.workload,
        reached=endpoint.reached_from(node) if endpoint.workload else None,
    )


def direct_to_place(snapshot: Snapshot, address: str, port: int, *, node: str) -> DirectEndpoint:
    """What is at an address and port that was dialled."""
    endpoint = endpoint_at(snapshot, address, port)
    if endpoint is None:
        return DirectEndpoint(address=address, port=port, protocol=Protocol.TCP, identity="", known=False)
    return called_directly(endpoint, Protocol.TCP, node=node)


def direct_to_workload(snapshot: Snapshot, workload: Workload, *, node: str) -> tuple[DirectEndpoint, ...]:
    """All ports of a workload."""
    ports = called_ports(snapshot, workload)
    return tuple(
        called_directly(_endpoint(snapshot, workload, port), protocol, node=node) for port, protocol in ports.items()
    )
