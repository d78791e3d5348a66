"""A copy of a store that another process owns, with the way between them as JSON but in this process."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from plait.store import followed
from plait.store.store import Document, ObjectKey, Store


def key_of(document: Document) -> ObjectKey:
    """The key of a document of `tests.store.documents`."""
    metadata = document["metadata"]
    return ObjectKey(group="", kind=document["kind"], namespace=metadata["namespace"], name=metadata["name"])


def carried(message: Any) -> Any:
    """What becomes of a message on its way."""
    return json.loads(json.dumps(message))


@asynccontextmanager
async def follower(owner: Store, *, history: int = 100) -> AsyncGenerator[followed.FollowedStore]:
    """A copy that follows its owner meanwhile."""

    async def forward(message: followed.Message) -> followed.Message:
        documents = await owner.commit(followed.writes_of(carried(message)))
        return carried(followed.answer_message(documents, owner.revision))

    listing = await owner.list()
    store = followed.FollowedStore.begin(carried(followed.whole_message(listing, key_of)), forward, history=history)

    async def follow() -> None:
        async for changes in owner.watch(listing.revision):
            store.take(carried(followed.changes_message(changes)))

    following = asyncio.create_task(follow())
    try:
        yield store
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
