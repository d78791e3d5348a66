"""What callers felt of the two versions, from the counters of their sidecars that control gathers.

Counters are cumulative. `Counters` adds up what they grew by from one reading to the next, so that a sidecar that ends,
starts anew, or is left out of one report neither takes away nor counts twice.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from plait.analysis.histogram import quantile
from plait.analysis.rollout import Figures
from plait.cli.rollout_state import Backend

Edge = Mapping[str, Any]
Key = tuple[str, ...]
_KEY = ("reporter", "sourceNamespace", "source", "sourcePrincipal", "destinationNamespace", "destination")


@dataclass(slots=True)
class Tally:
    """Requests of one version: by response code, and by the bound of duration that they stayed below."""

    codes: Counter[str] = field(default_factory=Counter[str])
    buckets: Counter[float] = field(default_factory=Counter[float])

    def figures(self) -> Figures:
        """The figures that a step is judged by."""
        reached = sorted(self.buckets.items())
        return Figures(
            requests=self.codes.total(),
            failed=sum(count for code, count in self.codes.items() if code[:1] in ("5", "0")),
            p50=quantile(reached, 0.5),
            p99=quantile(reached, 0.99),
        )


class Counters:
    """What was counted for some services since this object was made, or since `restart`."""

    def __init__(self, backends: Sequence[Backend]) -> None:
        self._backends = tuple(backends)
        self._newest: dict[Key, Edge] = {}
        self._tallies = {backend: Tally() for backend in backends}
        self._begun = False

    def restart(self) -> None:
        """Count from nothing again."""
        self._tallies = {backend: Tally() for backend in self._backends}

    def read(self, edges: Sequence[Edge]) -> None:
        """Count what grew since the reading before; the first reading is only what growth is measured from."""
        for edge in edges:
            backend = next((item for item in self._backends if item.is_called(str(edge["destinationService"]))), None)
            if backend is None or edge.get("reporter") != "source":
                continue
            key = (*(str(edge.get(name, "")) for name in _KEY), str(edge["destinationService"]))
            before = self._newest.get(key)
            self._newest[key] = edge
            if self._begun:
                _grow(self._tallies[backend], before, edge)
        self._begun = True

    def figures(self, backend: Backend) -> Figures:
        """What callers felt of one version."""
        return self._tallies[backend].figures()


def _grow(tally: Tally, before: Edge | None, now: Edge) -> None:
    if before is not None and sum(now["counts"].values()) < sum(before["counts"].values()):
        before = None  # the sidecar was started anew
    codes = Counter[str](now["counts"])
    buckets = Counter({float(bound): int(count) for bound, count in now["buckets"]})
    if before is not None:
        codes.subtract(before["counts"])
        buckets.subtract({float(bound): int(count) for bound, count in before["buckets"]})
    tally.codes.update(codes)
    tally.buckets.update(buckets)
