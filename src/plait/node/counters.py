"""Counters of Envoys, and what those of them had counted that have ended."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_MOST: Final = 20_000
"""Series kept of ended workloads; the oldest are forgotten first."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line of Prometheus' text form."""

    name: str
    labels: Mapping[str, str]
    value: float


class EndedCounters:
    """The sums of what workloads of this machine had counted when they ended.

    A program that makes one call and exits is counted by its own sidecar alone, which ends with it. Equal series of
    several workloads are one, so that their number is bounded by that of the edges, and by `most`.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._sums: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}

    def __iter__(self) -> Iterator[Series]:
        return iter([Series(name, dict(labels), value) for (name, labels), value in self._sums.items()])

    def add(self, series: Iterable[Series]) -> None:
        """Add what a workload that ends has counted."""
        for item in series:
            key = item.name, tuple(sorted(item.labels.items()))
            self._sums[key] = self._sums.pop(key, 0.0) + item.value
        while len(self._sums) > self._most:
            del self._sums[next(iter(self._sums))]
