"""A workload's Sidecar as it bears on its view, its names and its scope keys.

Outside the bound a name of the mesh does not exist, and its address leads nowhere. An address of a workload is inside
if a service that may be called leads to that port (or none does, and a host `*` means its namespace). Outside it is
like any address that the mesh does not know: with ALLOW_ANY the connection goes there in plaintext, with REGISTRY_ONLY
it is closed at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from plait.model.ids import ObjectName, Origin
from plait.model.reach import Reach
from plait.model.services import Capture, Protocol, Service, Workload
from plait.model.snapshot import Snapshot
from plait.model.traffic import ClusterKey
from plait.model.view import DirectEndpoint, ScopeKey
from plait.snapshot.names import resolve_host, scope_keys
from plait.snapshot.services import target_number
from plait.snapshot.sidecars import Chooser
from plait.snapshot.workload_ports import called_ports


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one workload may call; everything, without a reach."""

    snapshot: Snapshot
    namespace: str
    reach: Reach | None = None

    @classmethod
    def of(cls, snapshot: Snapshot, workload: Workload) -> Self:
        """The bounds of a workload, registered or only thought of."""
        reach = snapshot.reaches.get(workload.name)
        if reach is None and snapshot.sidecars:
            reach = Chooser(snapshot.sidecars, root_namespace=snapshot.root_namespace).reach_of(workload)
        return cls(snapshot=snapshot, namespace=workload.name.namespace, reach=reach)

    @classmethod
    def named(cls, snapshot: Snapshot, name: ObjectName) -> Self:
        """The bounds of the workload of that name; of one that is not there, none."""
        workload = snapshot.workloads.get(name)
        return cls.of(snapshot, workload) if workload else cls(snapshot=snapshot, namespace=name.namespace)

    @property
    def refuses_unknown(self) -> bool:
        """Whether connections to what is no service of the mesh are closed."""
        return self.reach is not None and self.reach.registry_only

    def lets(self, service: Service, port: int) -> bool:
        """Whether that port of a service may be called."""
        inside = self.reach is None or self.reach.lets(service, port, self.namespace)
        return inside and service.seen_from(self.namespace)

    def service(self, host: str) -> Service | None:
        """The service of that host, if the namespace sees it."""
        service = self.snapshot.services.get(host)
        return service if service is not None and service.seen_from(self.namespace) else None

    def resolve(self, spelling: str) -> str | None:
        """The host that the workload means by a spelling, None where there is none for it."""
        return resolve_host(self.snapshot, spelling, self.namespace, reach=self.reach)

    def scope_keys(self, capture: Capture) -> tuple[ScopeKey, ...]:
        """The key of every HTTP frontend that may be called."""
        named = self.namespace if self.particular(capture) else ""
        return scope_keys(self.snapshot, capture, namespace=named, reach=self.reach)

    def particular(self, capture: Capture) -> bool:
        """Whether the scope keys are not those of every namespace."""
        return capture is Capture.EXPLICIT or self.reach is not None or bool(self.snapshot.exported)

    def direct(self, endpoints: Sequence[DirectEndpoint], demanded: Iterable[Service]) -> tuple[DirectEndpoint, ...]:
        """Endpoints called by their own address; those outside the bounds are as if the mesh did not know them."""
        if self.reach is None:
            return tuple(endpoints)
        services = tuple(demanded)
        return tuple(item if self._inside(item, services) else self._outside(item) for item in endpoints)

    def leading_to(self, address: str, port: int) -> Iterable[tuple[Service, int]]:
        """The services, with their port, that lead to a port of the workload with that address of its own."""
        workload = self._holder(address)
        if workload is None:
            return
        for host in self.snapshot.serving.get(workload.name, ()):
            service = self.snapshot.services[host]
            for item in service.ports:
                if target_number(service, item, workload) == port:
                    yield service, item.number

    def lets_place(self, address: str, port: int) -> bool:
        """Whether a port of the workload with that address of its own may be called there."""
        leading = tuple(self.leading_to(address, port))
        if leading or self.reach is None:
            return self.reach is None or any(self.lets(*found) for found in leading)
        workload = self._holder(address)
        known = workload is not None and port in called_ports(self.snapshot, workload)
        return workload is not None and known and self.lets(_nameless(workload), port)

    def _holder(self, address: str) -> Workload | None:
        name = self.snapshot.addresses.get(address)
        return self.snapshot.workloads.get(name) if name else None

    def _inside(self, endpoint: DirectEndpoint, demanded: Sequence[Service]) -> bool:
        if self.lets_place(endpoint.address, endpoint.port):
            return True
        place = (endpoint.address, endpoint.port)
        return any(
            place == (item.address, item.port)
            for service in demanded
            for port in service.ports
            if self.lets(service, port.number)
            for item in self.snapshot.endpoints.get(ClusterKey(service=service.name, port=port.number), ())
        )

    def _outside(self, endpoint: DirectEndpoint) -> DirectEndpoint:
        return DirectEndpoint(
            address=endpoint.address,
            port=endpoint.port,
            protocol=Protocol.TCP,
            identity="",
            known=endpoint.known,
            refused=self.refuses_unknown,
        )


def _nameless(workload: Workload) -> Service:
    """A port that no service leads to, as a service of the workload's namespace that no host means but `*`."""
    origin = Origin(kind="WorkloadEntry", namespace=workload.name.namespace, name=workload.name.name)
    return Service(name=workload.name, host="", address=workload.address, ports=(), origin=origin)
