"""What no two objects of a store may have in common, such as a service's address, when several processes write it.

Who writes chooses what is free as far as it has heard; here it is looked at again when the write is planned, and a
write that takes something new is made only if nobody has written since.
"""

from collections.abc import Callable, Iterable, Sequence

from plait.errors import ConflictError
from plait.store.store import Change, Document, ObjectKey

Unique = Callable[[Document], Iterable[str]]
"""What an object takes for itself."""


def no_claims(_document: Document) -> Iterable[str]:
    """Nothing."""
    return ()


class Claims:
    """Who has what."""

    def __init__(self, unique: Unique) -> None:
        self._unique = unique
        self._holders: dict[str, ObjectKey] = {}

    def hold(self, key: ObjectKey, document: Document) -> None:
        """Note what an object has."""
        self._holders |= dict.fromkeys(self._unique(document), key)

    def observe(self, change: Change) -> None:
        """Follow a change."""
        for claim in self._unique(change.before) if change.before is not None else ():
            if self._holders.get(claim) == change.key:
                del self._holders[claim]
        if change.type != "DELETED":
            self.hold(change.key, change.document)

    def checked(self, changes: tuple[Change, ...]) -> tuple[Change, ...]:
        """The changes; ConflictError if one takes what another object has and keeps."""
        leaving = {change.key for change in changes if change.type == "DELETED"}
        for change in changes:
            for claim in self._new(change):
                holder = self._holders.get(claim)
                if holder is not None and holder != change.key and holder not in leaving:
                    raise ConflictError(
                        f"{claim} belongs to {holder.kind} {holder.namespace}/{holder.name} by now", "try again"
                    )
        return changes

    def grow(self, changes: Sequence[Change]) -> bool:
        """Whether the changes take anything new."""
        return any(True for change in changes for _ in self._new(change))

    def _new(self, change: Change) -> set[str]:
        if change.type == "DELETED":
            return set()
        before = set(self._unique(change.before)) if change.before is not None else set[str]()
        return set(self._unique(change.document)) - before
