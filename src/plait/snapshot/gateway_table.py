"""Gateways and what they depend on: classes, Secrets, ReferenceGrants, labels of namespaces."""

from collections.abc import Iterable, Mapping

from plait.model.ids import ObjectName
from plait.snapshot.declared import DeclaredClass, DeclaredGateway, DeclaredGrant, DeclaredSecret
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
        self._secrets_of = References[ObjectName, ObjectName]()
        self._secret_namespaces = References[ObjectName, str]()
        self._selecting: set[ObjectName] = set()

    def put(self, name: ObjectName, declared: DeclaredGateway | None, dirty: Dirty) -> None:
        """Set or remove (None) a Gateway."""
        if not put_value(self.gateways, name, declared):
            return
        listeners = declared.listeners if declared else ()
        secrets = {reference[2] for listener in listeners for reference in listener.certificates}
        self._of_class.put(name, (declared.gateway_class,) if declared else ())
        self._secrets_of.put(name, secrets)
        self._secret_namespaces.put(name, {secret.namespace for secret in secrets})
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
        dirty.gateways.update(self._secrets_of.owners(name))

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
        dirty.gateways.update(self._secret_namespaces.owners(name.namespace))
        return True

    def grants(self, namespace: str) -> Iterable[DeclaredGrant]:
        """The ReferenceGrants of a namespace."""
        return self._grants.get(namespace, {}).values()
