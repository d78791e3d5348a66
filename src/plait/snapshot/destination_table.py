"""The declared DestinationRules, by namespace."""

from dataclasses import dataclass

from plait.model.destinations import DestinationRule
from plait.model.ids import ObjectName
from plait.snapshot.conditions import Problem
from plait.snapshot.dirty import Dirty


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
        dirty.destinations.setdefault(name.namespace, set()).update(
            item.rule.host for item in (former, declared) if item
        )
