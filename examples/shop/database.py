"""A small SQLite database in the directory DATA, filled at first use."""

import os
import sqlite3
from pathlib import Path


def connect(
    name: str, schema: str, rows: str = "", values: list[tuple[object, ...]] | None = None
) -> sqlite3.Connection:
    directory = Path(os.environ.get("DATA", "."))
    directory.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(directory / f"{name}.sqlite", isolation_level=None, check_same_thread=False)
    database.row_factory = sqlite3.Row
    database.execute(f"CREATE TABLE IF NOT EXISTS {schema}")
    table = schema.partition("(")[0]
    if values and database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0:
        database.executemany(rows, values)
    return database
