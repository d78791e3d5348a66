"""The state behind a store, without I/O: the objects, their recent history and the rules of a commit.

`plan` checks a set of writes against the objects and answers the changes that they make, without making them;
`apply` makes them. A durable store writes the planned changes to disk between the two, so that what readers
see is never ahead of the disk. Every change takes the next revision. The history is bounded: a reader whose
revision has left it must list again (GoneError), so that a slow watcher costs nothing.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Literal

from plait.errors import ConflictError, GoneError, NotFoundError
from plait.store.store import Change, Document, Listing, ObjectKey, Write

HISTORY = 10_000
"""How many changes are kept for watchers."""


class Ledger:
    """All objects at the newest revision and the last commits."""

    def __init__(
        self, objects: Iterable[tuple[ObjectKey, Document]] = (), *, revision: int = 0, history: int = HISTORY
    ) -> None:
        self._kinds: dict[tuple[str, str], dict[ObjectKey, Document]] = {}
        self._commits: list[tuple[Change, ...]] = []
        self._lasts: list[int] = []
        self._kept = 0
        self._limit = history
        self._oldest = revision
        self.revision = revision
        for key, document in objects:
            self._put(key, document)

    def get(self, key: ObjectKey) -> Document | None:
        """The object, or None."""
        return self._kinds.get((key.group, key.kind), {}).get(key)

    def list(self, *, group: str | None, kind: str | None, namespace: str | None) -> Listing:
        """The objects of that group, kind and namespace in the order of their keys."""
        if group is not None and kind is not None:
            chosen = [self._kinds.get((group, kind), {})]
        else:
            chosen = [
                objects
                for (its_group, its_kind), objects in self._kinds.items()
                if group in (None, its_group) and kind in (None, its_kind)
            ]
        found = [pair for objects in chosen for pair in objects.items() if namespace in (None, pair[0].namespace)]
        found.sort(key=lambda pair: pair[0])
        return Listing(items=tuple(document for _, document in found), revision=self.revision)

    def items(self) -> Sequence[tuple[ObjectKey, Document]]:
        """Every object with its key."""
        return [pair for objects in self._kinds.values() for pair in objects.items()]

    def plan(self, writes: Sequence[Write]) -> tuple[Change, ...]:
        """The changes that the writes make, in order; a later write of the same key sees the earlier one."""
        changes: list[Change] = []
        pending: dict[ObjectKey, Document | None] = {}
        for revision, write in enumerate(writes, start=self.revision + 1):
            old = pending[write.key] if write.key in pending else self.get(write.key)
            _check(write, old)
            changes.append(_change(write, old, revision))
            pending[write.key] = None if write.document is None else changes[-1].document
        return tuple(changes)

    def apply(self, changes: tuple[Change, ...]) -> None:
        """Make planned changes visible."""
        if not changes:
            return
        for change in changes:
            if change.type == "DELETED":
                del self._kinds[change.key.group, change.key.kind][change.key]
            else:
                self._put(change.key, change.document)
        self.revision = changes[-1].revision
        self._remember(changes)

    def after(self, revision: int) -> Sequence[tuple[Change, ...]]:
        """The commits after a revision; a commit that the revision is inside of is cut."""
        if revision < self._oldest or revision > self.revision:
            raise GoneError(
                f"the changes after revision {revision} are not kept (from {self._oldest} to {self.revision})",
                "list again and watch from the revision of that list",
            )
        first = bisect_right(self._lasts, revision)
        commits = self._commits[first:]
        if commits and commits[0][0].revision <= revision:
            commits[0] = tuple(change for change in commits[0] if change.revision > revision)
        return commits

    def _put(self, key: ObjectKey, document: Document) -> None:
        self._kinds.setdefault((key.group, key.kind), {})[key] = document

    def _remember(self, changes: tuple[Change, ...]) -> None:
        self._commits.append(changes)
        self._lasts.append(changes[-1].revision)
        self._kept += len(changes)
        dropped = 0
        while self._kept > self._limit and dropped < len(self._commits) - 1:
            self._oldest = self._lasts[dropped]
            self._kept -= len(self._commits[dropped])
            dropped += 1
        if dropped:
            del self._commits[:dropped], self._lasts[:dropped]


def _check(write: Write, old: Document | None) -> None:
    if write.expected is None:
        return
    current = 0 if old is None else int(old["metadata"]["resourceVersion"])
    if current == write.expected:
        return
    if write.expected == 0:
        raise ConflictError(f"{_spell(write.key)} exists already")
    raise ConflictError(
        f"{_spell(write.key)} was changed since revision {write.expected} (it is now {current or 'deleted'})",
        "read it again and repeat the change",
    )


def _change(write: Write, old: Document | None, revision: int) -> Change:
    if write.document is None:
        if old is None:
            raise NotFoundError(f"{_spell(write.key)} does not exist")
        return Change(type="DELETED", key=write.key, document=old, revision=revision, before=old)
    metadata = {**write.document.get("metadata", {}), "resourceVersion": str(revision)}
    document = {**write.document, "metadata": metadata}
    kind: Literal["ADDED", "MODIFIED"] = "ADDED" if old is None else "MODIFIED"
    return Change(type=kind, key=write.key, document=document, revision=revision, before=old)


def _spell(key: ObjectKey) -> str:
    return f"{key.kind} {key.namespace + '/' if key.namespace else ''}{key.name}"
