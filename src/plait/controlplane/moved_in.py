"""A single control that gets company: its objects move from the SQLite store into the one that is shared.

They come in several commits, the mark that every mesh is seeded with last. If control dies before that, the next start
begins again. Afterwards the file is out of the way, for it would only grow old.
"""

import asyncio
import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from plait.controlplane.seed import MARK
from plait.store import sqlite
from plait.store.store import Document, ObjectKey, Store, Write

log = logging.getLogger(__name__)

_BYTES: Final = 500_000
"""In one commit; etcd takes a request of 1.5 MB."""
_WRITES: Final = 500


async def moved_in(store: Store, database: Path) -> None:
    """Move the objects of that file into the store, unless it holds a mesh already."""
    if await asyncio.to_thread(database.exists):
        await _move(store, database)


async def _move(store: Store, database: Path) -> None:
    if await store.get(MARK) is None:
        objects = await asyncio.to_thread(sqlite.objects, database)
        objects.sort(key=lambda pair: pair[0] == MARK)
        for part in _parts(objects):
            await store.commit([Write(key=key, document=document) for key, document in part])
        log.info("%d objects of %s are in the shared store now", len(objects), database)
    await asyncio.to_thread(_put_aside, database)


def _put_aside(database: Path) -> None:
    for path in database.parent.glob(f"{database.name}*"):
        if not path.name.startswith(f"{database.name}.moved"):
            path.replace(path.with_name(path.name.replace(database.name, f"{database.name}.moved")))


def _parts(objects: Iterable[tuple[ObjectKey, Document]]) -> Iterator[list[tuple[ObjectKey, Document]]]:
    part, size = list[tuple[ObjectKey, Document]](), 0
    for key, document in objects:
        length = len(json.dumps(document))
        if part and (size + length > _BYTES or len(part) >= _WRITES):
            yield part
            part, size = [], 0
        part.append((key, document))
        size += length
    if part:
        yield part
