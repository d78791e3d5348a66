"""Which of many policies may choose a workload, without asking each.

A namespace's policies are indexed by one label of their selector, once for each tuple of them (an update makes a new
tuple only where something changed). What remains to be asked of a workload are those for one of its labels, and those
without a selector.
"""

from collections.abc import Iterator
from typing import Final

from plait.model.services import Labels
from plait.model.snapshot import SelectedPolicy

_KEPT: Final = 1024

Index = dict[tuple[str, str] | None, list[int]]

_indexes: Final[dict[int, tuple[tuple[SelectedPolicy, ...], Index]]] = {}


def candidates(policies: tuple[SelectedPolicy, ...], labels: Labels) -> Iterator[SelectedPolicy]:
    """The policies, in their order, without most of those whose selector asks for other labels."""
    index = _index(policies)
    found = sorted(number for label in (None, *labels) for number in index.get(label, ()))
    return (policies[number] for number in found)


def _index(policies: tuple[SelectedPolicy, ...]) -> Index:
    kept = _indexes.get(id(policies))
    if kept is None:
        index: Index = {}
        for number, item in enumerate(policies):
            label = item.selector[0] if item.selector and not item.gateways else None
            index.setdefault(label, []).append(number)
        kept = _indexes[id(policies)] = (policies, index)
        if len(_indexes) > _KEPT:
            del _indexes[next(iter(_indexes))]
    return kept[1]
