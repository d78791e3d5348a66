"""Gateways and what they depend on: classes, Secrets, ReferenceGrants, labels of namespaces."""

from collections.abc import Iterable, Mapping

from plait.model.ids import ObjectName
from plait.snapshot.declared import DeclaredClass, DeclaredGateway, DeclaredGrant, DeclaredSecret
from plait.snapshot.dirty import Dirty
from plait.snapshot.index import References


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
        if self.gateways.get(name) == declared:
            return
        if declared is None:
            del self.gateways[name]
        else:
            self.gateways[name] = declared
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
        if self.classes.get(name) == declared:
            return
        if declared is None:
            del self.classes[name]
        else:
            self.classes[name] = declared
        dirty.classes.add(name)
        dirty.gateways.update(self._of_class.owners(name))

    def put_secret(self, name: ObjectName, declared: DeclaredSecret | None, dirty: Dirty) -> None:
        """Set or remove (None) a Secret."""
        if self.secrets.get(name) == declared:
            return
        if declared is None:
            del self.secrets[name]
        else:
            self.secrets[name] = declared
        dirty.secrets.add(name)
        dirty.gateways.update(self._secrets_of.owners(name))

    def put_namespace(self, name: str, labels: Mapping[str, str] | None, dirty: Dirty) -> None:
        """Set or remove (None) the labels of a Namespace."""
        if self.namespaces.get(name) == labels:
            return
        if labels is None:
            del self.namespaces[name]
        else:
            self.namespaces[name] = labels
        dirty.gateways.update(self._selecting)

    def put_grant(self, name: ObjectName, declared: DeclaredGrant | None, dirty: Dirty) -> bool:
        """Set or remove (None) a ReferenceGrant; tells whether anything changed."""
        grants = self._grants.setdefault(name.namespace, {})
        if grants.get(name) == declared:
            return False
        if declared is None:
            del grants[name]
        else:
            grants[name] = declared
        dirty.gateways.update(self._secret_namespaces.owners(name.namespace))
        return True

    def grants(self, namespace: str) -> Iterable[DeclaredGrant]:
        """The ReferenceGrants of a namespace."""
        return self._grants.get(namespace, {}).values()
