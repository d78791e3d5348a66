"""The declared policies, by namespace."""

from plait.model.ids import ObjectName
from plait.snapshot.declared import DeclaredAuthorization, DeclaredPeerAuthentication
from plait.snapshot.dirty import Dirty
from plait.snapshot.index import put_value


class PolicyTable:
    """PeerAuthentications and AuthorizationPolicies."""

    def __init__(self) -> None:
        self.peers: dict[str, dict[ObjectName, DeclaredPeerAuthentication]] = {}
        self.authorization: dict[str, dict[ObjectName, DeclaredAuthorization]] = {}

    def put_peer(self, name: ObjectName, declared: DeclaredPeerAuthentication | None, dirty: Dirty) -> None:
        """Set or remove (None) a PeerAuthentication."""
        policies = self.peers.setdefault(name.namespace, {})
        if not put_value(policies, name, declared):
            return
        dirty.peers.add(name.namespace)

    def put_authorization(self, name: ObjectName, declared: DeclaredAuthorization | None, dirty: Dirty) -> None:
        """Set or remove (None) an AuthorizationPolicy."""
        policies = self.authorization.setdefault(name.namespace, {})
        if not put_value(policies, name, declared):
            return
        dirty.authorization.add(name.namespace)
