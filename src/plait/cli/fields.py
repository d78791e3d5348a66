"""Fields of JSON answers and documents, with types: what is missing or null reads as empty."""

from collections.abc import Mapping
from typing import Any, cast


def as_mapping(value: object) -> dict[Any, Any] | None:
    """The value if it is a mapping, else None."""
    return cast("dict[Any, Any]", value) if isinstance(value, dict) else None


def as_list(value: object) -> list[Any] | None:
    """The value if it is a list, else None."""
    return cast("list[Any]", value) if isinstance(value, list) else None


def part(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object in a field."""
    return as_mapping(value.get(name)) or {}


def texts(value: Mapping[str, Any], name: str) -> list[str]:
    """The texts in a field."""
    return [str(item) for item in as_list(value.get(name)) or ()]
