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


def list_at(value: object, *names: str) -> list[Mapping[str, Any]]:
    """The objects of the array at a path of fields; none if anything else is there."""
    found = map_at(value, *names[:-1]).get(names[-1])
    return [item for item in found if is_map(item)] if is_list(found) else []
