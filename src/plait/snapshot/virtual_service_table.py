"""The declared VirtualServices: by name, by what their hosts may mean, by what they send to and delegate to."""

from collections.abc import Iterable

from plait.model.ids import ObjectName
from plait.snapshot.dirty import Dirty
from plait.snapshot.index import References, put_value
from plait.snapshot.virtual_services import DeclaredVirtualService

ANY = "*"


class VirtualServiceTable:
    """VirtualServices."""

    def __init__(self) -> None:
        self.virtual_services: dict[ObjectName, DeclaredVirtualService] = {}
        self._hosts = References[ObjectName, str]()
        self._destinations = References[ObjectName, str]()
        self._delegates = References[ObjectName, ObjectName]()

    def put(self, name: ObjectName, declared: DeclaredVirtualService | None, dirty: Dirty) -> None:
        """Set or remove (None) a VirtualService."""
        if not put_value(self.virtual_services, name, declared):
            return
        dirty.virtual_hosts.update(self._hosts.keys(name))
        self._hosts.put(name, declared.all_hosts if declared else ())
        self._destinations.put(name, _destinations(declared) if declared else ())
        self._delegates.put(name, _delegates(declared) if declared else ())
        dirty.virtual.add(name)
        dirty.virtual.update(self._delegates.owners(name))

    def for_host(self, host: str) -> list[DeclaredVirtualService]:
        """Those whose hosts include that host: the more specific first, among equal ones the older."""
        found: list[DeclaredVirtualService] = []
        for pattern in patterns(host):
            named = {name: self.virtual_services[name] for name in self._hosts.owners(pattern)}
            found.extend(sorted((item for item in named.values() if item not in found), key=lambda item: item.age))
        return found

    def sending_to(self, host: str) -> set[ObjectName]:
        """Those that may send to that host, and those that delegate to one that may."""
        found = set(self._destinations.owners(host))
        return found.union(*(self._delegates.owners(name) for name in found))

    def find(self, name: ObjectName) -> DeclaredVirtualService | None:
        """The VirtualService of that name."""
        return self.virtual_services.get(name)


def patterns(host: str) -> tuple[str, ...]:
    """Everything that a VirtualService may write to include a host, the most specific first."""
    labels = host.split(".")
    return (host, *(f"*.{'.'.join(labels[at:])}" for at in range(1, len(labels))), ANY)


def includes(pattern: str, host: str) -> bool:
    """Whether a host of a VirtualService includes that host."""
    return pattern in (host, ANY) or (pattern.startswith("*.") and host.endswith(pattern[1:]))


def _destinations(declared: DeclaredVirtualService) -> Iterable[str]:
    for route in declared.http:
        for rule in route.rules:
            for item in (*rule.destinations, *rule.mirrors):
                yield from item.hosts
    for connection in declared.connections:
        for item in connection.destinations:
            yield from item.hosts


def _delegates(declared: DeclaredVirtualService) -> Iterable[ObjectName]:
    return (route.delegate for route in declared.http if route.delegate is not None)
