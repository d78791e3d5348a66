"""What was made last, remembered by the very objects that it was made of.

The values of the mesh are frozen and keep their identity for as long as they mean the same, so "made of the same
objects" is known without looking into them: hashing or comparing a table of rules for each of a thousand callers would
cost more than all else that a change does to them. What comes out equal to what came before stays the same object, so
whoever remembers by that in turn need not look either.
"""

from collections.abc import Callable, Hashable
from operator import is_
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Remembered(Generic[Key, Value]):
    """The latest value of each key, with what it was made of; at most so many, those made longest ago go first."""

    __slots__ = ("_held", "_most")

    def __init__(self, most: int) -> None:
        self._held: dict[Key, tuple[tuple[object, ...], Value]] = {}
        self._most = most

    def of(self, key: Key, inputs: tuple[Any, ...], make: Callable[..., Value]) -> Value:
        """What `make` makes of these inputs, which with the key must be all that it depends on."""
        known = self._held.get(key)
        if known is not None and all(map(is_, known[0], inputs)):
            return known[1]
        value = make(*inputs)
        if known is not None:
            self._held.pop(key, None)
            value = known[1] if known[1] == value else value
        self._held[key] = (inputs, value)
        while len(self._held) > self._most:
            self._held.pop(next(iter(self._held)), None)
        return value
