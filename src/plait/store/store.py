"""What every configuration store can do: list, watch from a revision, and write sets of objects atomically.

Objects are Kubernetes-shaped JSON documents. Each commit gets a higher revision than the one before, which is also the
`metadata.resourceVersion` of what it writes (as a decimal string); whether the writes of one commit share it depends on
the store. A commit is all or nothing and durable once it returns.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

Document = Mapping[str, Any]
"""A Kubernetes object as JSON. Never changed in place."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ObjectKey:
    """The key of a stored object; `namespace` is empty for cluster-scoped kinds, `group` for the core group."""

    group: str
    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One part of a commit. `document` None deletes. `expected` is the revision that the object must have now:
    None means any, 0 means that it must not exist."""

    key: ObjectKey
    document: Document | None
    expected: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change, in commit order. For DELETED, `document` is the last state; `before` is what it replaces."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    key: ObjectKey
    document: Document
    revision: int
    before: Document | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Objects as they stood at one revision."""

    items: tuple[Document, ...]
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a store holds, and what is wrong with it; `size` in bytes, 0 where it is `shared` and kept elsewhere."""

    revision: int
    objects: int
    problems: tuple[str, ...]
    size: int = 0
    shared: bool = False


class Store(Protocol):
    """A configuration store."""

    @property
    def revision(self) -> int:
        """The newest revision."""
        ...

    async def get(self, key: ObjectKey) -> Document | None:
        """The object, or None."""
        ...

    async def list(self, *, group: str | None = None, kind: str | None = None, namespace: str | None = None) -> Listing:
        """All objects of that group, kind and namespace (None: every one), ordered by key."""
        ...

    async def commit(self, writes: Sequence[Write]) -> tuple[Document, ...]:
        """Write all or nothing; returns the documents as stored (for a deletion, the last state).

        Raises ConflictError when an expectation does not hold and NotFoundError when what is to be deleted
        does not exist.
        """
        ...

    def watch(
        self, since: int, *, group: str | None = None, kind: str | None = None
    ) -> AsyncIterator[Sequence[Change]]:
        """Batches of changes after revision `since`, one batch a commit, for ever; GoneError if they are lost."""
        ...

    async def close(self) -> None:
        """Finish writing and release the store."""
        ...


class KeptStore(Store, Protocol):
    """A store that outlives its process."""

    async def copy_to(self, target: Path) -> None:
        """Write a copy as of one commit to a new file, as an SQLite store; raises StorageError if it cannot."""
        ...

    async def summary(self) -> Summary:
        """What it holds, and whether it is sound."""
        ...
