"""Requests through two sidecars: the paths measured in turn, round after round.

Machines drift and are shared, so a figure by itself means little. Each round measures every path within seconds, the
ratio is that of the same round, and the median of the rounds' ratios is what counts (`bench.figures`). Where a process
happens to lie in memory is worth a few per cent, so the sidecars are started anew between rounds.

A fixed rate means something only while the machine has room for it: with the core taken by others, requests pile up,
and proxies then work them off in batches, which is cheaper and slower than what is asked. A round in which a path
fell behind (`BEHIND`) says nothing of the fixed rate.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bench import load, processes
from bench.cells import Cell
from bench.load import Outcome
from bench.paths import PathUnderTest

ROUNDS_OF_A_PROCESS: Final = 3
NICE_SATURATED: Final = -5
NICE_PACED: Final = -15
"""Priorities of everything on a path while it is read: others of a shared machine get less, but not nothing."""
BEHIND: Final = 5.0
"""Milliseconds of p50 at the fixed rate above which the path did not keep up."""


NO_TIMES: Final = processes.Times(user=0, kernel=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One run of load over one path: what the load saw, and CPU microseconds a request of the path's sidecars.

    `caller` and `server` divide them by side, and there by own code and kernel.
    """

    outcome: Outcome
    cpu: float
    caller: processes.Times = NO_TIMES
    server: processes.Times = NO_TIMES


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one path read in one round; `beside` is the memory of what serves all sidecars of the machine."""

    saturated: Reading
    paced: Reading
    memory: processes.Memory
    beside: processes.Memory = processes.NO_MEMORY

    @property
    def kept_up(self) -> bool:
        """Whether the path took the fixed rate."""
        return self.paced.outcome.p50 <= BEHIND


Measured = Mapping[str, Sequence[Round]]
"""The rounds of one cell by name of the path, all of the same length."""


def measure(cell: Cell, paths: Sequence[PathUnderTest]) -> Measured:
    """Read every path of a cell in turn, each round in another order."""
    found: dict[str, list[Round]] = {path.name: [] for path in paths}
    for number in range(cell.rounds):
        for index in range(len(paths)):
            path = paths[(index + number) % len(paths)]
            if number % ROUNDS_OF_A_PROCESS == 0:
                path.restart(cell.call.protocol)
                path.prepare(cell.call)
            found[path.name].append(read_round(path, cell))
    return found


def read_round(path: PathUnderTest, cell: Cell) -> Round:
    """What a path reads in a round: saturated, at the fixed rate, and its memory."""
    target = path.target(cell.call)
    saturated = _read(path, lambda run: load.saturate(target, run), cell.seconds, NICE_SATURATED)
    paced = _read(path, lambda run: load.pace(target, run, rate=cell.rate), cell.seconds, NICE_PACED)
    return Round(
        saturated=saturated,
        paced=paced,
        memory=processes.memory(path.sidecars()),
        beside=processes.memory(path.beside),
    )


def _read(path: PathUnderTest, make: Callable[[load.Run], Outcome], seconds: float, niceness: int) -> Reading:
    pids, sides = path.sidecars(), path.sides()
    used: list[float] = []
    spent: list[tuple[processes.Times, ...]] = []

    def note() -> None:
        used.append(processes.cpu_seconds(pids))
        spent.append(tuple(processes.times(side) for side in sides))

    run = load.Run(seconds=seconds, niceness=niceness, started=note)
    with path.favoured(niceness):
        outcome = make(run)
        note()
    caller, server = (_apiece(*ends, outcome.requests) for ends in zip(spent[0], spent[-1], strict=True))
    cpu = 1e6 * (used[-1] - used[0]) / max(1, outcome.requests)
    return Reading(outcome=outcome, cpu=cpu, caller=caller, server=server)


def _apiece(before: processes.Times, after: processes.Times, requests: int) -> processes.Times:
    """Microseconds a request."""
    each = 1e6 / max(1, requests)
    return processes.Times(user=each * (after.user - before.user), kernel=each * (after.kernel - before.kernel))
