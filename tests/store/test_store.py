"""What every store promises; run against the one in memory, in a file, in etcd, and a copy of another process's."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from plait.errors import ConflictError, GoneError, NotFoundError
from plait.store.memory import MemoryStore
from plait.store.sqlite import SqliteStore
from plait.store.store import Change, Document, Store
from tests.store.documents import drop, key, put
from tests.store.etcd import Member, etcd, opened, prefix
from tests.store.followers import follower

Scenario = Callable[[Store], Awaitable[None]]
Run = Callable[[Scenario], None]


@pytest.fixture(scope="module")
def member() -> Iterator[Member]:
    with etcd() as started:
        yield started


@asynccontextmanager
async def _etcd_store(member: Member) -> AsyncGenerator[Store]:
    async with opened(member, prefix(), history=100) as store:
        yield store


@asynccontextmanager
async def _closing(store: Store) -> AsyncGenerator[Store]:
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def _followed_store() -> AsyncGenerator[Store]:
    async with follower(MemoryStore(history=100)) as store:
        yield store


@pytest.fixture(params=["memory", "sqlite", "followed", pytest.param("etcd", marks=pytest.mark.integration)])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Runs a scenario against a new store that keeps 100 changes."""

    member = request.getfixturevalue("member") if request.param == "etcd" else None

    def new() -> AbstractAsyncContextManager[Store]:
        if member:
            return _etcd_store(member)
        if request.param == "followed":
            return _followed_store()
        if request.param == "memory":
            return _closing(MemoryStore(history=100))
        return _closing(SqliteStore.open(tmp_path / "s", history=100))

    async def play(scenario: Scenario) -> None:
        async with new() as store:
            await scenario(store)

    return lambda scenario: asyncio.run(play(scenario))


def _revision(document: Document) -> int:
    return int(document["metadata"]["resourceVersion"])


async def _next(stream: AsyncIterator[Sequence[Change]]) -> list[tuple[str, str, int]]:
    batch = await asyncio.wait_for(anext(stream), 5)
    return [(change.type, change.key.name, change.revision) for change in batch]


async def _told(stream: AsyncIterator[Sequence[Change]]) -> list[tuple[str, str]]:
    return [(kind, name) for kind, name, _ in await _next(stream)]


def test_each_commit_takes_a_higher_revision(run: Run) -> None:
    """The revision of a write is the stored object's resourceVersion."""

    async def scenario(store: Store) -> None:
        first = await store.commit([put("a"), put("b")])
        second = await store.commit([put("a", x=1)])
        assert 0 < _revision(first[0]) <= _revision(first[1]) < _revision(second[0])
        assert await store.get(key("a")) == second[0]
        assert store.revision == _revision(second[0])

    run(scenario)


def test_a_missing_object_is_none(run: Run) -> None:
    """Getting what does not exist is no error."""

    async def scenario(store: Store) -> None:
        assert await store.get(key("a")) is None

    run(scenario)


def test_list_is_ordered_and_filtered(run: Run) -> None:
    """A list holds the asked kinds and namespaces in the order of their keys."""

    async def scenario(store: Store) -> None:
        await store.commit([put("b"), put("a"), put("c", namespace="shop"), put("s", kind="Secret")])
        names = [[d["metadata"]["name"] for d in (await store.list(**q)).items] for q in _QUERIES]
        assert names == [["s", "a", "b", "c"], ["a", "b", "c"], ["c"], [], ["s"]]
        assert (await store.list()).revision == store.revision

    run(scenario)


_QUERIES: list[dict[str, str]] = [
    {},
    {"group": "", "kind": "Service"},
    {"namespace": "shop"},
    {"group": "apps"},
    {"kind": "Secret"},
]


def test_a_commit_is_all_or_nothing(run: Run) -> None:
    """When one write of a set is refused, none is made."""

    async def scenario(store: Store) -> None:
        await store.commit([put("a")])
        before = store.revision
        with pytest.raises(ConflictError, match="default/a exists already"):
            await store.commit([put("b"), put("a", expected=0)])
        with pytest.raises(NotFoundError, match="Service default/c does not exist"):
            await store.commit([put("b"), drop("c")])
        assert await store.get(key("b")) is None
        assert store.revision == before

    run(scenario)


