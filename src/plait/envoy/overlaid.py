"""Entries that many proxies share, and over them some of one proxy's own, without a copy of the shared ones."""

from collections.abc import Iterator, Mapping
from operator import itemgetter

from plait.envoy.resource_set import EMPTY, Entry


class Overlaid(Mapping[str, Entry]):
    """Entries that many share, and over them some of one's own. Never changed after construction."""

    __slots__ = ("base", "own")

    def __init__(self, base: Mapping[str, Entry], own: Mapping[str, Entry]) -> None:
        self.base = base
        self.own = own

    def __getitem__(self, name: str) -> Entry:
        found = self.own.get(name)
        return found if found is not None else self.base[name]

    def __contains__(self, name: object) -> bool:
        return name in self.own or name in self.base

    def __iter__(self) -> Iterator[str]:
        yield from self.base
        yield from (name for name in self.own if name not in self.base)

    def __len__(self) -> int:
        return len(self.base) + sum(name not in self.base for name in self.own)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Overlaid) and other.base is self.base and other.own == self.own:
            return True
        return super().__eq__(other)

    __hash__ = None


def sorted_entries(entries: Mapping[str, Entry]) -> tuple[Entry, ...]:
    """All entries, by name."""
    base, own = parts(entries)
    return tuple(item for _, item in sorted({**base, **own}.items(), key=itemgetter(0)))


def parts(entries: Mapping[str, Entry]) -> tuple[Mapping[str, Entry], Mapping[str, Entry]]:
    """What many share of these entries, and what is laid over it."""
    return (entries.base, entries.own) if isinstance(entries, Overlaid) else (entries, EMPTY)
