"""Requests through two sidecars: the paths measured in turn, round after round, and their rows.

Machines drift and are shared, so a figure by itself means little. Each round measures every path within seconds, the
ratio is that of the same round, and the median of the rounds' ratios is what counts. Where a process happens to lie
in memory is worth a few per cent, so the Envoys are started anew between rounds.

A fixed rate means something only while the machine has room for it: with the core taken by others, requests pile up,
and Envoy then works them off in batches, which is cheaper and slower than what is asked. A round in which any path
fell behind (`BEHIND`) says nothing of the fixed rate; if too few rounds are left, the row says so and decides nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from bench import load, processes
from bench.paths import PathUnderTest
from bench.rows import Row, median_row, ratio_row

ROUNDS = 18
SECONDS = 2.0
ROUNDS_OF_A_PROCESS = 3
ROUNDS_OF_THE_FLOOR = 3
"""The floor is read in every third round: it is not compared."""
CPU_RATIO = 0.80
NICE_SATURATED = -5
NICE_PACED = -15
"""Priorities of everything on a path while it is read: others of a shared machine get less, but not nothing."""
BEHIND = 5.0
"""Milliseconds of p50 at the fixed rate above which the path did not keep up."""
FEWEST_ROUNDS = 5

SATURATED = f"{load.CONNECTIONS} connections"
PACED = f"{load.RATE} rps"


class Load(Protocol):
    """A way to make requests."""

    def __call__(self, target: load.Target, seconds: float, *, niceness: int) -> load.Outcome:
        """Make them for so long."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One run of load over one path: what the load saw, and CPU microseconds a request of the path's Envoys."""

    outcome: load.Outcome
    cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one path read in one round."""

    saturated: Reading
    paced: Reading
    memory: processes.Memory

    @property
    def kept_up(self) -> bool:
        """Whether the path took the fixed rate."""
        return self.paced.outcome.p50 <= BEHIND


Measured = dict[str, list[Round]]


def measure(paths: Sequence[PathUnderTest], rounds: int = ROUNDS, seconds: float = SECONDS) -> Measured:
    """Read every path in turn, each round in another order."""
    found: Measured = {path.name: [] for path in paths}
    for number in range(rounds):
        anew = number % ROUNDS_OF_A_PROCESS == 0
        for index in range(len(paths)):
            path = paths[(index + number) % len(paths)]
            if not path.envoys() and number % ROUNDS_OF_THE_FLOOR:
                continue
            if anew:
                if number:
                    path.restart()
                path.prepare()
            found[path.name].append(_round(path, seconds))
    return found


def _round(path: PathUnderTest, seconds: float) -> Round:
    saturated = _read(path, load.saturate, seconds, niceness=NICE_SATURATED)
    paced = _read(path, load.pace, seconds, niceness=NICE_PACED)
    return Round(saturated=saturated, paced=paced, memory=processes.memory(path.envoys()))


def _read(path: PathUnderTest, run: Load, seconds: float, *, niceness: int) -> Reading:
    path.favour(niceness)
    pids = path.envoys()
    before = processes.cpu_seconds(pids)
    outcome = run(path.target, seconds, niceness=niceness)
    used = processes.cpu_seconds(pids) - before
    path.favour(0)
    return Reading(outcome=outcome, cpu=1e6 * used / max(1, outcome.requests))


def rows(measured: Measured, *, ours: str = "Plait", reference: str = "Istio-like") -> list[Row]:
    """The table: ours against the reference, then the floor, then what failed."""
    pairs = list(zip(measured[ours], measured[reference], strict=True))
    quiet = [pair for pair in pairs if pair[0].kept_up and pair[1].kept_up]
    saturated = [(mine.saturated, other.saturated) for mine, other in pairs]
    paced = [(mine.paced, other.paced) for mine, other in quiet]
    failed = sum(each.saturated.outcome.failed + each.paced.outcome.failed for each in _flat(measured.values()))
    return [
        *_compared(SATURATED, saturated, reference),
        *_fixed_rate(paced, len(pairs), reference),
        *(_memory(name, pairs, reference) for name in ("resident", "anonymous", "proportional")),
        *_direct(measured["direct"]),
        Row(name="requests that failed, all paths", value=failed, unit="", must="0", holds=failed == 0),
    ]


def _compared(title: str, pairs: Sequence[tuple[Reading, Reading]], baseline: str) -> list[Row]:
    def row(name: str, unit: str, of: Callable[[Reading], float], limit: float | None = None) -> Row:
        mine, other = [of(pair[0]) for pair in pairs], [of(pair[1]) for pair in pairs]
        return ratio_row(f"{name}, {title}", mine, other, unit=unit, baseline=baseline, limit=limit)

    return [
        row("CPU a request of both sidecars", "us", lambda reading: reading.cpu, CPU_RATIO),
        row("p50", "ms", lambda reading: reading.outcome.p50),
        row("p99", "ms", lambda reading: reading.outcome.p99),
        row("requests a second", "1/s", lambda reading: reading.outcome.per_second),
    ]


def _fixed_rate(pairs: Sequence[tuple[Reading, Reading]], rounds: int, baseline: str) -> list[Row]:
    if not pairs:
        name = f"CPU a request of both sidecars, {PACED}"
        return [Row(name=name, value=0, unit="us", spread=f"0 of {rounds} rounds kept up: machine too busy")]
    found = _compared(PACED, pairs, baseline)[:-1]
    if len(pairs) == rounds:
        return found
    noted = [replace(row, spread=f"{row.spread} ({len(pairs)} of {rounds} rounds)") for row in found]
    return noted if len(pairs) >= FEWEST_ROUNDS else [replace(row, holds=None) for row in noted]


def _memory(name: str, pairs: Sequence[tuple[Round, Round]], baseline: str) -> Row:
    mine, other = ([getattr(side.memory, name) for side in sides] for sides in zip(*pairs, strict=True))
    return ratio_row(f"memory of both sidecars, {name}", mine, other, unit="MB", baseline=baseline)


def _direct(rounds: Sequence[Round]) -> list[Row]:
    return [
        median_row(f"direct: requests a second, {SATURATED}", [r.saturated.outcome.per_second for r in rounds], "1/s"),
        median_row(f"direct: p50, {PACED}", [r.paced.outcome.p50 for r in rounds], "ms"),
        median_row(f"direct: p99, {PACED}", [r.paced.outcome.p99 for r in rounds], "ms"),
    ]


def _flat(each: Iterable[Sequence[Round]]) -> list[Round]:
    return [one for rounds in each for one in rounds]
