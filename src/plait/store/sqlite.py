"""A store in one SQLite file, owned by one process.

All objects are also held in memory (a mesh is small), so that reading never waits for the disk. A commit is
planned in memory, written in one transaction by a thread of its own, and only then shown to readers:
`journal_mode=WAL` with `synchronous=FULL` makes it durable once `commit` returns, whatever kills the process.
`locking_mode=EXCLUSIVE` keeps a second process out. History is not stored: after a restart watchers list again,
except from the revision at which the store was closed. A backup is a copy that SQLite makes between two commits.
"""

import asyncio
import json
import sqlite3
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Self

from plait.errors import RefusedError, StorageError
from plait.store.ledger import HISTORY
from plait.store.memory import MemoryStore
from plait.store.store import Change, Document, ObjectKey, Summary, Write

SCHEMA = 1
APPLICATION = 0x504C4149  # "PLAI"

_TABLES = """
CREATE TABLE objects (
    api_group TEXT NOT NULL, kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
    document TEXT NOT NULL, PRIMARY KEY (api_group, kind, namespace, name)
) WITHOUT ROWID;
CREATE TABLE revision (number INTEGER NOT NULL);
INSERT INTO revision VALUES (0);
"""


class SqliteStore(MemoryStore):
    """A configuration store that survives its process."""

    def __init__(self, connection: sqlite3.Connection, path: Path, *, history: int = HISTORY) -> None:
        rows = connection.execute("SELECT api_group, kind, namespace, name, document FROM objects")
        objects = [(ObjectKey(group=row[0], kind=row[1], namespace=row[2], name=row[3]), row[4]) for row in rows]
        (revision,) = connection.execute("SELECT number FROM revision").fetchone()
        super().__init__(((key, json.loads(text)) for key, text in objects), revision=revision, history=history)
        self._connection = connection
        self._path = path
        self._order = asyncio.Lock()
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="plait-store")

    @classmethod
    def open(cls, path: Path | str, *, history: int = HISTORY) -> Self:
        """Open the store in `path`, made if it is missing; RefusedError says why it cannot be used."""
        path = Path(path)
        try:
            path.touch(mode=0o600)
            connection = _connect(path)
        except OSError as error:
            raise RefusedError(f"the store {path} cannot be opened: {error.strerror}", "check its folder") from error
        except sqlite3.Error as error:
            raise _refusal(error, path) from error
        try:
            return cls(connection, path, history=history)
        except (sqlite3.Error, ValueError) as error:
            connection.close()
            raise RefusedError(
                f"the store {path} is damaged: {error}", "restore a copy, or move the file away"
            ) from error

    async def commit(self, writes: Sequence[Write]) -> tuple[Document, ...]:
        """Write all or nothing, durably; a caller that is cancelled does not stop a commit that has begun."""
        return await asyncio.shield(asyncio.ensure_future(self._commit(writes)))

    async def copy_to(self, target: Path) -> None:
        """Write a copy as of one commit to a new file, while commits wait; raises StorageError if it cannot."""
        async with self._order:
            await asyncio.get_running_loop().run_in_executor(self._writer, _copy, self._connection, target)

    async def summary(self) -> Summary:
        """What the file holds and whether it is sound, as SQLite checks it; commits wait meanwhile."""
        async with self._order:
            found = await asyncio.get_running_loop().run_in_executor(self._writer, _summary, self._connection)
        return replace(found, size=self._path.stat().st_size)

    async def close(self) -> None:
        """Finish writing and release the file; closing twice is harmless."""
        async with self._order:
            await asyncio.get_running_loop().run_in_executor(None, self._writer.shutdown)
            self._connection.close()

    async def _commit(self, writes: Sequence[Write]) -> tuple[Document, ...]:
        async with self._order:
            changes = self._ledger.plan(writes)
            if changes:
                await asyncio.get_running_loop().run_in_executor(self._writer, self._write, changes)
                self._publish(changes)
        return tuple(change.document for change in changes)

    def _write(self, changes: tuple[Change, ...]) -> None:
        statements = [_statement(change) for change in changes]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for statement, values in statements:
                self._connection.execute(statement, values)
            self._connection.execute("UPDATE revision SET number = ?", (changes[-1].revision,))
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise _refusal(error, self._path) from error


def copy_file(path: Path, target: Path) -> None:
    """A copy of a store that no process uses; RefusedError says why it cannot be made."""
    try:
        with closing(_connect(path)) as connection:
            _copy(connection, target)
    except sqlite3.Error as error:
        raise _refusal(error, path) from error


