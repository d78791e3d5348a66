"""Linking DestinationRules: those of each namespace merged, and the hosts marked whose callers may follow another.

A Secret that a rule names is kept for whoever follows it. Servers are marked too: limits of connections that a rule
sets hold at both ends of a call.
"""

from collections.abc import Iterable, Mapping

from plait.model.destinations import DestinationRule
from plait.model.services import Labels
from plait.model.snapshot import Condition
from plait.model.traffic_policy import TlsMode
from plait.snapshot.conditions import ACCEPTED, Problem, holds, partially_invalid, sentences
from plait.snapshot.destination_limits import policies_of, told
from plait.snapshot.destination_rules import WILDCARD, hosts_meant, rules_of_namespace
from plait.snapshot.destination_table import DeclaredDestinationRule
from plait.snapshot.dirty import Dirty
from plait.snapshot.links import Stage
from plait.snapshot.settlement import annotation_of, replaced_annotations

DESTINATION_RULE = "DestinationRule"
_Alike = tuple[str, Labels | None, tuple[str, ...]]


def link_destinations(stage: Stage, dirty: Dirty) -> None:
    """Merge the rules of every marked namespace again."""
    for namespace, hosts in dirty.destinations.items():
        stage.effects.work["destinations"] += 1
        declared = stage.tables.destinations.rules[namespace]
        rules = rules_of_namespace(declared.values())
        stage.links.destinations.put(namespace, rules if declared else None)
        for host in hosts:
            for concerned in _concerned(stage, host, namespace):
                stage.effects.hosts.add(concerned)
                stage.effects.workloads.update(item.workload.name for item in stage.links.members.get(concerned, ()))
    if dirty.destinations or dirty.secrets:
        _link_credentials(stage)


def _concerned(stage: Stage, host: str, namespace: str) -> Iterable[str]:
    if not host.startswith(WILDCARD):
        return hosts_meant(host, namespace)
    ending = host.removeprefix(WILDCARD)
    return [known for known in stage.links.services.values() if known.endswith(ending)]


def _link_credentials(stage: Stage) -> None:
    named: dict[str, list[DestinationRule]] = {}
    for declared in stage.tables.destinations.rules.values():
        for item in declared.values():
            for credential in _credentials(item.rule):
                named.setdefault(credential, []).append(item.rule)
    secrets = stage.tables.gateways.secrets
    wanted = {name: secret.credential for name, secret in secrets.items() if named and name.name in named}
    for name in stage.links.credentials.values().keys() | wanted.keys():
        if stage.links.credentials.put(name, wanted.get(name)):
            for rule in named.get(name.name, ()):
                stage.effects.hosts.update(_concerned(stage, rule.host, rule.namespace))


def _credentials(rule: DestinationRule) -> Iterable[str]:
    for _, policy in policies_of(rule):
        if policy.tls is not None and policy.tls.mode is TlsMode.OWN and policy.tls.credential:
            yield policy.tls.credential


def note_destination_conditions(stage: Stage, dirty: Dirty) -> None:
    """Write down what is to be said of rules that changed, of those for the same hosts, and for changed services."""
    services = stage.links.services.changed
    for namespace, declared in stage.tables.destinations.rules.items():
        changed = {host for text in dirty.destinations.get(namespace, ()) for host in hosts_meant(text, namespace)}
        rules = stage.links.destinations.get(namespace)
        if namespace not in dirty.destinations and (rules is None or services.isdisjoint(rules.exact)):
            continue
        dirty.destinations.setdefault(namespace, set())
        oldest = _oldest(declared.values())
        known = stage.links.policy_conditions.get((DESTINATION_RULE, namespace), {})
        stage.links.policy_conditions[DESTINATION_RULE, namespace] = {
            name: _conditions(stage, item, oldest)
            if name not in known or not (changed | services).isdisjoint(item.hosts)
            else known[name]
            for name, item in declared.items()
        }


def _oldest(declared: Iterable[DeclaredDestinationRule]) -> Mapping[_Alike, DeclaredDestinationRule]:
    """The rules whose policy is in force, by host, selector and exportTo."""
    found: dict[_Alike, DeclaredDestinationRule] = {}
    for item in sorted(declared, key=lambda item: (item.created, item.name)):
        for host in item.hosts if item.rule.policy is not None else ():
            found.setdefault((host, item.rule.selector, item.rule.export_to), item)
    return found


def _conditions(
    stage: Stage, item: DeclaredDestinationRule, oldest: Mapping[_Alike, DeclaredDestinationRule]
) -> tuple[Condition, ...]:
    message = sentences(text for text in (told(item.rule), *_replaced(stage, item)) if text)
    problems = list(item.dropped)
    found = (oldest.get((host, item.rule.selector, item.rule.export_to), item) for host in item.hosts)
    older = next((other for other in found if other.name != item.name), None)
    if older is not None and item.rule.policy is not None:
        sentence = f"trafficPolicy: DestinationRule {older.name} for the same host is older, so its policy is in force"
        problems.append(Problem(reason="Conflicted", message=sentence))
    return (holds(ACCEPTED, message), *partially_invalid(problems))


def _replaced(stage: Stage, item: DeclaredDestinationRule) -> Iterable[str]:
    """Say which annotations of Services have no effect for callers that follow the rule."""
    for host in item.hosts:
        service = stage.links.services.get(host)
        written = {annotation_of(origin) for origin in service.protection.callers.origins} if service else set[str]()
        for _, policy in policies_of(item.rule):
            both = sorted(written & replaced_annotations(policy))
            if both and service:
                yield f"in force instead of {', '.join(both)} of Service {service.name}"
                return
