"""Reverse indexes: who refers to a key, and who is selected by labels.

`References` answers "which owners name this key" (routes by backend, gateways by Secret, ...). `Labelled` finds the
objects of a namespace that carry given labels, starting from the rarest label; `Selectors` is its inverse. Both ways
cost what the answer costs, not what the mesh holds, so one changed endpoint never looks at the other ten thousand.
"""

from collections.abc import Hashable, Iterable, MutableMapping
from typing import Generic, TypeVar

from plait.model.services import Labels

Owner = TypeVar("Owner", bound=Hashable)
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


def put_value(mapping: MutableMapping[Key, Value], key: Key, value: Value | None) -> bool:
    """Set or remove (None) the value of a key; whether that changed anything."""
    if mapping.get(key) == value:
        return False
    if value is None:
        del mapping[key]
    else:
        mapping[key] = value
    return True


class References(Generic[Owner, Key]):
    """Owners and the keys they name, looked up by key."""

    __slots__ = ("_keys", "_owners")

    def __init__(self) -> None:
        self._keys: dict[Owner, frozenset[Key]] = {}
        self._owners: dict[Key, set[Owner]] = {}

    def put(self, owner: Owner, keys: Iterable[Key]) -> None:
        """Set the keys that the owner names; none forgets the owner."""
        new = frozenset(keys)
        old = self._keys.get(owner, frozenset[Key]())
        if new == old:
            return
        for key in old - new:
            owners = self._owners[key]
            owners.discard(owner)
            if not owners:
                del self._owners[key]
        for key in new - old:
            self._owners.setdefault(key, set()).add(owner)
        if new:
            self._keys[owner] = new
        else:
            self._keys.pop(owner, None)

    def keys(self, owner: Owner) -> frozenset[Key]:
        """The keys that the owner names."""
        return self._keys.get(owner, frozenset())

    def owners(self, key: Key) -> Iterable[Owner]:
        """The owners that name the key, in no order."""
        return self._owners.get(key, ())


class Labelled(Generic[Key]):
    """Objects by the labels they carry."""

    __slots__ = ("_by_label", "_labels")

    def __init__(self) -> None:
        self._labels: dict[Key, tuple[str, Labels]] = {}
        self._by_label: dict[tuple[str, str, str], set[Key]] = {}

    def put(self, key: Key, namespace: str, labels: Labels) -> None:
        """Set the labels of an object."""
        self.discard(key)
        self._labels[key] = namespace, labels
        for label, value in labels:
            self._by_label.setdefault((namespace, label, value), set()).add(key)

    def discard(self, key: Key) -> None:
        """Forget the object."""
        namespace, labels = self._labels.pop(key, ("", ()))
        for label, value in labels:
            carriers = self._by_label[namespace, label, value]
            carriers.discard(key)
            if not carriers:
                del self._by_label[namespace, label, value]

    def selected(self, namespace: str, selector: Labels) -> frozenset[Key]:
        """The objects of the namespace that carry all labels of the selector; an empty selector selects none."""
        sets = [self._by_label.get((namespace, label, value)) for label, value in selector]
        found = sorted((carriers for carriers in sets if carriers), key=len)
        if not found or len(found) < len(sets):
            return frozenset()
        return frozenset(found[0].intersection(*found[1:]))


class Selectors(Generic[Key]):
    """Objects that select by labels, found by the labels they select."""

    __slots__ = ("_by_first", "_selectors")

    def __init__(self) -> None:
        self._selectors: dict[Key, tuple[str, Labels]] = {}
        self._by_first: dict[tuple[str, str, str], set[Key]] = {}

    def put(self, key: Key, namespace: str, selector: Labels) -> None:
        """Set what the object selects; an empty selector selects nothing."""
        self.discard(key)
        if selector:
            self._selectors[key] = namespace, selector
            self._by_first.setdefault((namespace, *selector[0]), set()).add(key)

    def discard(self, key: Key) -> None:
        """Forget the object."""
        namespace, selector = self._selectors.pop(key, ("", ()))
        if selector:
            bucket = self._by_first[namespace, *selector[0]]
            bucket.discard(key)
            if not bucket:
                del self._by_first[namespace, *selector[0]]

    def selecting(self, namespace: str, labels: Labels) -> frozenset[Key]:
        """The objects whose selector these labels satisfy."""
        carried = frozenset(labels)
        return frozenset(
            key
            for label in labels
            for key in self._by_first.get((namespace, *label), ())
            if carried.issuperset(self._selectors[key][1])
        )