def examine(path: Path) -> Summary:
    """What a store that no process uses holds; RefusedError if it is no store of this version."""
    try:
        with closing(_connect(path)) as connection:
            return _summary(connection)
    except sqlite3.Error as error:
        raise _refusal(error, path) from error


def documents(path: Path, *, group: str, kind: str) -> list[Document]:
    """The objects of a kind in a store that no process uses."""
    with closing(_connect(path)) as connection:
        rows = connection.execute("SELECT document FROM objects WHERE api_group = ? AND kind = ?", (group, kind))
        return [json.loads(row[0]) for row in rows]


def objects(path: Path) -> list[tuple[ObjectKey, Document]]:
    """All objects in a store that no process uses."""
    try:
        with closing(_connect(path)) as connection:
            rows = connection.execute("SELECT api_group, kind, namespace, name, document FROM objects").fetchall()
    except sqlite3.Error as error:
        raise _refusal(error, path) from error
    return [(ObjectKey(group=row[0], kind=row[1], namespace=row[2], name=row[3]), json.loads(row[4])) for row in rows]


def continue_from(path: Path, revision: int) -> int:
    """Let a store that no process uses go on from a higher revision, so that every older watcher lists again."""
    with closing(_connect(path)) as connection:
        connection.execute("UPDATE revision SET number = max(number, ?)", (revision,))
        (number,) = connection.execute("SELECT number FROM revision").fetchone()
    return int(number)


def write_new(path: Path, objects: Iterable[tuple[ObjectKey, Document]], revision: int) -> None:
    """Write a new store with these objects, at that revision; raises StorageError if it cannot."""
    path.touch(mode=0o600)
    rows = [(*_row(key), json.dumps(document, separators=(",", ":"))) for key, document in objects]
    try:
        with closing(_connect(path)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO objects VALUES (?, ?, ?, ?, ?)", rows)
            connection.execute("UPDATE revision SET number = ?", (revision,))
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise _refusal(error, path) from error


def _copy(connection: sqlite3.Connection, target: Path) -> None:
    target.touch(mode=0o600)
    try:
        with closing(sqlite3.connect(target, isolation_level=None)) as copy:
            connection.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
    except sqlite3.Error as error:
        raise _refusal(error, target) from error


def _summary(connection: sqlite3.Connection) -> Summary:
    (revision,) = connection.execute("SELECT number FROM revision").fetchone()
    (objects,) = connection.execute("SELECT count(*) FROM objects").fetchone()
    told = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(10)")]
    return Summary(revision=int(revision), objects=int(objects), problems=() if told == ["ok"] else tuple(told))


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if not tables:
            marks = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {SCHEMA};"
            connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} {marks} COMMIT;")
        elif (version, application) != (SCHEMA, APPLICATION):
            raise _foreign(path, version, application)
        return connection
    except BaseException:
        connection.close()
        raise


def _foreign(path: Path, version: int, application: int) -> RefusedError:
    if application != APPLICATION:
        return RefusedError(f"{path} is a database, but not a store of Plait", "choose another --state-dir")
    return RefusedError(
        f"the store {path} was written by another version of Plait (schema {version}; this one reads {SCHEMA})",
        "use that version, or another --state-dir",
    )


def _statement(change: Change) -> tuple[str, tuple[str, ...]]:
    key = _row(change.key)
    if change.type == "DELETED":
        return "DELETE FROM objects WHERE (api_group, kind, namespace, name) = (?, ?, ?, ?)", key
    text = json.dumps(change.document, separators=(",", ":"))
    return "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)", (*key, text)


def _row(key: ObjectKey) -> tuple[str, str, str, str]:
    return (key.group, key.kind, key.namespace, key.name)


def _refusal(error: sqlite3.Error, path: Path) -> RefusedError:
    """What a failure of SQLite means to the user."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_BUSY:
        return RefusedError(f"the store {path} is in use by another process", "stop that `plait control` first")
    if code == sqlite3.SQLITE_FULL:
        return StorageError(f"no space is left for the store {path}; nothing was changed", "free some space and repeat")
    if code == sqlite3.SQLITE_CANTOPEN:
        return RefusedError(f"the store {path} cannot be opened", "check that its folder exists and may be written")
    if code == sqlite3.SQLITE_NOTADB:
        return RefusedError(f"{path} is not a SQLite database", "move it away, or choose another --state-dir")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return StorageError(f"the store {path} may not be written; nothing was changed", "check its owner and mode")
    return StorageError(
        f"the store {path} could not be used: {error}; nothing was changed", "check the disk and repeat"
    )
