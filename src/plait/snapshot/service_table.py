"""The declared services: by name, by host with the one that owns it, and by what they select."""

from collections.abc import Mapping

from plait.model.ids import ObjectName
from plait.snapshot.declared import DeclaredEntry, DeclaredService, DeclaredSlice
from plait.snapshot.dirty import Dirty
from plait.snapshot.index import References, Selectors, put_value
from plait.snapshot.services import entries_of, host_of, service_host
from plait.snapshot.virtual_hosts import joined, spelled_as_service

_Source = tuple[str, ObjectName]
_OF_SERVICES = spelled_as_service("")


class ServiceTable:
    """Services, ServiceEntries and EndpointSlices."""

    def __init__(self) -> None:
        self.services: dict[ObjectName, DeclaredService] = {}
        self.entries: dict[ObjectName, DeclaredEntry] = {}
        self.virtual: dict[ObjectName, tuple[DeclaredService, ...]] = {}
        self.slices: dict[ObjectName, DeclaredSlice] = {}
        self.owners: dict[str, DeclaredService] = {}
        self.selectors = Selectors[str]()
        self.slices_of = References[ObjectName, ObjectName]()
        self.slices_with = References[ObjectName, str]()
        self._candidates: dict[str, dict[_Source, DeclaredService]] = {}

    def put_service(self, name: ObjectName, declared: DeclaredService | None, dirty: Dirty) -> None:
        """Set or remove (None) a Service."""
        if not put_value(self.services, name, declared):
            return
        self._offer(("Service", name), service_host(name), declared, dirty)

    def put_entry(self, name: ObjectName, declared: DeclaredEntry | None, dirty: Dirty) -> None:
        """Set or remove (None) a ServiceEntry."""
        former = self.entries.get(name)
        if former == declared:
            return
        dirty.entries.add(name)
        new = {service.host: service for service in declared.services} if declared else {}
        old = {service.host: service for service in former.services} if former else {}
        if declared is None:
            del self.entries[name]
        else:
            self.entries[name] = declared
        self._offer_all(("ServiceEntry", name), old, new, dirty)

    def put_virtual(self, name: ObjectName, declared: tuple[DeclaredService, ...], dirty: Dirty) -> None:
        """Set the hosts that a VirtualService has where nobody else has them; none to remove it."""
        old = {service.host: service for service in self.virtual.pop(name, ())}
        if declared:
            self.virtual[name] = declared
        self._offer_all(("VirtualService", name), old, {service.host: service for service in declared}, dirty)

    def _offer_all(
        self, source: _Source, old: Mapping[str, DeclaredService], new: Mapping[str, DeclaredService], dirty: Dirty
    ) -> None:
        for host in old.keys() | new.keys():
            if old.get(host) != new.get(host):
                self._offer(source, host, new.get(host), dirty)

    def _offer(self, source: _Source, host: str, declared: DeclaredService | None, dirty: Dirty) -> None:
        candidates = self._candidates.setdefault(host, {})
        if declared is None:
            candidates.pop(source, None)
        else:
            candidates[source] = declared
        if not candidates:
            del self._candidates[host]
        dirty.owners.add(host)

    def put_slice(self, name: ObjectName, declared: DeclaredSlice | None, dirty: Dirty) -> None:
        """Set or remove (None) an EndpointSlice."""
        former = self.slices.get(name)
        if former == declared:
            return
        if declared is None:
            del self.slices[name]
        else:
            self.slices[name] = declared
        self.slices_of.put(name, (declared.service,) if declared else ())
        self.slices_with.put(name, (item.address for item in declared.endpoints) if declared else ())
        dirty.hosts.update(service_host(item.service) for item in (former, declared) if item)

    def settle(self, dirty: Dirty) -> None:
        """Choose the owners of hosts again, and note what changed by it."""
        for host in dirty.owners | {host.removesuffix(_OF_SERVICES) for host in dirty.owners}:
            candidates = self._candidates.get(host, {})
            former, owner = self.owners.get(host), self._owner(host)
            dirty.entries.update(name for kind, name in candidates if kind == "ServiceEntry")
            if former == owner:
                continue
            if owner is None:
                del self.owners[host]
                self.selectors.discard(host)
            else:
                self.owners[host] = owner
                self.selectors.put(host, owner.name.namespace, owner.selector)
            dirty.hosts.add(host)
            if former is None or owner is None or _shape(former) != _shape(owner):
                dirty.shapes.update(item.name for item in (former, owner) if item)

    def _owner(self, host: str) -> DeclaredService | None:
        """Who has a host; a VirtualService only where no service may be meant by it."""
        owner = joined(self._candidates.get(host, {}).values())
        if owner is not None and owner.is_virtual and spelled_as_service(host) in self._candidates:
            return None
        return owner

    def entries_for(self, host: str) -> tuple[DeclaredService, ...]:
        """What ServiceEntries declare of a host, the one in force first."""
        return entries_of(self._candidates.get(host, {}).values())

    def with_endpoints(self, host: str) -> DeclaredService | None:
        """Who has a host, if calls can be sent to it."""
        owner = self.owners.get(host)
        return None if owner is None or owner.is_virtual else owner

    def by_name(self, name: ObjectName) -> DeclaredService | None:
        """The Service of that name."""
        return self.services.get(name)

    def slices_behind(self, service: ObjectName) -> list[DeclaredSlice]:
        """The EndpointSlices of a Service."""
        return [self.slices[name] for name in self.slices_of.owners(service)]

    def hosts_listing(self, address: str) -> set[str]:
        """The hosts of services whose EndpointSlices list an address."""
        return {host_of(self.slices[name].service) for name in self.slices_with.owners(address)}


def _shape(service: DeclaredService) -> tuple[object, ...]:
    return service.name, service.ports, service.alias, service.headless
