"""The declared routes: by name, by what they attach to, by what they send to, and by the namespaces they send to."""

from typing import Final

from plait.model.ids import ObjectName
from plait.model.services import Protocol
from plait.snapshot.attach import is_gateway, is_service, takes
from plait.snapshot.declared import DeclaredPort, Reference
from plait.snapshot.declared_routes import SPECIFICITY, DeclaredRoute, RouteKey, RouteKind
from plait.snapshot.dirty import Dirty
from plait.snapshot.index import References, put_value

_SPOKEN: Final = {
    RouteKind.GRPC: Protocol.GRPC,
    RouteKind.HTTP: Protocol.HTTP,
    RouteKind.TLS: Protocol.TLS,
    RouteKind.TCP: Protocol.TCP,
}


class RouteTable:
    """Routes of every kind."""

    def __init__(self) -> None:
        self.routes: dict[RouteKey, DeclaredRoute] = {}
        self._parents = References[RouteKey, Reference]()
        self._backends = References[RouteKey, Reference]()
        self._namespaces = References[RouteKey, str]()

    def put(self, name: RouteKey, declared: DeclaredRoute | None, dirty: Dirty) -> None:
        """Set or remove (None) a route."""
        if not put_value(self.routes, name, declared):
            return
        former = frozenset(self._parents.keys(name))
        dirty.parents.update(former)
        backends = declared.backends if declared else frozenset[Reference]()
        self._parents.put(name, (parent.reference for parent in declared.parents) if declared else ())
        self._backends.put(name, backends)
        self._namespaces.put(name, {reference[2].namespace for reference in backends} - {name[1].namespace})
        dirty.parents.update(self._parents.keys(name))
        dirty.add_routes((name,))
        for parent in self._parents.keys(name) | former:
            dirty.answers.update(key for key in self._parents.owners(parent) if key[0] is not name[0])

    def attached_to(self, parent: Reference) -> list[RouteKey]:
        """The routes that name that parent, in order of their names."""
        return sorted(self._parents.owners(parent))

    def sending_to(self, backend: Reference) -> tuple[RouteKey, ...]:
        """The routes that send to that object."""
        return tuple(self._backends.owners(backend))

    def crossing_into(self, namespace: str) -> tuple[RouteKey, ...]:
        """The routes that send to that namespace from another one."""
        return tuple(self._namespaces.owners(namespace))

    def spoken_at(self, service: ObjectName, port: DeclaredPort) -> Protocol | None:
        """What a port of a Service must speak for the routes attached to it; None without any."""
        kind = self.kind_at(service, port)
        return _SPOKEN[kind] if kind else None

    def kind_at(self, service: ObjectName, port: DeclaredPort, *, namespace: str = "") -> RouteKind | None:
        """The one kind of routes in force at a port of a Service, the most specific; of one namespace's if given.

        https://gateway-api.sigs.k8s.io/geps/gep-1294/#route-types
        """
        reference = ("", "Service", service)
        found = {
            key[0]
            for key in self._parents.owners(reference)
            if namespace in ("", key[1].namespace)
            for parent in self.routes[key].parents
            if parent.reference == reference and takes(key[0], parent, port)
        }
        return min(found, key=SPECIFICITY.index, default=None)

    def needs(self, name: RouteKey) -> tuple[bool, bool]:
        """Whether the route has parents among Services, and among Gateways."""
        references = self._parents.keys(name)
        return any(map(is_service, references)), any(map(is_gateway, references))
