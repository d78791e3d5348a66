"""DestinationRules: what one declares, and what those of one namespace say together of a host.

Istio's merging: of several rules for the same host, selector and exportTo the oldest one's traffic policy holds, and
subsets of the others are added unless their name is taken.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from plait.model.destinations import DestinationRule, NamespaceRules, Rules, Subset
from plait.model.ids import ObjectName, Origin
from plait.resources.istio.destination_rule import DestinationRuleSpec
from plait.snapshot.conditions import Problem
from plait.snapshot.destination_table import DeclaredDestinationRule
from plait.snapshot.names import possible_hosts
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
        subsets=tuple(
            Subset(name=item.name, labels=labels_of(item.labels), origin=replace(origin, path=f"spec.subsets[{index}]"))
            for index, item in enumerate(spec.subsets)
        ),
        export_to=tuple(sorted(set(spec.export_to))),
        selector=labels_of(selector.match_labels) if selector else None,
        origin=replace(origin, path="spec"),
    )
    policies = spec.traffic_policy or any(item.traffic_policy for item in spec.subsets)
    sentence = "trafficPolicy does not act yet in this version of Plait"
    dropped = (Problem(reason="UnsupportedValue", message=sentence),) if policies else ()
    return DeclaredDestinationRule(name=name, rule=rule, generation=generation, created=created, dropped=dropped)


def hosts_meant(rule_host: str, namespace: str) -> tuple[str, ...]:
    """The hosts that a rule's host may stand for; a wildcard stands for itself."""
    return (rule_host,) if rule_host.startswith(WILDCARD) else possible_hosts(rule_host, namespace)


def rules_of_namespace(declared: Iterable[DeclaredDestinationRule]) -> NamespaceRules:
    """The rules of one namespace, merged by host."""
    by_host: dict[str, list[DestinationRule]] = {}
    for item in sorted(declared, key=lambda item: (item.created, item.name)):
        for host in hosts_meant(item.rule.host, item.rule.namespace):
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
    return replace(rule, subsets=(*rule.subsets, *added))
