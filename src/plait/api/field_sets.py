"""Who set which field: `metadata.managedFields` read, compared and written.

A document is flattened to its leaves: a path of FieldsV1 elements (`f:spec`, `k:{"name":"web"}`, `v:"x"`) to the
value there. Lists that merge by key have an element for each item, all other lists are one leaf. A manager's
fields are a set of such paths.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from plait.api.lifecycle import SOURCE, timestamp
from plait.api.list_types import ListType, Path
from plait.api.shapes import is_list, is_map, map_at

FieldPath = tuple[str, ...]
Leaves = dict[FieldPath, Any]
Lists = Mapping[Path, ListType]

EMPTY: Mapping[str, Any] = {}
"""The leaf of a map or a merging list without items: it is there, but says nothing of what is in it."""

_UNTRACKED: frozenset[FieldPath] = frozenset(
    {("f:apiVersion",), ("f:kind",), ("f:metadata", "f:annotations", f"f:{SOURCE}")}
    | {
        ("f:metadata", f"f:{name}")
        for name in (
            *("name", "generateName", "namespace", "uid", "creationTimestamp", "deletionTimestamp"),
            *("resourceVersion", "generation", "managedFields", "selfLink", "deletionGracePeriodSeconds"),
        )
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manager:
    """An entry of managedFields."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""
    time: str = ""
    fields: frozenset[FieldPath]

    def is_same(self, other: "Manager") -> bool:
        """Whether both entries are the same manager's."""
        return (self.name, self.operation, self.subresource) == (other.name, other.operation, other.subresource)


def leaves(document: Mapping[str, Any], lists: Lists) -> Leaves:
    """The tracked leaves of a document."""
    found = _map_leaves(document, (), (), lists)
    return {path: value for path, value in found if not _untracked(path)}


def read(document: Mapping[str, Any]) -> tuple[Manager, ...]:
    """The managers of a document's fields; entries that cannot be read are left out."""
    entries = map_at(document, "metadata").get("managedFields")
    if not is_list(entries):
        return ()
    return tuple(_manager(entry) for entry in entries if is_map(entry) and entry.get("manager"))


def write(managers: Sequence[Manager]) -> list[dict[str, Any]]:
    """The managers as `metadata.managedFields`."""
    return [_entry(manager) for manager in managers if manager.fields]


def after_update(managers: Sequence[Manager], updater: Manager, *, old: Leaves, new: Leaves) -> tuple[Manager, ...]:
    """The managers after a write: what changed belongs to the updater, what is gone to nobody."""
    changed = {path for path, value in new.items() if path not in old or old[path] != value}
    kept = [_keep(manager, manager.fields & new.keys() - changed) for manager in managers]
    own = next((manager for manager in kept if manager.is_same(updater)), None)
    if own is None:
        return (*kept, replace(updater, fields=frozenset(changed), time=timestamp()))
    fields = own.fields | changed
    return tuple(
        replace(updater, fields=fields, time=timestamp() if changed else own.time) if manager is own else manager
        for manager in kept
    )


def _keep(manager: Manager, fields: frozenset[FieldPath]) -> Manager:
    return manager if fields == manager.fields else replace(manager, fields=fields)


def spell(path: FieldPath) -> str:
    """A path as errors write it: `.spec.ports[port=80].name`."""
    return "".join(_spell_element(element) for element in path)


def element(item: Any, list_type: ListType) -> str:
    """The path element of a list's item: its key fields, or its value."""
    if not list_type.keys or not is_map(item):
        return f"v:{_json(item)}"
    key = {name: item.get(name, list_type.defaults.get(name)) for name in list_type.keys}
    return "k:" + _json({name: value for name, value in key.items() if value is not None})


def _map_leaves(
    value: Mapping[str, Any], path: FieldPath, names: Path, lists: Lists
) -> Iterator[tuple[FieldPath, Any]]:
    for name, part in value.items():
        yield from _value_leaves(part, (*path, f"f:{name}"), (*names, name), lists)


def _value_leaves(value: Any, path: FieldPath, names: Path, lists: Lists) -> Iterator[tuple[FieldPath, Any]]:
    if is_map(value) and value:
        yield from _map_leaves(value, path, names, lists)
    elif is_list(value) and names in lists:
        yield from _list_leaves(value, path, names, lists)
    else:
        yield path, value


def _list_leaves(items: list[Any], path: FieldPath, names: Path, lists: Lists) -> Iterator[tuple[FieldPath, Any]]:
    list_type = lists[names]
    if not items:
        yield path, EMPTY
    for item in items:
        below = (*path, element(item, list_type))
        if is_map(item):
            yield below, None
            yield from _map_leaves(item, below, names, lists)
        else:
            yield below, item


def _untracked(path: FieldPath) -> bool:
    return path[:1] in _UNTRACKED or path[:2] in _UNTRACKED or path[:3] in _UNTRACKED


def _manager(entry: Mapping[str, Any]) -> Manager:
    return Manager(
        name=str(entry["manager"]),
        operation=str(entry.get("operation", "Update")),
        api_version=str(entry.get("apiVersion", "")),
        subresource=str(entry.get("subresource", "")),
        time=str(entry.get("time", "")),
        fields=frozenset(_paths(entry.get("fieldsV1") or {}, ())),
    )


def _entry(manager: Manager) -> dict[str, Any]:
    entry = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
        "time": manager.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": _tree(manager.fields),
    }
    return {**entry, "subresource": manager.subresource} if manager.subresource else entry


def _paths(tree: Any, path: FieldPath) -> Iterator[FieldPath]:
    if not is_map(tree) or not tree:
        if path:
            yield path
        return
    for part, below in tree.items():
        if part == ".":
            yield path
        else:
            yield from _paths(below, (*path, str(part)))


def _tree(paths: frozenset[FieldPath]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for path in sorted(paths):
        node = root
        for depth, part in enumerate(path, start=1):
            node = node.setdefault(part, {})
            if depth < len(path) and path[:depth] in paths:
                node["."] = {}
    return root


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _spell_element(part: str) -> str:
    text = part[2:]
    if part.startswith("f:"):
        return f".{text}"
    if part.startswith("v:"):
        return f"[={text}]"
    key = json.loads(text)
    return "[" + ",".join(f"{name}={_json(value)}" for name, value in key.items()) + "]"
