"""A store in etcd, shared by several control processes.

Every control holds all objects in memory, as with the other stores, and follows etcd by one watch: reading waits for
nobody. A commit is planned in memory and made by one transaction, which compares each object with the revision that
the plan was made from; it is answered once the watch has brought it, so who wrote reads what was written. A plan that
turns out to be old is made again from the newer state. The revision of a write is etcd's revision, which the writes
of one commit share.

A commit leaves a mark under its writer's name. If an answer is lost the mark tells whether the commit was made: it is
made once, or it is said that nobody knows. The newest mark also tells how far the store has got.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from plait.aio.backoff import backoff
from plait.errors import (
    ConflictError,
    DeadlineError,
    GoneError,
    NotFoundError,
    PlaitError,
    StorageError,
    UnreachableError,
)
from plait.store import sqlite
from plait.store.claims import Claims, Unique, no_claims
from plait.store.etcd_changes import became, difference
from plait.store.etcd_client import EtcdClient, UnknownOutcomeError
from plait.store.etcd_keys import Keys, newest
from plait.store.etcd_messages import DELETE, MOD, after
from plait.store.etcd_transaction import Step, transaction
from plait.store.ledger import HISTORY
from plait.store.memory import MemoryStore
from plait.store.store import Change, Document, Summary, Write

log = logging.getLogger(__name__)

_ATTEMPTS: Final = 30
_SENT: Final = 3
"""How often a transaction is sent whose answer is lost."""
_BROUGHT_WITHIN: Final = 5.0
_DESCENDING: Final = 2


class EtcdStore(MemoryStore):
    """A configuration store in etcd. `owner` names this writer: it must be its alone."""

    def __init__(
        self,
        client: EtcdClient,
        pairs: Sequence[Any],
        *,
        keys: Keys,
        owner: str,
        unique: Unique = no_claims,
        history: int = HISTORY,
    ) -> None:
        """`pairs` are all keys and values as of one revision."""
        self._claims = Claims(unique)
        super().__init__(keys.objects(pairs), revision=newest(pairs), history=history)
        self.observers: list[Callable[[Change], object]] = [self._claims.observe]
        """Called for each change, before anybody can read it."""
        for key, document in self._ledger.items():
            self._claims.hold(key, document)
        self._client = client
        self._keys = keys
        self._mark = keys.mark(owner)
        self._position = self.revision
        self._order = asyncio.Lock()
        self._following: asyncio.Task[None] | None = None
        self.connected = True
        """Whether changes of others are heard of."""
        self._lost = False

    @classmethod
    async def open(
        cls, client: EtcdClient, *, keys: Keys, owner: str, unique: Unique = no_claims, history: int = HISTORY
    ) -> Self:
        """Read everything and begin to follow; UnreachableError when etcd does not answer.

        `unique` tells what no two objects may have in common, whoever writes them.
        """
        pairs, position = await client.read_all(keys.range)
        store = cls(client, pairs, keys=keys, owner=owner, unique=unique, history=history)
        store._position = position
        store._following = asyncio.create_task(store._follow(), name="etcd")
        return store

    async def commit(self, writes: Sequence[Write]) -> tuple[Document, ...]:
        """Write all or nothing; a caller that is cancelled does not stop a commit that has begun."""
        return await asyncio.shield(asyncio.ensure_future(self._commit(writes)))

    async def watch(
        self, since: int, *, group: str | None = None, kind: str | None = None
    ) -> AsyncIterator[Sequence[Change]]:
        """As of every store; a revision that another control has told of already is waited for."""
        if since > self.revision:
            since = await self._caught_up(since)
        async for batch in super().watch(since, group=group, kind=kind):
            yield batch

    async def copy_to(self, target: Path) -> None:
        """Write a copy as of one commit to a new file, as an SQLite store; raises StorageError if it cannot."""
        objects, revision = self._ledger.items(), self.revision
        await asyncio.to_thread(sqlite.write_new, target, objects, revision)

    async def summary(self) -> Summary:
        """What is held, and whether etcd is heard of."""
        problems = () if self.connected else (f"{self._client} cannot be reached: nothing can be changed",)
        problems = (str(self._loss()),) if self._lost else problems
        return Summary(revision=self.revision, objects=len(self._ledger.items()), problems=problems, shared=True)

    async def close(self) -> None:
        """Stop following; a commit under way is finished first. The client stays open."""
        async with self._order:
            if self._following is not None:
                self._following.cancel()
                await asyncio.gather(self._following, return_exceptions=True)

    # writing

    async def _commit(self, writes: Sequence[Write]) -> tuple[Document, ...]:
        if not writes:
            return ()
        async with self._order:
            if self._lost:
                raise self._loss()
            for _ in range(_ATTEMPTS):
                changes = await self._planned(writes)
                revision = await self._make(changes)
                if revision:
                    await self._brought(revision)
                    return tuple(_stamped(change.document, change.type, revision) for change in changes)
                await self._agree()
        raise ConflictError("the store is being changed all the time", "try again")

    async def _planned(self, writes: Sequence[Write]) -> tuple[Change, ...]:
        """The changes as they follow from the newest state; what is refused by an older one is looked at again."""
        try:
            return self._claims.checked(self._ledger.plan(writes))
        except (ConflictError, NotFoundError):
            await self._agree()
            return self._claims.checked(self._ledger.plan(writes))

    async def _make(self, changes: Sequence[Change]) -> int:
        """Make the changes in one transaction: its revision, or 0 when they follow from an older state."""
        steps = self._steps(changes)
        if not steps:
            return self.revision
        mark = secrets.token_bytes(12)
        whole = (self._keys.range, self.revision)
        request = transaction(steps, (self._mark, mark), whole=whole, alone=self._claims.grow(changes))
        for sent in range(_SENT):
            try:
                answer = await self._client.send("TxnRequest", request, again=False)
            except UnknownOutcomeError:
                if revision := await self._marked(mark):
                    return revision
                continue
            if answer.succeeded:
                return int(answer.header.revision)
            return await self._marked(mark) if sent else 0
        raise _unknown(self._client)

    def _steps(self, changes: Sequence[Change]) -> list[Step]:
        """What becomes of each key in the end: a transaction writes a key once."""
        last = {change.key: change for change in changes}
        steps: list[Step] = []
        for key, change in last.items():
            old = self._ledger.get(key)
            value = None if change.type == "DELETED" else self._keys.value(key, change.document)
            if old is not None or value is not None:
                expected = int(old["metadata"]["resourceVersion"]) if old is not None else 0
                steps.append(Step(key=self._keys.encode(key), value=value, expected=expected))
        return steps

    async def _marked(self, mark: bytes) -> int:
        """The revision of the commit with that mark; 0 if it was not made."""
        try:
            answer = await self._client.call("RangeRequest", key=self._mark)
        except UnreachableError as error:
            raise _unknown(self._client) from error
        return next((int(pair.mod_revision) for pair in answer.kvs if bytes(pair.value) == mark), 0)

    # following

    async def _agree(self) -> int:
        """Return when this process has heard of everything that was committed by now; etcd's revision then."""
        answer = await self._client.call(
            "RangeRequest",
            key=self._keys.range,
            range_end=after(self._keys.range),
            limit=1,
            keys_only=True,
            sort_order=_DESCENDING,
            sort_target=MOD,
        )
        await self._brought(newest(answer.kvs))
        return int(answer.header.revision)

    async def _brought(self, revision: int) -> None:
        """Return when the watch has brought a revision; also when it takes too long, for that is no failure."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_BROUGHT_WITHIN):
                while self.revision < revision:
                    await self._bell.wait()

    async def _caught_up(self, since: int) -> int:
        """From where to watch after a revision that is not known here yet; GoneError if etcd has not got that far."""
        try:
            reached = await self._agree()
        except UnreachableError as error:
            raise DeadlineError(f"revision {since} is not known here, and {error.problem}", error.remedy) from error
        if since > reached:
            raise GoneError(f"revision {since} is not reached yet (the store is at {reached})", "list again")
        return min(since, self.revision)

    async def _follow(self) -> None:
        pauses = backoff()
        while True:
            try:
                async for answer in self._client.watch(self._keys.range, self._position):
                    if answer.created:
                        if answer.header.revision < self._position:
                            self._lost = True
                            return log.error("%s", self._loss())
                        self._heard(True)
                        pauses = backoff()
                    self._take(answer.events)
            except GoneError:
                await self._read_again()
                continue
            except UnreachableError as error:
                self._heard(False, error)
                self._client.turn()
            except PlaitError as error:
                log.warning("a change in the store cannot be read: %s", error)
                self._heard(False, error)
            await asyncio.sleep(next(pauses))

    def _loss(self) -> StorageError:
        return StorageError(
            f"{self._client} is at an older revision than this control has seen: it was restored, or emptied",
            "restart the controls to go on from what etcd holds now; until then they serve what they know",
        )

    def _publish(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            for observer in self.observers:
                observer(change)
        super()._publish(changes)

    def _heard(self, connected: bool, error: PlaitError | None = None) -> None:
        if connected != self.connected:
            log.log(logging.INFO if connected else logging.WARNING, "the store is %s", error or "heard of again")
        self.connected = connected

    def _take(self, events: Iterable[Any]) -> None:
        commits: dict[int, list[Change]] = {}
        for event in events:
            revision = int(event.kv.mod_revision)
            self._position = max(self._position, revision)
            key = self._keys.decode(event.kv.key)
            if key is not None and revision > self.revision:
                document = None if event.type == DELETE else self._keys.document(event.kv)
                commits.setdefault(revision, []).extend(became(self._ledger, key, document, revision))
        for revision in sorted(commits):
            self._publish(tuple(commits[revision]))

    async def _read_again(self) -> None:
        """Take what became of everything when the changes between are lost: watchers are told the difference."""
        with suppress(UnreachableError):
            pairs, self._position = await self._client.read_all(self._keys.range)
            found = self._keys.objects(pairs)
            self._publish(difference(self._ledger, found, self.revision, newest(pairs)))


def _stamped(document: Document, kind: str, revision: int) -> Document:
    if kind == "DELETED":
        return document
    return {**document, "metadata": {**document["metadata"], "resourceVersion": str(revision)}}


def _unknown(client: EtcdClient) -> UnreachableError:
    return UnreachableError(
        f"{client} does not answer; whether the change was made is not known", "look again when etcd is back"
    )
