"""Strategic merge patches, as kubectl makes them for Kubernetes' own kinds.

Like a merge patch, but lists whose items have a key merge item by item, and directives say the rest:
`$patch: replace|delete|merge` in a map or an item, `$deleteFromPrimitiveList/NAME`, `$setElementOrder/NAME`,
`$retainKeys`. https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
"""

from collections.abc import Mapping
from typing import Any

from plait.api.errors import ApiError
from plait.api.list_types import Path
from plait.api.shapes import is_list, is_map

MergeKeys = Mapping[Path, str]
"""The key of each list that merges; empty for sets of plain values."""

_DELETE = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"


def merge_strategically(document: Mapping[str, Any], patch: Mapping[str, Any], keys: MergeKeys) -> dict[str, Any]:
    """The document with the patch in it."""
    return _merge_map(document, patch, (), keys)


def _merge_map(value: Any, patch: Mapping[str, Any], path: Path, keys: MergeKeys) -> dict[str, Any]:
    directive = patch.get("$patch")
    if directive == "delete":
        return {}
    if directive not in (None, "merge", "replace"):
        raise ApiError(400, f"$patch: {directive} is not known", "use replace, delete or merge")
    merged = dict(value) if is_map(value) and directive != "replace" else {}
    retained = patch.get("$retainKeys")
    if is_list(retained):
        merged = {name: part for name, part in merged.items() if name in retained}
    for name, part in patch.items():
        if not name.startswith("$"):
            _merge_field(merged, name, part, path=(*path, name), keys=keys)
    _delete_values(merged, patch)
    _put_in_order(merged, patch, path, keys)
    return merged


def _merge_field(merged: dict[str, Any], name: str, part: Any, *, path: Path, keys: MergeKeys) -> None:
    if part is None:
        merged.pop(name, None)
    elif is_map(part):
        merged[name] = _merge_map(merged.get(name), part, path, keys)
        if part.get("$patch") == "delete":
            del merged[name]
    elif is_list(part) and path in keys:
        merged[name] = _merge_list(merged.get(name), part, path, keys)
    else:
        merged[name] = part


def _merge_list(value: Any, patch: list[Any], path: Path, keys: MergeKeys) -> list[Any]:
    items: list[Any] = list(value) if is_list(value) else []
    key = keys[path]
    if not key:
        return [*items, *(item for item in patch if item not in items)]
    if any(is_map(item) and item.get("$patch") == "replace" for item in patch):
        return [item for item in patch if not (is_map(item) and "$patch" in item)]
    for change in patch:
        if not is_map(change) or key not in change:
            raise ApiError(400, f"an item of {'.'.join(path)} in the patch does not have the merge key {key}")
        _merge_item(items, change, key, path=path, keys=keys)
    return items


def _merge_item(items: list[Any], change: Mapping[str, Any], key: str, *, path: Path, keys: MergeKeys) -> None:
    found = [index for index, item in enumerate(items) if is_map(item) and item.get(key) == change[key]]
    if change.get("$patch") == "delete":
        for index in reversed(found):
            del items[index]
    elif found:
        items[found[0]] = _merge_map(items[found[0]], change, path, keys)
    else:
        items.append(_merge_map({}, change, path, keys))


def _delete_values(merged: dict[str, Any], patch: Mapping[str, Any]) -> None:
    for directive, values in patch.items():
        name = directive.removeprefix(_DELETE)
        if name != directive and is_list(merged.get(name)) and is_list(values):
            merged[name] = [item for item in merged[name] if item not in values]


def _put_in_order(merged: dict[str, Any], patch: Mapping[str, Any], path: Path, keys: MergeKeys) -> None:
    """Items named by the directive stand in its order; the others stay where they are between them."""
    for directive, order in patch.items():
        name = directive.removeprefix(_ORDER)
        if name == directive or not is_list(merged.get(name)) or not is_list(order):
            continue
        key = keys.get((*path, name), "")
        ranks = [_key_of(item, key) for item in order]
        items = merged[name]
        named = sorted(
            (item for item in items if _key_of(item, key) in ranks), key=lambda i: ranks.index(_key_of(i, key))
        )
        following = iter(named)
        merged[name] = [next(following) if _key_of(item, key) in ranks else item for item in items]


def _key_of(item: Any, key: str) -> Any:
    return item.get(key) if key and is_map(item) else item
