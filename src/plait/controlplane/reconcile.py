"""Follows the store: every change goes into the snapshot, from there to the proxies, and statuses go back.

Changes that arrive together are taken together: after the first, the reconciler waits until nothing has come for
`QUIET` seconds, at most `LONGEST`. What cannot be parsed is left out as it would be refused at the API; it keeps
nothing else from being built.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

from plait.controlplane.admission import Admission
from plait.controlplane.objects import Objects
from plait.controlplane.publisher import Publisher
from plait.controlplane.seed import object_of
from plait.controlplane.statuses import StatusWriter
from plait.errors import GoneError
from plait.resources.parse import Resource, parse
from plait.snapshot.build import Builder
from plait.store.store import Change, Document, ObjectKey, Store

log = logging.getLogger(__name__)

QUIET = 0.005
LONGEST = 0.05

Deletion = tuple[str, str, str, str]
"""Group, kind, namespace and name."""


def resource_of(value: Document) -> Resource | None:
    """The typed resource of a stored document, None if it does not parse."""
    parsed = parse(value)
    if isinstance(parsed, Resource):
        return parsed
    metadata = value.get("metadata", {})
    log.warning("stored %s %s does not parse: %s", value.get("kind"), metadata.get("name"), parsed[0])
    return None


class Reconciler:
    """Keeps snapshot, proxies and statuses current."""

    def __init__(
        self,
        objects: Objects,
        admission: Admission,
        builder: Builder,
        publisher: Publisher,
        *,
        gone: Callable[[str], None],
        statuses: StatusWriter,
    ) -> None:
        """`gone` is told of the proxies of workloads that exist no longer."""
        self._objects = objects
        self._admission = admission
        self._builder = builder
        self._publisher = publisher
        self._statuses = statuses
        self._gone = gone
        self._known: dict[ObjectKey, Document] = {}
        self._revision = 0
        self._moved = asyncio.Condition()
        self.build_seconds = 0.0
        """CPU spent on parsing changes and building from them."""

    @property
    def revision(self) -> int:
        """The newest revision that proxies were brought to."""
        return self._revision

    async def start(self) -> None:
        """Take the whole store."""
        await self._relist()

    async def run(self) -> None:
        """Follow the store for ever."""
        while True:
            try:
                async for changes in _batches(self._objects.store, self._revision):
                    await self._take(changes)
            except GoneError:
                log.warning("changes were lost; reading the whole store again")
                await self._relist()

    async def reached(self, revision: int) -> None:
        """Return once that revision is in the snapshot."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._revision >= revision)

    async def _relist(self) -> None:
        listing = await self._objects.store.list()
        changes: list[Change] = []
        for value in listing.items:
            revision = int(value["metadata"]["resourceVersion"])
            key = self._objects.key_of(value)
            changes.append(Change(type="ADDED", key=key, document=value, revision=revision))
        there = {change.key for change in changes}
        for key, value in self._known.items():
            if key not in there:
                changes.append(Change(type="DELETED", key=key, document=value, revision=listing.revision))
        await self._take(changes, revision=listing.revision)

    async def _take(self, changes: Sequence[Change], revision: int = 0) -> None:
        upserts: dict[Deletion, Resource] = {}
        deletes: set[Deletion] = set()
        began = time.thread_time()
        for change in changes:
            self._admission.observe(change)
            self._note(change)
            key = (change.key.group, change.key.kind, change.key.namespace, change.key.name)
            upserts.pop(key, None)
            deletes.discard(key)
            resource = resource_of(change.document) if change.type != "DELETED" else None
            if resource is None:
                deletes.add(key)
            else:
                upserts[key] = resource
        built = self._builder.update(list(upserts.values()), list(deletes))
        newest = max([self._revision, revision, *(change.revision for change in changes)])
        self._publisher.update(built.snapshot, built.touched, revision=newest)
        self.build_seconds += time.thread_time() - began
        for workload in built.touched.workloads - built.snapshot.workloads.keys():
            self._gone(str(workload))
        async with self._moved:
            self._revision = newest
            self._moved.notify_all()
        gone = [change.key for change in changes if change.type == "DELETED"]
        await self._statuses.take(built.statuses, gone)
        await self._complete_namespaces(changes)

    def _note(self, change: Change) -> None:
        if change.type == "DELETED":
            self._known.pop(change.key, None)
        else:
            self._known[change.key] = change.document

    async def _complete_namespaces(self, changes: Sequence[Change]) -> None:
        """Every namespace has the account `default`."""
        for change in changes:
            if change.key.kind == "Namespace" and change.key.group == "" and change.type == "ADDED":
                await self._objects.ensure(object_of("v1", "ServiceAccount", "default", change.key.name))


async def _batches(store: Store, since: int) -> AsyncIterator[list[Change]]:
    """Changes, those that arrive together in one list."""
    queue: asyncio.Queue[Sequence[Change] | BaseException] = asyncio.Queue()

    async def feed() -> None:
        try:
            async for changes in store.watch(since):
                queue.put_nowait(changes)
        except GoneError as error:
            queue.put_nowait(error)

    task = asyncio.create_task(feed())
    try:
        while True:
            yield await gather(queue)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def gather(queue: "asyncio.Queue[Sequence[Change] | BaseException]") -> list[Change]:
    """The changes that arrive together; the first of them waits `LONGEST` seconds at most, whatever follows it."""
    found: list[Change] = []
    loop = asyncio.get_running_loop()
    until = 0.0
    while True:
        try:
            if not found:
                item = await queue.get()
                until = loop.time() + LONGEST
            else:
                async with asyncio.timeout(min(QUIET, until - loop.time())):
                    item = await queue.get()
        except TimeoutError:
            return found
        if isinstance(item, BaseException):
            raise item
        found.extend(item)
        if loop.time() >= until:
            return found
