"""A mapping whose versions share what did not change.

Writing to it copies it once an update, and only if something is really different; what `freeze` returned is never
changed afterwards. An equal value never replaces the former one, so readers can compare by identity.
"""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Versioned(Generic[Key, Value]):
    """Values by key; `changed` are the keys written to since the last freeze."""

    __slots__ = ("_frozen", "_values", "changed")

    def __init__(self) -> None:
        self._values: dict[Key, Value] = {}
        self._frozen = True
        self.changed: set[Key] = set()

    def get(self, key: Key) -> Value | None:
        """The present value."""
        return self._values.get(key)

    def values(self) -> Mapping[Key, Value]:
        """The present values; look, do not keep."""
        return self._values

    def put(self, key: Key, value: Value | None) -> bool:
        """Set the value, or remove it for None; tells whether that changed anything."""
        former = self._values.get(key)
        if former is value or (value is not None and former == value):
            return False
        if self._frozen:
            self._values = dict(self._values)
            self._frozen = False
        if value is None:
            del self._values[key]
        else:
            self._values[key] = value
        self.changed.add(key)
        return True

    def freeze(self) -> Mapping[Key, Value]:
        """The values as they are now, for keeping."""
        self._frozen = True
        self.changed = set()
        return self._values
