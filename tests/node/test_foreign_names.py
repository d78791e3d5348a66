"""Foreign names on disk."""

import asyncio
from pathlib import Path

from plait.node import foreign_names


def test_names_come_back(tmp_path: Path):
    """What was known at the end of one agent is known to the next, in its order."""
    path, names = tmp_path / "foreign.json", [("default", "b.example.com"), ("shop", "a.example.com")]

    async def check() -> None:
        task = asyncio.create_task(foreign_names.keep(path, lambda: names, every=60))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(check())
    assert list(foreign_names.load(path)) == names


def test_a_damaged_file_is_none(tmp_path: Path):
    """Whatever is in the file, an agent starts."""
    path = tmp_path / "foreign.json"
    for text in ("", "[]", '{"names": 7}', '{"names": [7]}', '{"names": [["a"]]}'):
        path.write_text(text)
        assert foreign_names.load(path) == ()
