"""A copy of a store that belongs to another process: what it commits is brought here, what is written here goes there.

The first message of the owner is the whole store; each later one is a commit. A write made here is read here once it
returns, as with every store. How messages travel is not known here.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Self

from plait.store.ledger import HISTORY
from plait.store.memory import MemoryStore
from plait.store.store import Change, Document, Listing, ObjectKey, Write

Message = Mapping[str, Any]
Forward = Callable[[Message], Awaitable[Message]]
"""Hands a commit (`commit_message`) to the owner and brings its answer (`answer_message`)."""


class FollowedStore(MemoryStore):
    """A configuration store that another process owns."""

    @classmethod
    def begin(cls, message: Message, forward: Forward, *, history: int = HISTORY) -> Self:
        """A copy from the owner's first message (`whole_message`)."""
        pairs = [(_key(item["key"]), item["document"]) for item in message["objects"]]
        store = cls(pairs, revision=int(message["revision"]), history=history)
        store._forward = forward
        return store

    _forward: Forward

    async def commit(self, writes: Sequence[Write]) -> tuple[Document, ...]:
        """Have the owner write all or nothing; returns once the writes have come back."""
        answer = await self._forward(commit_message(writes))
        await self.caught_up(int(answer["revision"]))
        return tuple(answer["documents"])

    def take(self, message: Message) -> None:
        """Make a commit of the owner (`changes_message`) visible."""
        changes: list[Change] = []
        before: dict[ObjectKey, Document | None] = {}
        for item in message["changes"]:
            key = _key(item["key"])
            old = before[key] if key in before else self._ledger.get(key)
            changes.append(
                Change(
                    type=item["type"], key=key, document=item["document"], revision=int(item["revision"]), before=old
                )
            )
            before[key] = None if item["type"] == "DELETED" else item["document"]
        self._publish(tuple(changes))

    async def caught_up(self, revision: int) -> None:
        """Return once that revision has come."""
        while self.revision < revision:
            await self._bell.wait()


def whole_message(listing: Listing, key_of: Callable[[Document], ObjectKey]) -> Message:
    """Everything that a store holds."""
    objects = [{"key": _spell(key_of(document)), "document": document} for document in listing.items]
    return {"revision": listing.revision, "objects": objects}


def changes_message(changes: Sequence[Change]) -> Message:
    """One commit."""
    return {
        "changes": [
            {
                "type": change.type,
                "key": _spell(change.key),
                "document": change.document,
                "revision": change.revision,
            }
            for change in changes
        ]
    }


def commit_message(writes: Sequence[Write]) -> Message:
    """Writes that the owner is asked to make."""
    return {
        "writes": [
            {"key": _spell(write.key), "document": write.document, "expected": write.expected} for write in writes
        ]
    }


def writes_of(message: Message) -> tuple[Write, ...]:
    """The writes of a `commit_message`."""
    return tuple(
        Write(key=_key(item["key"]), document=item["document"], expected=item["expected"]) for item in message["writes"]
    )


def answer_message(documents: Sequence[Document], revision: int) -> Message:
    """What was written, and the revision by which all of it is visible."""
    return {"documents": list(documents), "revision": revision}


def _spell(key: ObjectKey) -> list[str]:
    return [key.group, key.kind, key.namespace, key.name]


def _key(words: Sequence[str]) -> ObjectKey:
    group, kind, namespace, name = words
    return ObjectKey(group=group, kind=kind, namespace=namespace, name=name)
