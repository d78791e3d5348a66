"""JSON values with their types: what is read from outside may be anything until it is looked at."""

from collections.abc import Mapping
from typing import Any, cast


def as_object(value: Any) -> dict[str, Any] | None:
    """The value if it is a JSON object, else None."""
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    return dict(cast("Mapping[str, Any]", value)) if isinstance(value, Mapping) else None


def as_array(value: Any) -> list[Any] | None:
    """The value if it is a JSON array, else None."""
    if isinstance(value, list):
        return cast("list[Any]", value)
    return list(cast("tuple[Any, ...]", value)) if isinstance(value, tuple) else None


def as_text(value: Any) -> str:
    """The value if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def without_nulls(value: Any) -> Any:
    """A copy without the fields that are null: for Kubernetes they count as left out."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    fields = as_object(value)
    if fields is not None:
        return {key: without_nulls(item) for key, item in fields.items() if item is not None}
    items = as_array(value)
    return value if items is None else [without_nulls(item) for item in items]


def without(document: dict[str, Any], locations: list[tuple[str | int, ...]]) -> dict[str, Any]:
    """A copy without nulls and without the fields at those places."""
    copy: dict[str, Any] = without_nulls(document)
    for location in locations:
        holder: Any = copy
        for part in location[:-1]:
            holder = holder[part]
        holder.pop(location[-1], None)
    return copy


def type_name(value: Any) -> str:
    """The JSON type of a value."""
    names = ((bool, "boolean"), (str, "string"), (int, "integer"), (float, "number"), (Mapping, "object"))
    for kind, name in names:
        if isinstance(value, kind):
            return name
    return "null" if value is None else "array"
