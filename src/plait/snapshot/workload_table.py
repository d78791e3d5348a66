"""The workloads: by name, by the labels they carry, the Services they claim, their address and their machine."""

import ipaddress
from dataclasses import replace

from plait.model.ids import ObjectName
from plait.model.services import Workload, WorkloadKind
from plait.snapshot.declared import DeclaredNode, DeclaredService, DeclaredWorkload
from plait.snapshot.dirty import Dirty
from plait.snapshot.index import Labelled, References, put_value


class WorkloadTable:
    """WorkloadEntries and the Nodes they run on."""

    def __init__(self) -> None:
        self.workloads: dict[ObjectName, DeclaredWorkload] = {}
        self.nodes: dict[str, DeclaredNode] = {}
        self.proxies_of = References[ObjectName, ObjectName]()
        self._written: dict[ObjectName, DeclaredWorkload] = {}
        self._labelled = Labelled[ObjectName]()
        self._claims = References[ObjectName, ObjectName]()
        self._addresses = References[ObjectName, str]()
        self._on_node = References[ObjectName, str]()

    def put(self, name: ObjectName, declared: DeclaredWorkload | None, dirty: Dirty) -> None:
        """Set or remove (None) a workload."""
        if not put_value(self._written, name, declared):
            return
        self._on_node.put(name, (declared.workload.node,) if declared else ())
        self._place(name, dirty)

    def put_node(self, name: str, declared: DeclaredNode | None, dirty: Dirty) -> None:
        """Set or remove (None) a machine; its workloads inherit its locality."""
        former = self.nodes.get(name)
        if former == declared:
            return
        if declared is None:
            del self.nodes[name]
        else:
            self.nodes[name] = declared
        dirty.ranges = True
        for workload in tuple(self._on_node.owners(name)):
            self._place(workload, dirty)

    def _place(self, name: ObjectName, dirty: Dirty) -> None:
        former, declared = self.workloads.get(name), self._located(self._written.get(name))
        if former == declared:
            return
        dirty.former.setdefault(name, former)
        workload = declared.workload if declared else None
        if declared is None:
            del self.workloads[name]
            self._labelled.discard(name)
        else:
            self.workloads[name] = declared
            if former is None or former.workload.labels != declared.workload.labels:
                self._labelled.put(name, name.namespace, declared.workload.labels)
        self._claims.put(name, _claimed(workload) if workload else ())
        self.proxies_of.put(name, (workload.gateway,) if workload and workload.gateway else ())
        dirty.addresses.update(self._addresses.keys(name))
        self._addresses.put(name, (workload.address,) if workload and _own(workload.address) else ())
        dirty.addresses.update(self._addresses.keys(name))

    def _located(self, declared: DeclaredWorkload | None) -> DeclaredWorkload | None:
        node = self.nodes.get(declared.workload.node) if declared else None
        if declared is None or node is None or declared.workload.locality:
            return declared
        return DeclaredWorkload(workload=replace(declared.workload, locality=node.locality))

    def behind(self, service: DeclaredService) -> list[DeclaredWorkload]:
        """The workloads that a service selects or that registered for it, by name."""
        names = set(self._labelled.selected(service.name.namespace, service.selector))
        names.update(self._claims.owners(service.name))
        return [self.workloads[name] for name in sorted(names, key=lambda name: name.name)]

    def at(self, address: str) -> DeclaredWorkload | None:
        """The workload with that address of its own."""
        names = self._addresses.owners(address)
        return self.workloads[min(names)] if names else None

    def proxies(self, gateway: ObjectName) -> list[Workload]:
        """The proxies of a Gateway."""
        found = (self.workloads[name].workload for name in self.proxies_of.owners(gateway))
        return sorted(found, key=lambda workload: workload.name)

    def ranges(self) -> tuple[str, ...]:
        """The address ranges that the workloads of all machines come from, as wide as a mesh's range."""
        return tuple(sorted({_wide(text) for node in self.nodes.values() for text in node.ranges}))


def _claimed(workload: Workload) -> set[ObjectName]:
    namespace = workload.name.namespace
    return {ObjectName(namespace=namespace, name=name) for name, _, _ in workload.services}


def _own(address: str) -> bool:
    """Whether it is an IP address that no other workload of the mesh has."""
    literal = address.replace(".", "").isdigit() or (":" in address and "/" not in address)
    return literal and not address.startswith("127.") and address != "::1"


def _wide(text: str) -> str:
    """The /16 that an IPv4 range belongs to: a view must not change when a machine joins."""
    network = ipaddress.ip_network(text, strict=False)
    narrow = isinstance(network, ipaddress.IPv4Network) and network.prefixlen > 16
    return str(network.supernet(new_prefix=16)) if narrow else str(network)


def serves(workload: Workload) -> bool:
    """Whether a proxy of a Gateway is running."""
    return workload.kind is WorkloadKind.GATEWAY and workload.ready
