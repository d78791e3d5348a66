"""What the store in a file promises beside the rest: to survive, and to say why it cannot be used."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from plait.errors import GoneError, RefusedError, StorageError
from plait.store.sqlite import SqliteStore
from tests.store.documents import drop, key, put

_WRITER = """
import asyncio, sys
from plait.store.sqlite import SqliteStore
from tests.store.documents import put

async def write():
    store = SqliteStore.open(sys.argv[1])
    number = store.revision // 3
    while True:
        number += 1
        await store.commit([put(f"{part}-{number % 7}", number=number) for part in "abc"])
        print(number, flush=True)

asyncio.run(write())
"""


def _with_store(path: Path, scenario: Callable[[SqliteStore], Awaitable[None]]) -> None:
    async def play() -> None:
        store = SqliteStore.open(path)
        try:
            await scenario(store)
        finally:
            await store.close()

    asyncio.run(play())


def test_it_holds_what_it_held(tmp_path: Path) -> None:
    """Objects, deletions and the revision are there again after a restart; text of any script survives."""

    async def write(store: SqliteStore) -> None:
        await store.commit([put("a", text="größe \ud83d"), put("b")])
        await store.commit([drop("b")])

    async def read(store: SqliteStore) -> None:
        document = await store.get(key("a"))
        assert document is not None
        assert document["spec"] == {"text": "größe \ud83d"}
        assert await store.get(key("b")) is None
        assert store.revision == 3
        with pytest.raises(GoneError):
            await anext(store.watch(2))

    _with_store(tmp_path / "store", write)
    _with_store(tmp_path / "store", read)


def test_kill_9_loses_no_acknowledged_commit(tmp_path: Path) -> None:
    """After each of three kills every acknowledged set is there and no set is there in part."""
    path = tmp_path / "store"
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", _WRITER, path], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            acknowledged = 0
            for line in writer.stdout:
                acknowledged = int(line)
                if acknowledged % 60 == 0:
                    os.kill(writer.pid, signal.SIGKILL)

        async def check(store: SqliteStore, acknowledged: int = acknowledged) -> None:
            assert acknowledged * 3 <= store.revision <= acknowledged * 3 + 3
            for number in range(max(1, acknowledged - 6), acknowledged + 1):
                parts = [await store.get(key(f"{part}-{number % 7}")) for part in "abc"]
                numbers = {part["spec"]["number"] for part in parts if part is not None}
                assert len(numbers) == 1
                assert numbers.pop() >= number

        _with_store(path, check)


def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    """When no page can be added, the commit is refused with a sentence and readers see what was before."""

    async def fill(store: SqliteStore) -> None:
        await store.commit([put("a")])
        store._connection.execute("PRAGMA max_page_count = 8")  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(StorageError, match=r"no space is left for the store .*; free some space"):
            await store.commit([put("b", text="x" * 100_000)])
        assert await store.get(key("b")) is None
        await store.commit([put("a", x=1)])

    _with_store(tmp_path / "store", fill)


def test_a_cancelled_commit_leaves_disk_and_memory_equal(tmp_path: Path) -> None:
    """A caller that goes away does not stop a commit half-way."""

    async def cancel(store: SqliteStore) -> None:
        for number in range(20):
            commit = asyncio.ensure_future(store.commit([put("a", x=number)]))
            for _ in range(number % 4):
                await asyncio.sleep(0)
            commit.cancel()
        await store.commit([put("last")])

    async def compare(store: SqliteStore) -> None:
        last = await store.get(key("last"))
        assert last is not None
        assert last["metadata"]["resourceVersion"] == str(store.revision)

    _with_store(tmp_path / "store", cancel)
    _with_store(tmp_path / "store", compare)


def test_one_process_owns_it(tmp_path: Path) -> None:
    """A second opener is told that the store is in use."""

    async def open_again(_: SqliteStore) -> None:
        with pytest.raises(RefusedError, match="in use by another process"):
            SqliteStore.open(tmp_path / "store")

    _with_store(tmp_path / "store", open_again)


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    """The files hold secrets: nobody else may read them."""

    modes: set[int] = set()

    async def look(store: SqliteStore) -> None:
        await store.commit([put("a")])
        modes.update(_modes(tmp_path))

    _with_store(tmp_path / "store", look)
    assert modes == {0o600}


def _modes(folder: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in folder.iterdir()}


def test_unusable_files_are_refused_with_a_sentence(tmp_path: Path) -> None:
    """Another version, another application, another kind of file, a missing folder: each says so."""
    newer, other, text = tmp_path / "newer", tmp_path / "other", tmp_path / "text"
    _with_store(newer, lambda _: asyncio.sleep(0))
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE things (a)")
    connection.close()
    text.write_text("not a database\n" * 100)

    for path, problem in (
        (newer, "written by another version of Plait .schema 7; this one reads 1"),
        (other, "not a store of Plait"),
        (text, "is not a SQLite database"),
        (tmp_path / "missing" / "store", "cannot be opened"),
    ):
        with pytest.raises(RefusedError, match=problem):
            SqliteStore.open(path)
