"""What every store promises; run against the one in memory and the one in a file."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from plait.errors import ConflictError, GoneError, NotFoundError
from plait.store.memory import MemoryStore
from plait.store.sqlite import SqliteStore
from plait.store.store import Change, Store
from tests.store.documents import drop, key, put

Scenario = Callable[[Store], Awaitable[None]]
Run = Callable[[Scenario], None]


@pytest.fixture(params=["memory", "sqlite"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Runs a scenario against a new store that keeps 100 changes."""

    async def play(scenario: Scenario) -> None:
        store: Store
        store = MemoryStore(history=100) if request.param == "memory" else SqliteStore.open(tmp_path / "s", history=100)
        try:
            await scenario(store)
        finally:
            await store.close()

    return lambda scenario: asyncio.run(play(scenario))


async def _next(stream: AsyncIterator[Sequence[Change]]) -> list[tuple[str, str, int]]:
    batch = await asyncio.wait_for(anext(stream), 5)
    return [(change.type, change.key.name, change.revision) for change in batch]


def test_each_write_takes_the_next_revision(run: Run) -> None:
    """The revision of a write is the stored object's resourceVersion."""

    async def scenario(store: Store) -> None:
        first = await store.commit([put("a"), put("b")])
        second = await store.commit([put("a", x=1)])
        assert [d["metadata"]["resourceVersion"] for d in (*first, *second)] == ["1", "2", "3"]
        assert await store.get(key("a")) == second[0]
        assert store.revision == 3

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
        assert (await store.list()).revision == 4

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
        with pytest.raises(ConflictError, match="default/a exists already"):
            await store.commit([put("b"), put("a", expected=0)])
        with pytest.raises(NotFoundError, match="Service default/c does not exist"):
            await store.commit([put("b"), drop("c")])
        assert await store.get(key("b")) is None
        assert store.revision == 1

    run(scenario)


def test_an_expectation_must_hold(run: Run) -> None:
    """A write that expects an older revision is refused; one that expects the current one is made."""

    async def scenario(store: Store) -> None:
        await store.commit([put("a")])
        await store.commit([put("a", x=1, expected=1)])
        with pytest.raises(ConflictError, match="changed since revision 1"):
            await store.commit([put("a", x=2, expected=1)])
        with pytest.raises(ConflictError, match="deleted"):
            await store.commit([drop("a"), put("a", x=2, expected=2)])

    run(scenario)


def test_later_writes_see_earlier_ones(run: Run) -> None:
    """One set may write, delete and write the same object again."""

    async def scenario(store: Store) -> None:
        stream = store.watch(0)
        await store.commit([put("a", expected=0), drop("a"), put("a", expected=0, x=1)])
        assert await _next(stream) == [("ADDED", "a", 1), ("DELETED", "a", 2), ("ADDED", "a", 3)]
        assert await store.get(key("a")) is not None

    run(scenario)


def test_watch_tells_each_commit_as_a_batch(run: Run) -> None:
    """What was before is told first, then what comes, one batch a commit, only the asked kinds."""

    async def scenario(store: Store) -> None:
        await store.commit([put("a"), put("s", kind="Secret")])
        stream = store.watch(0, group="", kind="Service")
        assert await _next(stream) == [("ADDED", "a", 1)]
        waiting = asyncio.ensure_future(_next(stream))
        await asyncio.sleep(0)
        await store.commit([put("t", kind="Secret")])
        await store.commit([put("a", x=1), drop("a")])
        assert await waiting == [("MODIFIED", "a", 4), ("DELETED", "a", 5)]

    run(scenario)


def test_watch_from_inside_a_commit(run: Run) -> None:
    """A watcher that saw half of a commit gets the other half."""

    async def scenario(store: Store) -> None:
        await store.commit([put("a"), put("b"), put("c")])
        assert await _next(store.watch(2)) == [("ADDED", "c", 3)]

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
        for number in range(150):
            await store.commit([put("a", x=number)])
        for revision in (10, 151):
            with pytest.raises(GoneError, match="list again"):
                await _next(store.watch(revision))
        assert await _next(store.watch(149)) == [("MODIFIED", "a", 150)]

    run(scenario)


def test_stored_documents_do_not_follow_the_callers(run: Run) -> None:
    """The metadata given by a caller is not changed by the commit."""

    async def scenario(store: Store) -> None:
        write = put("a")
        await store.commit([write])
        assert write.document is not None
        assert "resourceVersion" not in write.document["metadata"]

    run(scenario)
