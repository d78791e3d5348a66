"""Which DestinationRule a caller follows.

Istio's order: the rules of the caller's namespace, then those that the service's namespace exports, then those that the
root namespace exports; the first of the three that has any rule for the host decides, even by a wildcard. A caller in
the root namespace looks there first only for rules that are private to it. Of the rules found, one whose workload
selector chooses the caller goes before one without a selector.
"""

from collections.abc import Iterable

from plait.model.destinations import DestinationRule, Rules
from plait.model.services import Service, Workload
from plait.model.snapshot import Snapshot
from plait.snapshot.workloads import selects


def destination_rule(snapshot: Snapshot, caller: Workload, service: Service) -> DestinationRule | None:
    """The rule that a caller follows for a service."""
    if not snapshot.destinations:
        return None
    for found in _places(snapshot, caller.name.namespace, service):
        if found:
            return _chosen(found, caller)
    return None


def _places(snapshot: Snapshot, client: str, service: Service) -> Iterable[Rules]:
    root = snapshot.root_namespace
    own = _rules(snapshot, client, service.host)
    if client == root:
        yield tuple(rule for rule in own if rule.is_private)
    else:
        yield tuple(rule for rule in own if rule.serves_its_own)
    for namespace in (service.name.namespace, root):
        yield tuple(rule for rule in _rules(snapshot, namespace, service.host) if rule.exported_to(client))


def _rules(snapshot: Snapshot, namespace: str, host: str) -> Rules:
    rules = snapshot.destinations.get(namespace)
    return rules.of(host) if rules else ()


def _chosen(rules: Rules, caller: Workload) -> DestinationRule | None:
    of_namespace = None
    for rule in rules:
        if rule.selector is None:
            of_namespace = rule
        elif rule.namespace == caller.name.namespace and selects(rule.selector, caller.labels):
            return rule
    return of_namespace