def test_an_expectation_must_hold(run: Run) -> None:
    """A write that expects an older revision is refused; one that expects the current one is made."""

    async def scenario(store: Store) -> None:
        first = _revision((await store.commit([put("a")]))[0])
        second = _revision((await store.commit([put("a", x=1, expected=first)]))[0])
        with pytest.raises(ConflictError, match=f"changed since revision {first}"):
            await store.commit([put("a", x=2, expected=first)])
        with pytest.raises(ConflictError, match="deleted"):
            await store.commit([drop("a"), put("a", x=2, expected=second)])

    run(scenario)


def test_later_writes_see_earlier_ones(run: Run) -> None:
    """One set may write, delete and write the same object again."""

    async def scenario(store: Store) -> None:
        stream = store.watch(0)
        stored = await store.commit([put("a", expected=0), drop("a"), put("a", expected=0, x=1)])
        assert (await _told(stream))[-1] == ("ADDED", "a")
        assert await store.get(key("a")) == stored[-1]
        await store.commit([put("b"), drop("b")])
        assert await store.get(key("b")) is None

    run(scenario)


def test_watch_tells_each_commit_as_a_batch(run: Run) -> None:
    """What was before is told first, then what comes, one batch a commit, only the asked kinds."""

    async def scenario(store: Store) -> None:
        await store.commit([put("a"), put("b"), put("s", kind="Secret")])
        stream = store.watch(0, group="", kind="Service")
        assert await _told(stream) == [("ADDED", "a"), ("ADDED", "b")]
        waiting = asyncio.ensure_future(_next(stream))
        await asyncio.sleep(0)
        await store.commit([put("t", kind="Secret")])
        (changed, _) = await store.commit([put("a", x=1), drop("b")])
        told = await waiting
        assert [(kind, name) for kind, name, _ in told] == [("MODIFIED", "a"), ("DELETED", "b")]
        assert told[0][2] == _revision(changed)
        assert told[-1][2] == store.revision

    run(scenario)


def test_watch_from_inside_a_commit(run: Run) -> None:
    """A watcher that saw half of a commit gets the other half."""

    async def scenario(store: Store) -> None:
        stored = await store.commit([put("a"), put("b"), put("c")])
        if _revision(stored[1]) < _revision(stored[2]):
            assert await _told(store.watch(_revision(stored[1]))) == [("ADDED", "c")]
        await store.commit([put("d")])
        assert await _told(store.watch(_revision(stored[2]))) == [("ADDED", "d")]

    run(scenario)


def test_many_watchers_see_the_same(run: Run) -> None:
    """Every watcher gets every change, however slowly it reads."""

    async def scenario(store: Store) -> None:
        streams = [store.watch(0) for _ in range(5)]
        for number in range(20):
            await store.commit([put("a", x=number)])
        seen = [[await _next(stream) for _ in range(20)] for stream in streams]
        assert all(one == seen[0] for one in seen)

    run(scenario)


def test_lost_history_is_gone(run: Run) -> None:
    """A revision that has left the history, or that never was, must be listed again."""

    async def scenario(store: Store) -> None:
        made = [_revision((await store.commit([put("a", x=number)]))[0]) for number in range(150)]
        for revision in (made[10], made[-1] + 1000):
            with pytest.raises(GoneError, match="list again"):
                await _next(store.watch(revision))
        assert await _next(store.watch(made[-2])) == [("MODIFIED", "a", made[-1])]

    run(scenario)


def test_stored_documents_do_not_follow_the_callers(run: Run) -> None:
    """The metadata given by a caller is not changed by the commit."""

    async def scenario(store: Store) -> None:
        write = put("a")
        await store.commit([write])
        assert write.document is not None
        assert "resourceVersion" not in write.document["metadata"]

    run(scenario)
