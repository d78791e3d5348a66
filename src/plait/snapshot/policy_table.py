"""The declared policies, by namespace."""

from plait.model.ids import ObjectName
from plait.snapshot.declared import DeclaredAuthorization, DeclaredPeerAuthentication
from plait.snapshot.dirty import Dirty


class PolicyTable:
    """PeerAuthentications and AuthorizationPolicies."""

    def __init__(self) -> None:
        self.peers: dict[str, dict[ObjectName, DeclaredPeerAuthentication]] = {}
        self.authorization: dict[str, dict[ObjectName, DeclaredAuthorization]] = {}

    def put_peer(self, name: ObjectName, declared: DeclaredPeerAuthentication | None, dirty: Dirty) -> None:
        """Set or remove (None) a PeerAuthentication."""
        policies = self.peers.setdefault(name.namespace, {})
        if policies.get(name) == declared:
            return
        if declared is None:
            del policies[name]
        else:
            policies[name] = declared
        dirty.peers.add(name.namespace)

    def put_authorization(self, name: ObjectName, declared: DeclaredAuthorization | None, dirty: Dirty) -> None:
        """Set or remove (None) an AuthorizationPolicy."""
        policies = self.authorization.setdefault(name.namespace, {})
        if policies.get(name) == declared:
            return
        if declared is None:
            del policies[name]
        else:
            policies[name] = declared
        dirty.authorization.add(name.namespace)
