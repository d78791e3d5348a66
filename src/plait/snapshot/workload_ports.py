"""The ports of a workload: which there are, what each speaks, and whether callers must bring mutual TLS.

A sidecar's ports are those of its app: registered, or led to by services. The proxy of a Gateway listens on the ports
of its listeners, for callers without the mesh's identity, so everybody calls it in plaintext (or TLS of their own).
"""

from collections.abc import Mapping

from plait.model.security import MutualTlsMode
from plait.model.services import Protocol, Workload, WorkloadKind
from plait.model.snapshot import Snapshot
from plait.snapshot.peer_authentication import mutual_tls
from plait.snapshot.protocols import agreed, known_protocol
from plait.snapshot.services import registered_protocol, target_number


def app_ports(snapshot: Snapshot, workload: Workload) -> Mapping[int, Protocol]:
    """What each port of the app speaks; where a registration and services disagree, what suits all.

    But it is HTTP if a service says so: as TCP its sidecar would hand over what callers of another service write, be it
    the header that names the caller, and would hold no request back. The Services' statuses tell of it.
    """
    said: dict[int, list[Protocol | None]] = {
        port.number: [registered_protocol(workload, port.number)] for port in workload.ports
    }
    http: set[int] = set()
    for host in snapshot.serving.get(workload.name, ()):
        service = snapshot.services[host]
        for port in service.ports:
            number = target_number(service, port, workload)
            if number is not None:
                said.setdefault(number, []).append(port.protocol)
                http.update((number,) if port.asks_for_http else ())
    reach = snapshot.reaches.get(workload.name)
    for number, _ in reach.app_ports if reach else ():
        said.setdefault(number, [])
    for number in http:
        said[number] = [protocol for protocol in said[number] if protocol and protocol.is_http]
    return {number: agreed(said[number]) or known_protocol(number) for number in sorted(said)}


def called_ports(snapshot: Snapshot, workload: Workload) -> Mapping[int, Protocol]:
    """The ports that may be called at the workload's own address."""
    if workload.kind is not WorkloadKind.GATEWAY:
        return app_ports(snapshot, workload)
    gateway = snapshot.gateways.get(workload.gateway) if workload.gateway else None
    bound = dict(workload.gateway_ports)
    return {bound.get(item.port, item.port): item.protocol for item in (gateway.listeners if gateway else ())}


def mutual_tls_of(snapshot: Snapshot, workload: Workload) -> tuple[MutualTlsMode, Mapping[int, MutualTlsMode]]:
    """What a workload's ports accept, and the ports that differ from it."""
    return mutual_tls(
        snapshot.peer_authentications,
        namespace=workload.name.namespace,
        root_namespace=snapshot.root_namespace,
        labels=workload.labels,
    )


def is_secured(snapshot: Snapshot, workload: Workload, port: int) -> bool:
    """Whether callers bring mutual TLS to that port: it is in the mesh and takes more than plaintext."""
    if not workload.in_mesh or workload.kind is WorkloadKind.GATEWAY:
        return False
    mode, ports = mutual_tls_of(snapshot, workload)
    return ports.get(port, mode) is not MutualTlsMode.DISABLE
