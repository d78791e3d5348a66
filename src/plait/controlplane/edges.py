"""Rates of the calls between workloads, from the counters that machines report.

A machine reports its sidecars' cumulative counters every few seconds. `take` keeps the newest of each machine and, for
the last window, older ones to subtract; a counter that went down was reset by a restart and counts from nothing.
The caller's side has all calls, also those that never reached a server; a server's side is shown for callers without
a sidecar.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from plait.analysis.histogram import quantile
from plait.api import schemas

WINDOW: Final = 10.0
"""Seconds that a rate is taken over."""

Sample = Mapping[str, Any]
Key = tuple[str, str, str, str, str]
_FIELDS: Final = ("reporter", "sourceWorkload", "sourcePrincipal", "destinationWorkload", "destinationService")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counted:
    """One edge's counters at one moment."""

    codes: Mapping[str, int]
    buckets: Mapping[float, int]
    connections: int
    protocol: str

    @property
    def total(self) -> int:
        return sum(self.codes.values()) + self.connections


_NOTHING: Final = _Counted(codes={}, buckets={}, connections=0, protocol="")


def _key(sample: Sample) -> Key:
    values = [str(sample.get(name, "")) for name in _FIELDS]
    return values[0], values[1], values[2], values[3], values[4]


def _counted(sample: Sample) -> _Counted:
    codes: dict[str, int] = {}
    for item in sample.get("requests", ()):
        codes[item["code"]] = codes.get(item["code"], 0) + int(item["count"])
    protocols = sorted({str(item.get("protocol", "")) for item in sample.get("requests", ())} - {"", "-"})
    return _Counted(
        codes=codes,
        buckets={float(bound): int(count) for bound, count in sample.get("buckets", ())},
        connections=int(sample.get("connections", 0)),
        protocol="http" if codes or protocols else "tcp",
    )


class Edges:
    """The newest reports, and those of the last window."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._history: dict[str, deque[tuple[float, Mapping[Key, _Counted]]]] = {}
        self._newest: dict[str, Sequence[Sample]] = {}

    def take(self, machine: str, samples: Sequence[Sample]) -> None:
        """Take a machine's report."""
        now = self._clock()
        history = self._history.setdefault(machine, deque())
        history.append((now, {_key(sample): _counted(sample) for sample in samples}))
        while len(history) > 2 and history[1][0] <= now - WINDOW:
            history.popleft()
        self._newest[machine] = samples

    def heard(self, machine: str) -> float:
        """When a machine reported last, in seconds since 1970; 0 if never."""
        history = self._history.get(machine)
        return history[-1][0] if history else 0.0

    def samples(self) -> Iterable[Sample]:
        """The newest counters of all machines."""
        return [sample for samples in self._newest.values() for sample in samples]

    def rates(self, workload_of: Callable[[str], str] = lambda _principal: "") -> list[schemas.Edge]:
        """The calls over the last window, busiest first; `workload_of` names a caller by its identity."""
        found: list[schemas.Edge] = []
        for history in self._history.values():
            (then, before), (now, newest) = history[0], history[-1]
            for key, counted in newest.items():
                past = before.get(key, _NOTHING)
                found.append(_edge(key, counted, past, window=max(now - then, 1e-9), workload_of=workload_of))
        shown = [edge for edge in found if edge.reporter == "source" or not edge.source_principal]
        return sorted(shown, key=lambda edge: (-edge.rate, edge.source, edge.destination))


def _edge(
    key: Key, counted: _Counted, past: _Counted, *, window: float, workload_of: Callable[[str], str]
) -> schemas.Edge:
    reporter, source, principal, destination, service = key
    reset = counted.total < past.total
    base = _NOTHING if reset else past
    codes = {code: count - base.codes.get(code, 0) for code, count in counted.codes.items()}
    codes = {code: count for code, count in codes.items() if count}
    requests = sum(codes.values())
    grown = requests + counted.connections - base.connections
    failed = sum(count for code, count in codes.items() if code[:1] in ("5", "0"))
    growth = sorted(
        (bound, count - base.buckets.get(bound, 0)) for bound, count in counted.buckets.items() if bound >= 0
    )
    source = source if source not in ("", "-") else workload_of(principal)
    source_namespace, _, source_name = source.rpartition("/")
    destination_namespace, _, destination_name = ("" if destination == "-" else destination).rpartition("/")
    return schemas.Edge(
        source_namespace=source_namespace,
        source=source_name or "unknown",
        source_principal="" if principal == "-" else principal,
        destination_namespace=destination_namespace,
        destination=destination_name,
        destination_service=service,
        protocol=counted.protocol,
        reporter="source" if reporter == "source" else "destination",
        window=window,
        rate=grown / window,
        errors=failed / requests if requests else 0.0,
        p50=quantile(growth, 0.5),
        p90=quantile(growth, 0.9),
        p99=quantile(growth, 0.99),
        codes=codes,
        total=counted.total,
        counts=dict(counted.codes),
        buckets=sorted(item for item in counted.buckets.items() if item[0] >= 0),
    )
