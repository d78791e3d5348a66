"""Linking DestinationRules: those of each namespace merged, and the hosts marked whose callers may follow another."""

from collections.abc import Iterable

from plait.snapshot.conditions import ACCEPTED, holds, partially_invalid
from plait.snapshot.destination_rules import WILDCARD, hosts_meant, rules_of_namespace
from plait.snapshot.dirty import Dirty
from plait.snapshot.links import Stage

DESTINATION_RULE = "DestinationRule"


def link_destinations(stage: Stage, dirty: Dirty) -> None:
    """Merge the rules of every marked namespace again."""
    for namespace, hosts in dirty.destinations.items():
        stage.effects.work["destinations"] += 1
        declared = stage.tables.destinations.rules[namespace]
        rules = rules_of_namespace(declared.values())
        stage.links.destinations.put(namespace, rules if declared else None)
        stage.links.policy_conditions[DESTINATION_RULE, namespace] = {
            name: (holds(ACCEPTED), *partially_invalid(item.dropped)) for name, item in declared.items()
        }
        for host in hosts:
            stage.effects.hosts.update(_concerned(stage, host, namespace))


def _concerned(stage: Stage, host: str, namespace: str) -> Iterable[str]:
    if not host.startswith(WILDCARD):
        return hosts_meant(host, namespace)
    ending = host.removeprefix(WILDCARD)
    return (known for known in stage.links.services.values() if known.endswith(ending))
