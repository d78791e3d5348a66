"""Linking policies: those in force, by namespace, and the conditions of all."""

from plait.snapshot.authorization import authorization_in_force
from plait.snapshot.dirty import Dirty
from plait.snapshot.links import Stage
from plait.snapshot.peer_authentication import in_force

PEER_AUTHENTICATION = "PeerAuthentication"
AUTHORIZATION_POLICY = "AuthorizationPolicy"


def link_policies(stage: Stage, dirty: Dirty, *, root_namespace: str) -> None:
    """Put the policies of every marked namespace in order again."""
    tables, links = stage.tables.policies, stage.links
    for namespace in dirty.peers:
        stage.effects.work["policies"] += 1
        policies, conditions = in_force(tables.peers[namespace].values(), root=namespace == root_namespace)
        links.peers.put(namespace, policies or None)
        links.policy_conditions[PEER_AUTHENTICATION, namespace] = conditions
    for namespace in dirty.authorization:
        stage.effects.work["policies"] += 1
        selected, conditions = authorization_in_force(tables.authorization[namespace].values())
        links.authorization.put(namespace, selected or None)
        links.policy_conditions[AUTHORIZATION_POLICY, namespace] = conditions
