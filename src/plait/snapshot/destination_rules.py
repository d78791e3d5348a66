"""DestinationRules: what one declares, and what those of one namespace say together of a host.

Istio's merging: of several rules for the same host, selector and exportTo the oldest one's traffic policy holds, and
subsets of the others are added unless their name is taken.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from plait.model.destinations import DestinationRule, NamespaceRules, Rules, Subset
from plait.model.ids import ObjectName, Origin
from plait.resources.istio.destination_rule import DestinationRuleSpec
from plait.resources.istio.destination_rule import Subset as WrittenSubset
from plait.snapshot.destination_limits import not_done
from plait.snapshot.destination_table import DeclaredDestinationRule
from plait.snapshot.names import possible_hosts
from plait.snapshot.traffic_policies import declared_policy
from plait.snapshot.workloads import labels_of

WILDCARD = "*"


def declare_destination_rule(
    name: ObjectName, spec: DestinationRuleSpec, *, generation: int, created: float, origin: Origin
) -> DeclaredDestinationRule:
    """What a DestinationRule declares."""
    selector = spec.workload_selector
    rule = DestinationRule(
        namespace=name.namespace,
        host=spec.host.rstrip(".").lower(),
        policy=declared_policy(spec.traffic_policy, replace(origin, path="spec.trafficPolicy")),
        subsets=tuple(_subset(item, replace(origin, path=f"spec.subsets[{i}]")) for i, item in enumerate(spec.subsets)),
        export_to=tuple(sorted(set(spec.export_to))),
        selector=labels_of(selector.match_labels) if selector else None,
        origin=replace(origin, path="spec"),
    )
    return DeclaredDestinationRule(
        name=name,
        rule=rule,
        hosts=hosts_meant(rule.host, rule.namespace),
        generation=generation,
        created=created,
        dropped=tuple(not_done(rule, spec)),
    )


def _subset(written: WrittenSubset, origin: Origin) -> Subset:
    policy = declared_policy(written.traffic_policy, replace(origin, path=f"{origin.path}.trafficPolicy"))
    return Subset(name=written.name, labels=labels_of(written.labels), policy=policy, origin=origin)


def hosts_meant(rule_host: str, namespace: str) -> tuple[str, ...]:
    """The hosts that a rule's host may stand for; a wildcard stands for itself."""
    return (rule_host,) if rule_host.startswith(WILDCARD) else possible_hosts(rule_host, namespace)


def rules_of_namespace(declared: Iterable[DeclaredDestinationRule]) -> NamespaceRules:
    """The rules of one namespace, merged by host."""
    by_host: dict[str, list[DestinationRule]] = {}
    for item in sorted(declared, key=lambda item: (item.created, item.name)):
        for host in item.hosts:
            by_host.setdefault(host, []).append(item.rule)
    merged = {host: _merged(rules) for host, rules in by_host.items()}
    wildcards = [(host.removeprefix(WILDCARD), rules) for host, rules in merged.items() if host.startswith(WILDCARD)]
    return NamespaceRules(
        exact={host: rules for host, rules in merged.items() if not host.startswith(WILDCARD)},
        wildcards=tuple(sorted(wildcards, key=lambda pair: (-len(pair[0]), pair[0]))),
    )


def _merged(rules: Sequence[DestinationRule]) -> Rules:
    kept: dict[object, DestinationRule] = {}
    for rule in rules:
        alike = rule.selector, rule.export_to
        first = kept.get(alike)
        kept[alike] = _with_subsets(first, rule) if first else rule
    return tuple(kept.values())


def _with_subsets(rule: DestinationRule, other: DestinationRule) -> DestinationRule:
    added = tuple(subset for subset in other.subsets if rule.subset(subset.name) is None)
    return replace(rule, policy=rule.policy or other.policy, subsets=(*rule.subsets, *added))
