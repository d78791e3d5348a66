"""Names that are none of the mesh's, kept on disk: an agent that starts while control is away still knows them.

Without it such a name could only be refused, since it might be the mesh's. There are at most as many as the resolver
remembers; the file is written when they have changed, at most every few seconds.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, cast

from plait.node.state import read_json, write_json

_EVERY: Final = 5.0
Names = Sequence[tuple[str, str]]
"""Each with the namespace of the workloads that asked."""


def load(path: Path) -> Names:
    """The names kept there; none if there is no such file."""
    rows = cast("list[list[str]]", read_json(path).get("names", []))
    try:
        return tuple((namespace, name) for namespace, name in rows)
    except (TypeError, ValueError):
        return ()


async def keep(path: Path, names: Callable[[], Names], *, every: float = _EVERY) -> None:
    """Keep the names there, for ever, and once more when cancelled."""
    written = frozenset(load(path))
    try:
        while True:
            await asyncio.sleep(every)
            written = await asyncio.to_thread(_write, path, names(), written)
    finally:
        _write(path, names(), written)


def _write(path: Path, names: Names, written: frozenset[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    current = frozenset(names)
    if current != written:
        write_json(path, {"names": [list(name) for name in names]})
    return current
