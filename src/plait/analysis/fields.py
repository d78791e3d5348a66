"""Reads objects as they were written: a value of a document that knows its path.

Analyzers look at documents and not at models, so that a kind is analyzed before the mesh acts on it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from plait.resources import paths
from plait.resources.values import as_array, as_object, as_text


@dataclass(frozen=True, slots=True)
class Field:
    """A value and its path; a field that is missing has the value None, and so have all below it."""

    value: Any
    path: str = ""

    def __getitem__(self, name: str) -> "Field":
        """A member of an object."""
        inside = as_object(self.value) or {}
        return Field(inside.get(name), paths.child(self.path, name))

    def at(self, *names: str) -> "Field":
        """A member of a member."""
        found = self
        for name in names:
            found = found[name]
        return found

    def items(self) -> Iterator["Field"]:
        """The items of a list."""
        for index, item in enumerate(as_array(self.value) or ()):
            yield Field(item, paths.child(self.path, index))

    def members(self) -> Iterator[tuple[str, "Field"]]:
        """The members of an object by name."""
        for name in as_object(self.value) or {}:
            yield name, self[name]

    def texts(self) -> tuple[str, ...]:
        """The strings in a list."""
        return tuple(item.text for item in self.items() if item.text)

    @property
    def text(self) -> str:
        """The string, empty for anything else."""
        return as_text(self.value)

    @property
    def number(self) -> int:
        """The whole number, 0 for anything else."""
        return self.value if isinstance(self.value, int) and not isinstance(self.value, bool) else 0

    @property
    def labels(self) -> dict[str, str]:
        """The members as labels."""
        return {name: item.text for name, item in self.members()}

    def __bool__(self) -> bool:
        return self.value not in (None, "", [], {})
