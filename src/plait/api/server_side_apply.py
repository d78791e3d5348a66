"""Server-side apply: a manager says which fields it wants, the server merges, and keeps who wants what.

A field that the manager gave before and leaves out now goes, unless another manager has it too. A field that
another manager set to another value is a conflict, unless the caller forces it and so takes the field over.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from plait.api.errors import ApiError
from plait.api.field_sets import EMPTY, FieldPath, Leaves, Lists, Manager, element, leaves, read, spell, write
from plait.api.lifecycle import timestamp
from plait.api.list_types import Path
from plait.api.shapes import is_list, is_map


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What one manager applies. `lists` are the kind's lists that merge."""

    document: Mapping[str, Any]
    manager: str
    force: bool
    lists: Lists
    subresource: str = ""


def apply(application: Application, live: Mapping[str, Any] | None) -> dict[str, Any]:
    """The merged document with its managed fields; ApiError 409 lists the conflicts."""
    wanted = leaves(application.document, application.lists)
    own = Manager(
        name=application.manager,
        operation="Apply",
        api_version=str(application.document.get("apiVersion", "")),
        subresource=application.subresource,
        time=timestamp(),
        fields=frozenset(wanted),
    )
    if live is None:
        return _with_managers(application.document, (own,))
    managers = read(live)
    others = [manager for manager in managers if not manager.is_same(own)]
    current = leaves(live, application.lists)
    lost = [_lost(other, own, wanted, current) for other in others]
    if any(lost) and not application.force:
        raise _conflict(zip(others, lost, strict=True))
    others = [replace(other, fields=other.fields - paths) for other, paths in zip(others, lost, strict=True)]
    before = next((manager for manager in managers if manager.is_same(own)), None)
    if before is not None and before.fields == own.fields:
        own = replace(own, time=before.time)
    given_up = (before.fields if before else frozenset[FieldPath]()) - own.fields
    given_up = given_up.difference(*(other.fields for other in others))
    merged = _merge(live, application.document, (), application.lists)
    return _with_managers(_Removal(given_up, application.lists).of_map(merged, (), ()), (*others, own))


def _with_managers(document: Mapping[str, Any], managers: Sequence[Manager]) -> dict[str, Any]:
    metadata = {**document.get("metadata", {}), "managedFields": write(managers)}
    return {**document, "metadata": metadata}


def _lost(other: Manager, own: Manager, wanted: Leaves, current: Leaves) -> frozenset[FieldPath]:
    """The fields of another manager that hold another value than is wanted."""
    if other.name == own.name:
        return frozenset()
    return frozenset(
        path for path in other.fields & own.fields if wanted[path] != EMPTY and current.get(path) != wanted[path]
    )


def _conflict(lost: Iterable[tuple[Manager, frozenset[FieldPath]]]) -> ApiError:
    causes = [
        {"reason": "FieldManagerConflict", "message": f'conflict with "{manager.name}"', "field": spell(path)}
        for manager, paths in lost
        for path in sorted(paths)
    ]
    count = f"{len(causes)} conflict" + ("s" if len(causes) > 1 else "")
    fields = "; ".join(f"{cause['message']}: {cause['field']}" for cause in causes)
    return ApiError(
        409, f"Apply failed with {count}: {fields}", "force to take the fields over", details={"causes": causes}
    )


def _merge(live: Any, applied: Any, names: Path, lists: Lists) -> Any:
    if is_map(live) and is_map(applied):
        merged = dict(live)
        for name, value in applied.items():
            merged[name] = _merge(live.get(name), value, (*names, name), lists)
        return merged
    if is_list(live) and is_list(applied) and names in lists:
        return _merge_list(live, applied, names, lists)
    return applied


def _merge_list(live: list[Any], applied: list[Any], names: Path, lists: Lists) -> list[Any]:
    """The items in the order applied; each item of others stays behind the one that it followed."""
    current = {element(item, lists[names]): item for item in live}
    wanted = {element(item, lists[names]): item for item in applied}
    places = list(wanted)
    before: str | None = None
    for key in current:
        if key not in wanted:
            places.insert(0 if before is None else places.index(before) + 1, key)
        before = key
    merged = {key: _merge(current.get(key), item, names, lists) for key, item in wanted.items()}
    return [merged.get(key, current.get(key)) for key in places]


class _Removal:
    """Takes paths out of a document; a map or list that becomes empty goes too."""

    def __init__(self, gone: frozenset[FieldPath], lists: Lists) -> None:
        self._gone = gone
        self._touched = frozenset(path[:depth] for path in gone for depth in range(1, len(path) + 1))
        self._lists = lists

    def of_map(self, value: Mapping[str, Any], path: FieldPath, names: Path) -> dict[str, Any]:
        """The map without what is gone."""
        kept: dict[str, Any] = {}
        for name, part in value.items():
            below = (*path, f"f:{name}")
            if below in self._touched and _is_parent(part, (*names, name), self._lists):
                rest = self._of_parent(part, below, (*names, name))
                if rest:
                    kept[name] = rest
            elif below not in self._gone:
                kept[name] = part
        return kept

    def _of_parent(self, value: Any, path: FieldPath, names: Path) -> Any:
        if is_map(value):
            return self.of_map(value, path, names)
        kept: list[Any] = []
        for item in value:
            below = (*path, element(item, self._lists[names]))
            if below not in self._gone:
                kept.append(self.of_map(item, below, names) if is_map(item) else item)
        return kept


def _is_parent(value: Any, names: Path, lists: Lists) -> bool:
    return bool(value) and (is_map(value) or (is_list(value) and names in lists))
