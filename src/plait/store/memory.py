"""A store in memory: the ledger and a bell that wakes its watchers.

A watcher holds only the revision it has reached and reads the ledger's history from there, so that no queue
grows behind a slow one. `SqliteStore` builds on this class and puts the disk between planning and applying.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

from plait.store.ledger import HISTORY, Ledger
from plait.store.store import Change, Document, Listing, ObjectKey, Write


class MemoryStore:
    """A configuration store that lasts as long as its process."""

    def __init__(
        self, objects: Iterable[tuple[ObjectKey, Document]] = (), *, revision: int = 0, history: int = HISTORY
    ) -> None:
        self._ledger = Ledger(objects, revision=revision, history=history)
        self._bell = asyncio.Event()

    @property
    def revision(self) -> int:
        """The newest revision."""
        return self._ledger.revision

    async def get(self, key: ObjectKey) -> Document | None:
        """The object, or None."""
        return self._ledger.get(key)

    async def list(self, *, group: str | None = None, kind: str | None = None, namespace: str | None = None) -> Listing:
        """All objects of that group, kind and namespace (None: every one), ordered by key."""
        return self._ledger.list(group=group, kind=kind, namespace=namespace)

    async def commit(self, writes: Sequence[Write]) -> tuple[Document, ...]:
        """Write all or nothing; returns the documents as stored (for a deletion, the last state)."""
        changes = self._ledger.plan(writes)
        self._publish(changes)
        return tuple(change.document for change in changes)

    async def watch(
        self, since: int, *, group: str | None = None, kind: str | None = None
    ) -> AsyncIterator[Sequence[Change]]:
        """Batches of changes after revision `since`, one batch a commit, for ever."""
        position = since
        while True:
            bell = self._bell
            for commit in self._ledger.after(position):
                position = commit[-1].revision
                batch = tuple(
                    change for change in commit if group in (None, change.key.group) and kind in (None, change.key.kind)
                )
                if batch:
                    yield batch
            await bell.wait()

    async def close(self) -> None:
        """Nothing to release."""

    def _publish(self, changes: tuple[Change, ...]) -> None:
        if not changes:
            return
        self._ledger.apply(changes)
        self._bell.set()
        self._bell = asyncio.Event()
