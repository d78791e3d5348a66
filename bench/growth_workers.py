"""What workers take off control: its CPU, and theirs, for the same work on a mesh of the growth bench.

Every machine has one sidecar, so that each stream has a connection of its own and the kernel spreads them.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bench import growth_mesh
from bench.growth_live import Figures, Live, until
from bench.growth_mesh import NAMESPACE, Size
from bench.rows import Row

FULL: Final = Size(services=1000, routes=2000, policies=200, endpoints=2000, sidecars=1000, machines=1000)
QUICK: Final = Size(services=200, routes=400, policies=40, endpoints=400, sidecars=200, machines=200)
COUNTS: Final = (0, 2)
_ROUNDS: Final = 5
_ALL: Final = 0
"""The service that every sidecar calls."""
_ROUTES: Final = f"/apis/gateway.networking.k8s.io/v1/namespaces/{NAMESPACE}/httproutes"


def part(*, quick: bool) -> Iterator[Row]:
    """The rows of `python -m bench workers`."""
    size = QUICK if quick else FULL
    baseline: list[float] = []
    for count in COUNTS:
        rows, cpu = _measured(size, count)
        baseline = baseline or cpu
        yield Row(name=f"{count} workers: {size}", value=count, unit="")
        for row, before, now in zip(rows, baseline, cpu, strict=True):
            yield row if not count else _compared(row, before, now)


def _compared(row: Row, before: float, now: float) -> Row:
    return Row(
        name=row.name,
        value=row.value,
        unit=row.unit,
        spread=row.spread,
        baseline="without workers",
        ratio=now / before if before else None,
        must="< 0.7",
        holds=now < 0.7 * before,
    )


def _measured(size: Size, count: int) -> tuple[list[Row], list[float]]:
    """Control's CPU for each piece of work, as rows and in seconds."""
    with (
        tempfile.TemporaryDirectory(prefix="plait-workers-") as folder,
        Live(Path(folder), size, workers=count) as live,
    ):
        live.start()
        before, began = live.figures(), time.monotonic()
        live.connect()
        synced = live.synced() - began
        connected = live.figures()
        for turn in range(_ROUNDS):
            _change_for_all(live, size, turn)
        changed = live.figures()
    return (
        [
            _row(f"  control's CPU until all are synchronised ({synced:.1f} s)", before, connected),
            _row(f"  control's CPU for {_ROUNDS} routes that all call", connected, changed),
        ],
        [connected.cpu - before.cpu, changed.cpu - connected.cpu],
    )


def _change_for_all(live: Live, size: Size, turn: int) -> None:
    document = growth_mesh.route(_ALL, size.services, weight=20 + turn)
    live.take()
    live.patch(f"{_ROUTES}/{document['metadata']['name']}", {"spec": document["spec"]})
    took: set[str] = set()

    def everybody() -> bool:
        took.update(event.proxy for event in live.take() if event.kind == "RouteConfiguration")
        return len(took) == size.sidecars

    until(everybody, f"only {len(took)} of {size.sidecars} sidecars took the change")


def _row(name: str, before: Figures, after: Figures) -> Row:
    theirs: Sequence[float] = [now - then for then, now in zip(before.workers, after.workers, strict=True)]
    told = ", ".join(f"{value:.2f}" for value in theirs)
    return Row(name=name, value=after.cpu - before.cpu, unit="s", spread=f"workers: {told} s" if theirs else "")
