"""Gateways and what they depend on: classes, Secrets, ReferenceGrants, labels of namespaces."""

from collections.abc import Iterable, Mapping

from plait.model.ids import ObjectName
from plait.snapshot.declared import DeclaredClass, DeclaredGateway, DeclaredGrant, DeclaredSecret, Reference
from plait.snapshot.dirty import Dirty
from plait.snapshot.index import References, put_value


class GatewayTable:
    """Gateways, GatewayClasses, Secrets, ReferenceGrants and Namespaces."""

    def __init__(self) -> None:
        self.gateways: dict[ObjectName, DeclaredGateway] = {}
        self.classes: dict[str, DeclaredClass] = {}
        self.secrets: dict[ObjectName, DeclaredSecret] = {}
        self.namespaces: dict[str, Mapping[str, str]] = {}
        self._grants: dict[str, dict[ObjectName, DeclaredGrant]] = {}
        self._of_class = References[ObjectName, str]()
        self._references_of = References[ObjectName, Reference]()
        self._namespaces_of = References[ObjectName, str]()
        self._selecting: set[ObjectName] = set()

    def put(self, name: ObjectName, declared: DeclaredGateway | None, dirty: Dirty) -> None:
        """Set or remove (None) a Gateway."""
        if not put_value(self.gateways, name, declared):
            return
        listeners = declared.listeners if declared else ()
        references = declared.references if declared else frozenset[Reference]()
        self._of_class.put(name, (declared.gateway_class,) if declared else ())
        self._references_of.put(name, references)
        self._namespaces_of.put(name, {reference[2].namespace for reference in references})
        if any(listener.namespaces == "Selector" for listener in listeners):
            self._selecting.add(name)
        else:
            self._selecting.discard(name)
        dirty.gateways.add(name)

    def put_class(self, name: str, declared: DeclaredClass | None, dirty: Dirty) -> None:
        """Set or remove (None) a GatewayClass."""
        if not put_value(self.classes, name, declared):
            return
        dirty.classes.add(name)
        dirty.gateways.update(self._of_class.owners(name))

    def put_secret(self, name: ObjectName, declared: DeclaredSecret | None, dirty: Dirty) -> None:
        """Set or remove (None) a Secret."""
        if not put_value(self.secrets, name, declared):
            return
        dirty.secrets.add(name)
        self.note(("", "Secret", name), dirty)

    def note(self, reference: Reference, dirty: Dirty) -> None:
        """Look at the Gateways again that name an object with a certificate or authorities."""
        dirty.gateways.update(self._references_of.owners(reference))

    def put_namespace(self, name: str, labels: Mapping[str, str] | None, dirty: Dirty) -> None:
        """Set or remove (None) the labels of a Namespace."""
        if not put_value(self.namespaces, name, labels):
            return
        dirty.gateways.update(self._selecting)

    def put_grant(self, name: ObjectName, declared: DeclaredGrant | None, dirty: Dirty) -> bool:
        """Set or remove (None) a ReferenceGrant; tells whether anything changed."""
        grants = self._grants.setdefault(name.namespace, {})
        if not put_value(grants, name, declared):
            return False
        dirty.gateways.update(self._namespaces_of.owners(name.namespace))
        return True

    def grants(self, namespace: str) -> Iterable[DeclaredGrant]:
        """The ReferenceGrants of a namespace."""
        return self._grants.get(namespace, {}).values()
