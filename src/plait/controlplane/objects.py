"""Reading and writing objects the way the API does: metadata completed, conflicts retried."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from plait.errors import ConflictError, NotFoundError
from plait.store.store import Document, ObjectKey, Store, Write

Finish = Callable[[Mapping[str, Any], Document | None], dict[str, Any]]
"""Completes a document for storage: metadata as the API writes it, and admission's defaults."""


def group_of(api_version: str) -> str:
    """The API group of an apiVersion, empty for the core group."""
    return api_version.rpartition("/")[0]


class Objects:
    """The store, with documents completed by the same rules as through the API."""

    def __init__(self, store: Store, finish: Finish) -> None:
        self.store = store
        self._finish = finish

    @staticmethod
    def key(group: str, kind: str, namespace: str, name: str) -> ObjectKey:
        """The store's key."""
        return ObjectKey(group=group, kind=kind, namespace=namespace, name=name)

    @staticmethod
    def key_of(value: Mapping[str, Any]) -> ObjectKey:
        """The store's key of a document."""
        metadata = value["metadata"]
        return ObjectKey(
            group=group_of(value["apiVersion"]),
            kind=value["kind"],
            namespace=metadata.get("namespace", ""),
            name=metadata["name"],
        )

    async def get(self, key: ObjectKey) -> Document | None:
        """The object, or None."""
        return await self.store.get(key)

    async def put(self, value: Mapping[str, Any]) -> Document:
        """Create or replace an object, whatever its revision."""
        key = self.key_of(value)
        while True:
            old = await self.store.get(key)
            expected = int(old["metadata"]["resourceVersion"]) if old else 0
            try:
                stored = await self.store.commit([Write(key=key, document=self._finish(value, old), expected=expected)])
            except ConflictError:
                continue
            return stored[0]

    async def commit(self, write: Write) -> Document:
        """One write that must meet its expectation; raises ConflictError if it does not."""
        old = await self.store.get(write.key)
        finished = self._finish(write.document, old) if write.document is not None else None
        return (await self.store.commit([Write(key=write.key, document=finished, expected=write.expected)]))[0]

    async def ensure(self, value: Mapping[str, Any]) -> None:
        """Create an object unless it exists."""
        key = self.key_of(value)
        while await self.store.get(key) is None:
            with suppress(ConflictError):
                await self.store.commit([Write(key=key, document=self._finish(value, None), expected=0)])

    async def patch_status(self, key: ObjectKey, change: Callable[[Document], dict[str, Any] | None]) -> bool:
        """Change only an object's status; `change` returns the new status or None for no change."""
        while True:
            old = await self.store.get(key)
            status = change(old) if old is not None else None
            if old is None or status is None:
                return False
            expected = int(old["metadata"]["resourceVersion"])
            try:
                await self.store.commit([Write(key=key, document={**old, "status": status}, expected=expected)])
            except ConflictError:
                continue
            return True

    async def delete(self, key: ObjectKey) -> None:
        """Delete an object; one that is gone already is fine."""
        try:
            await self.store.commit([Write(key=key, document=None)])
        except NotFoundError:
            return
