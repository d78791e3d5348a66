"""The declared routes: by name, by what they attach to, by what they send to, and by the namespaces they send to."""

from plait.model.ids import ObjectName
from plait.snapshot.attach import is_gateway, is_service, takes
from plait.snapshot.declared import DeclaredPort, DeclaredRoute, Reference
from plait.snapshot.dirty import Dirty
from plait.snapshot.index import References


class RouteTable:
    """HTTPRoutes."""

    def __init__(self) -> None:
        self.routes: dict[ObjectName, DeclaredRoute] = {}
        self._parents = References[ObjectName, Reference]()
        self._backends = References[ObjectName, Reference]()
        self._namespaces = References[ObjectName, str]()

    def put(self, name: ObjectName, declared: DeclaredRoute | None, dirty: Dirty) -> None:
        """Set or remove (None) a route."""
        if self.routes.get(name) == declared:
            return
        dirty.parents.update(self._parents.keys(name))
        if declared is None:
            del self.routes[name]
        else:
            self.routes[name] = declared
        backends = declared.backends if declared else frozenset[Reference]()
        self._parents.put(name, (parent.reference for parent in declared.parents) if declared else ())
        self._backends.put(name, backends)
        self._namespaces.put(name, {reference[2].namespace for reference in backends} - {name.namespace})
        dirty.parents.update(self._parents.keys(name))
        dirty.add_routes((name,))

    def attached_to(self, parent: Reference) -> list[ObjectName]:
        """The routes that name that parent, in order of their names."""
        return sorted(self._parents.owners(parent))

    def sending_to(self, backend: Reference) -> tuple[ObjectName, ...]:
        """The routes that send to that object."""
        return tuple(self._backends.owners(backend))

    def crossing_into(self, namespace: str) -> tuple[ObjectName, ...]:
        """The routes that send to that namespace from another one."""
        return tuple(self._namespaces.owners(namespace))

    def acts_on(self, service: ObjectName, port: DeclaredPort) -> bool:
        """Whether a route is attached to that port of a Service."""
        reference = ("", "Service", service)
        return any(
            takes(parent, port)
            for name in self._parents.owners(reference)
            for parent in self.routes[name].parents
            if parent.reference == reference
        )

    def needs(self, name: ObjectName) -> tuple[bool, bool]:
        """Whether the route has parents among Services, and among Gateways."""
        references = self._parents.keys(name)
        return any(map(is_service, references)), any(map(is_gateway, references))
