"""Which version of which resource a peer has: a mapping that it shares with others, and what differs from that.

A thousand peers that hold the thousand scopes of a mesh would need a million entries. At rest each of them only refers
to the mapping that was published to all; `own` has what is different, None for what is not there.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from plait.envoy.overlaid import parts
from plait.envoy.resource_set import EMPTY, Entry

_SMALL: Final = 64
_KEPT: Final = 16


class Versions:
    """Versions by name."""

    __slots__ = ("base", "own")

    def __init__(self, versions: Mapping[str, str] | None = None) -> None:
        self.base: Mapping[str, Entry] = EMPTY
        self.own: dict[str, str | None] = dict(versions or {})

    def get(self, name: str) -> str | None:
        """The version of that name; None if it is not there."""
        if name in self.own:
            return self.own[name]
        found = self.base.get(name)
        return found.version if found is not None else None

    def __bool__(self) -> bool:
        return bool(self.base or self.own)

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def update(self, versions: Mapping[str, str]) -> None:
        """Take these versions."""
        self.own.update(versions)

    def __setitem__(self, name: str, version: str) -> None:
        self.own[name] = version

    def drop(self, name: str) -> None:
        """Take the name away, if it is there."""
        if name in self.base:
            self.own[name] = None
        else:
            self.own.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        yield from (name for name, version in self.own.items() if version is not None)
        yield from (name for name in self.base if name not in self.own)

    def differing(self, target: Mapping[str, Entry]) -> set[str]:
        """The names that may differ between these versions and a target; all others are the same."""
        base, own = parts(target)
        if not self.base and len(self.own) + len(base) >= _SMALL:
            return {*(name for name, _ in self.own.items() ^ SHARED.versions(base).items()), *own}
        return {*SHARED.between(self.base, base), *self.own, *own}

    def rest(self, target: Mapping[str, Entry], kept: Mapping[str, str]) -> None:
        """Become the versions of the target, and those that are kept beside it."""
        self.base, own = parts(target)
        self.own = {name: item.version for name, item in own.items()}
        self.own.update(kept)


class Differences:
    """Compares mappings that many share once for all of them: the latest comparisons of large ones are kept."""

    def __init__(self) -> None:
        self.made = 0
        self._kept: dict[tuple[int, int], tuple[Mapping[str, Entry], Mapping[str, Entry], frozenset[str]]] = {}
        self._versions: dict[int, tuple[Mapping[str, Entry], Mapping[str, str]]] = {}

    def between(self, before: Mapping[str, Entry], after: Mapping[str, Entry]) -> frozenset[str]:
        """The names whose entries differ."""
        if before is after:
            return _NONE
        if len(before) + len(after) < _SMALL:
            return _compared(before, after)
        key = (id(before), id(after))
        kept = self._kept.get(key)
        if kept is None:
            self.made += 1
            kept = self._kept[key] = (before, after, _compared(before, after))
            if len(self._kept) > _KEPT:
                del self._kept[next(iter(self._kept))]
        return kept[2]

    def versions(self, entries: Mapping[str, Entry]) -> Mapping[str, str]:
        """The versions by name, for comparison with those that a peer tells when it comes again."""
        kept = self._versions.get(id(entries))
        if kept is None:
            kept = (entries, {name: item.version for name, item in entries.items()})
            if len(entries) >= _SMALL:
                self._versions[id(entries)] = kept
            if len(self._versions) > _KEPT:
                del self._versions[next(iter(self._versions))]
        return kept[1]


_NONE: Final[frozenset[str]] = frozenset()


def _compared(before: Mapping[str, Entry], after: Mapping[str, Entry]) -> frozenset[str]:
    if not before or not after:
        return frozenset(before or after)
    changed = (name for name, item in after.items() if (was := before.get(name)) is not item and was != item)
    return frozenset(changed).union(before.keys() - after.keys())


SHARED: Final = Differences()
