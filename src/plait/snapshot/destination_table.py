"""The declared DestinationRules, by namespace."""

from collections.abc import Iterable
from dataclasses import dataclass

from plait.model.destinations import DestinationRule
from plait.model.ids import ObjectName
from plait.snapshot.conditions import Problem
from plait.snapshot.dirty import Dirty
from plait.snapshot.index import References


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredDestinationRule:
    """A DestinationRule with what orders it among others, and what of it is not done."""

    name: ObjectName
    rule: DestinationRule
    hosts: tuple[str, ...]
    """What its host may stand for; a wildcard stands for itself."""
    generation: int
    created: float
    dropped: tuple[Problem, ...] = ()


class DestinationTable:
    """DestinationRules."""

    def __init__(self) -> None:
        self.rules: dict[str, dict[ObjectName, DeclaredDestinationRule]] = {}
        self._hosts = References[ObjectName, str]()

    def put(self, name: ObjectName, declared: DeclaredDestinationRule | None, dirty: Dirty) -> None:
        """Set or remove (None) a DestinationRule."""
        known = self.rules.setdefault(name.namespace, {})
        former = known.get(name)
        if former == declared:
            return
        if declared is None:
            del known[name]
        else:
            known[name] = declared
        self._hosts.put(name, declared.hosts if declared else ())
        dirty.subsets.update(host for item in (former, declared) if item for host in item.hosts)
        dirty.destinations.setdefault(name.namespace, set()).update(
            item.rule.host for item in (former, declared) if item
        )

    def has_subset(self, patterns: Iterable[str], subset: str) -> bool:
        """Whether a DestinationRule for one of these hosts and wildcards declares that subset."""
        names = {name for pattern in patterns for name in self._hosts.owners(pattern)}
        return any(self.rules[name.namespace][name].rule.subset(subset) is not None for name in names)
