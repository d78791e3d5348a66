"""From PeerAuthentications to whom they concern beside the server: callers of ports whose mutual TLS is DISABLEd.

Such a port takes nothing but plaintext, so its endpoints have no identity. Most workloads have none, and only those
that have are kept; a policy that disables nothing marks nothing.
"""

from plait.model.ids import ObjectName
from plait.model.security import MutualTlsMode
from plait.model.services import Workload, WorkloadKind
from plait.snapshot.dirty import Dirty
from plait.snapshot.follow import hosts_of
from plait.snapshot.link_policies import PEER_AUTHENTICATION
from plait.snapshot.links import Links, PlaintextPorts, Stage
from plait.snapshot.peer_authentication import mutual_tls, selecting


def follow_security(stage: Stage, dirty: Dirty, *, root_namespace: str) -> None:
    """Mark the services of workloads whose ports came to take plaintext only, or mutual TLS again.

    Namespaces with policies that are not in force for a workload that they choose are marked: their statuses say so.
    """
    links, workloads = stage.links, stage.tables.workloads.workloads
    concerned = set(dirty.former)
    if dirty.peers:
        everywhere = root_namespace in dirty.peers
        concerned.update(name for name in workloads if everywhere or name.namespace in dirty.peers)
    for name in concerned:
        declared = workloads.get(name)
        choosing = _choosing(links, declared.workload, root_namespace) if declared else ()
        dirty.peers.update(links.overlaps.put(PEER_AUTHENTICATION, name, choosing))
        ports = _plaintext_ports(links, declared.workload, root_namespace) if declared else None
        if ports == links.plaintext.get(name):
            continue
        _remember(links, name, ports)
        if declared is not None:
            dirty.hosts.update(hosts_of(stage, declared.workload))
            stage.effects.hosts.add(declared.workload.address)


def _choosing(links: Links, workload: Workload, root_namespace: str) -> tuple[ObjectName, ...]:
    namespace = workload.name.namespace
    own = links.peers.get(namespace) if namespace != root_namespace else None
    return selecting(own or (), workload.labels)


def takes_plaintext(links: Links, workload: Workload, port: int) -> bool:
    """Whether nobody brings mutual TLS to that port: it is DISABLEd, or a Gateway's own."""
    if workload.kind is WorkloadKind.GATEWAY:
        return port not in links.mesh_ports.get(workload.name, ())
    found = links.plaintext.get(workload.name)
    return found is not None and found.includes(port)


def _plaintext_ports(links: Links, workload: Workload, root_namespace: str) -> PlaintextPorts | None:
    mode, ports = mutual_tls(
        links.peers.values(),
        namespace=workload.name.namespace,
        root_namespace=root_namespace,
        labels=workload.labels,
    )
    disabled = mode is MutualTlsMode.DISABLE
    others = frozenset(port for port, own in ports.items() if (own is MutualTlsMode.DISABLE) != disabled)
    return PlaintextPorts(all=disabled, but=others) if disabled or others else None


def _remember(links: Links, name: ObjectName, ports: PlaintextPorts | None) -> None:
    if ports is None:
        del links.plaintext[name]
    else:
        links.plaintext[name] = ports
