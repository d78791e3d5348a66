"""What is compared with what: cells of calls, and who takes part in each.

The full product of protocols, sizes and products would take hours. The first cell is the one that the targets speak of,
and is read most often; each other differs from it in one thing, the protocol or the size, with fewer rounds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from bench import calls, haproxy, istio_like, load, nginx
from bench.calls import Call
from bench.paths import DIRECT
from bench.plait_paths import LAYER_4, PLAIT, TWICE

PEERS: Final = (istio_like.NAME, haproxy.NAME, nginx.NAME)
EVERYBODY: Final = (DIRECT, PLAIT, TWICE, LAYER_4, *PEERS, istio_like.UPGRADED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One kind of call, who is compared, how often, and the fixed rate of its open loop (requests a second)."""

    call: Call
    paths: Sequence[str]
    rounds: int = 3
    seconds: float = 2.0
    rate: int = load.RATE

    def __str__(self) -> str:
        return str(self.call)


CORE: Final = Cell(call=Call(protocol=calls.HTTP1), paths=EVERYBODY, rounds=9)
CELLS: Final = (
    CORE,
    Cell(call=Call(protocol=calls.HTTP1, body="empty"), paths=(DIRECT, PLAIT, *PEERS)),
    Cell(call=Call(protocol=calls.HTTP1, body="100 KB"), paths=(DIRECT, PLAIT, *PEERS), rate=200),
    Cell(call=Call(protocol=calls.HTTP2), paths=(DIRECT, PLAIT, TWICE, *PEERS)),
    Cell(call=Call(protocol=calls.GRPC), paths=(DIRECT, PLAIT, *PEERS)),
    Cell(call=Call(protocol=calls.TCP), paths=(DIRECT, LAYER_4, *PEERS)),
)


def quick(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """The same with so few and short rounds that it shows whether everything works, and little else."""
    return tuple(replace(cell, rounds=3 if cell is cells[0] else 1, seconds=1.0) for cell in cells)
