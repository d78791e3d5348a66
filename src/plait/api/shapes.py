"""Whether a JSON value is an object or an array, told in a way that type checkers follow."""

from collections.abc import Mapping
from typing import Any, TypeGuard


def is_map(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether the value is a JSON object."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether the value is a JSON array."""
    return isinstance(value, list)


def map_at(value: object, *names: str) -> Mapping[str, Any]:
    """The object at a path of fields, an empty one if anything else is there."""
    for name in names:
        value = value.get(name) if is_map(value) else None
    return value if is_map(value) else {}
