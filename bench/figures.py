"""The table of the traffic: every path of every cell against the Istio-like pair, the targets, and what failed.

A ratio is that of two readings of one round; the median of the rounds' ratios counts. Latency is what a path adds to
the direct path of the same round. Figures of the fixed rate use only rounds in which all who are compared kept up; if
fewer rounds than `FEWEST_ROUNDS` nothing is decided.
"""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bench import istio_like, nginx
from bench.cells import CORE, Cell
from bench.paths import DIRECT
from bench.plait_paths import LAYER_4, PLAIT
from bench.rows import Row, quartiles
from bench.traffic import Measured, Round

FEWEST_ROUNDS: Final = 5
REFERENCE: Final = istio_like.NAME
Value = Callable[[Round, Round], float]
"""A figure of a round of a path, given the round of the direct path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Something that is read of every path; `paced` if it is read at the fixed rate."""

    name: str
    unit: str
    of: Value
    paced: bool = False


CPU: Final = Figure(name="CPU a request, saturated", unit="us", of=lambda mine, _: mine.saturated.cpu)
RATE: Final = Figure(
    name="requests a second, saturated", unit="1/s", of=lambda mine, _: mine.saturated.outcome.per_second
)
P50: Final = Figure(name="p50, saturated", unit="ms", of=lambda mine, _: mine.saturated.outcome.p50)
P99: Final = Figure(name="p99, saturated", unit="ms", of=lambda mine, _: mine.saturated.outcome.p99)
PACED_CPU: Final = Figure(name="CPU a request, fixed rate", unit="us", of=lambda mine, _: mine.paced.cpu, paced=True)
PACED_P50: Final = Figure(name="p50, fixed rate", unit="ms", of=lambda mine, _: mine.paced.outcome.p50, paced=True)
PACED_P99: Final = Figure(name="p99, fixed rate", unit="ms", of=lambda mine, _: mine.paced.outcome.p99, paced=True)
ADDED_P50: Final = Figure(
    name="added p50, fixed rate",
    unit="ms",
    of=lambda mine, floor: mine.paced.outcome.p50 - floor.paced.outcome.p50,
    paced=True,
)
ADDED_P99: Final = Figure(
    name="added p99, fixed rate",
    unit="ms",
    of=lambda mine, floor: mine.paced.outcome.p99 - floor.paced.outcome.p99,
    paced=True,
)
ANONYMOUS: Final = Figure(
    name="memory of both sidecars, anonymous", unit="MB", of=lambda mine, _: mine.memory.anonymous
)
PSS: Final = Figure(name="memory of both sidecars, PSS", unit="MB", of=lambda mine, _: mine.memory.proportional)
PSS_ALL: Final = Figure(
    name="memory with the node agent, PSS",
    unit="MB",
    of=lambda mine, _: mine.memory.proportional + mine.beside.proportional,
)
CALLER_USER: Final = Figure(name="caller's side, own code", unit="us", of=lambda mine, _: mine.saturated.caller.user)
CALLER_KERNEL: Final = Figure(name="caller's side, kernel", unit="us", of=lambda mine, _: mine.saturated.caller.kernel)
SERVER_USER: Final = Figure(name="server's side, own code", unit="us", of=lambda mine, _: mine.saturated.server.user)
SERVER_KERNEL: Final = Figure(name="server's side, kernel", unit="us", of=lambda mine, _: mine.saturated.server.kernel)
OF_PROFILE: Final = (CALLER_USER, CALLER_KERNEL, SERVER_USER, SERVER_KERNEL)
OF_DIRECT: Final = (RATE, P50, P99, PACED_P50, PACED_P99)
OF_PATHS: Final = (CPU, RATE, P50, P99, PACED_CPU, ADDED_P50, ADDED_P99)
OF_CORE: Final = (ANONYMOUS, PSS, PSS_ALL, *OF_PROFILE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What must be reached: the most that the ratio of ours to another's figure may be, in the first cell."""

    figure: Figure
    ours: str
    other: str
    most: float


BOUNDS: Final = (
    Bound(figure=CPU, ours=PLAIT, other=REFERENCE, most=0.52),
    Bound(figure=CPU, ours=PLAIT, other=nginx.NAME, most=1.9),
    Bound(figure=CPU, ours=LAYER_4, other=REFERENCE, most=0.20),
    Bound(figure=PACED_CPU, ours=PLAIT, other=REFERENCE, most=0.60),
    Bound(figure=PACED_CPU, ours=PLAIT, other=nginx.NAME, most=1.5),
    Bound(figure=PACED_CPU, ours=LAYER_4, other=REFERENCE, most=0.30),
    Bound(figure=ADDED_P50, ours=PLAIT, other=REFERENCE, most=0.65),
    Bound(figure=CPU, ours=PLAIT, other=REFERENCE, most=0.80),
    Bound(figure=PACED_CPU, ours=PLAIT, other=REFERENCE, most=0.80),
    *(
        Bound(figure=figure, ours=PLAIT, other=istio_like.UPGRADED, most=most)
        for figure, most in ((CPU, 0.52), (PACED_CPU, 0.60), (ADDED_P50, 0.65), (CPU, 0.80), (PACED_CPU, 0.80))
    ),
    Bound(figure=CPU, ours=LAYER_4, other=istio_like.UPGRADED, most=0.20),
    Bound(figure=PACED_CPU, ours=LAYER_4, other=istio_like.UPGRADED, most=0.30),
)
"""What the default must reach, the strictest first, then those of the first release; and the same against Istio's
sidecars as they are when a mesh asks for HTTP/2 between them, which it does not by default."""


def name(cell: Cell, path: str, figure: Figure) -> str:
    """The name of a row."""
    return f"{cell}: {path}: {figure.name}"


def bound_name(bound: Bound) -> str:
    """The name of a target's row."""
    return f"target: {bound.ours} to {bound.other}: {bound.figure.name}, at most {bound.most:.2f}"


def rows(measured: Sequence[tuple[Cell, Measured]]) -> list[Row]:
    """All rows of the traffic, targets first."""
    core = [paths for cell, paths in measured if cell.call == CORE.call]
    found = bounds(core[0] if core else {})
    failed = 0
    for cell, paths in measured:
        found += _of_cell(cell, paths, OF_CORE if cell.call == CORE.call else ())
        failed += sum(
            each.saturated.outcome.failed + each.paced.outcome.failed for rounds in paths.values() for each in rounds
        )
    return [*found, Row(name="requests that failed, all paths", value=failed, unit="", must="0", holds=failed == 0)]


def bounds(measured: Measured) -> list[Row]:
    """The rows of the targets; of a peer that is not there, a row that says so."""
    found: list[Row] = []
    for bound in BOUNDS:
        title, must = bound_name(bound), f"ratio <= {bound.most}"
        if bound.ours not in measured or bound.other not in measured:
            found.append(Row(name=title, value=0, unit=bound.figure.unit, must=must, spread="not measured"))
            continue
        row = _compared(title, measured, bound.figure, ours=bound.ours, other=bound.other)
        decided = row.ratio is not None and _enough(measured, bound)
        found.append(replace(row, must=must, holds=row.ratio <= bound.most if decided and row.ratio else None))
    return found


def _enough(measured: Measured, bound: Bound) -> bool:
    usable = len(_usable(measured, bound.figure, (bound.ours, bound.other)))
    return usable >= FEWEST_ROUNDS


def _of_cell(cell: Cell, measured: Measured, more: Sequence[Figure]) -> list[Row]:
    found: list[Row] = []
    for path in measured:
        for figure in OF_DIRECT if path == DIRECT else (*OF_PATHS, *more):
            title = name(cell, path, figure)
            if path in (DIRECT, REFERENCE) or REFERENCE not in measured:
                found.append(_alone(title, measured, figure, path))
            else:
                found.append(_compared(title, measured, figure, ours=path, other=REFERENCE))
    return found


def _usable(measured: Measured, figure: Figure, paths: Sequence[str]) -> list[int]:
    """The numbers of the rounds that count for a figure of these paths."""
    count = min(len(measured[path]) for path in paths)
    needed = (*paths, DIRECT)
    return [
        number for number in range(count) if not figure.paced or all(measured[path][number].kept_up for path in needed)
    ]


def _values(measured: Measured, figure: Figure, path: str, numbers: Sequence[int]) -> list[float]:
    return [figure.of(measured[path][number], measured[DIRECT][number]) for number in numbers]


def _alone(title: str, measured: Measured, figure: Figure, path: str) -> Row:
    values = _values(measured, figure, path, _usable(measured, figure, (path,)))
    if not values:
        return _too_busy(title, figure, len(measured[path]))
    return Row(name=title, value=statistics.median(values), unit=figure.unit, spread=quartiles(values))


def _compared(title: str, measured: Measured, figure: Figure, *, ours: str, other: str) -> Row:
    numbers = _usable(measured, figure, (ours, other))
    if not numbers:
        return _too_busy(title, figure, len(measured[ours]))
    mine, theirs = (_values(measured, figure, path, numbers) for path in (ours, other))
    ratios = [value / against for value, against in zip(mine, theirs, strict=True) if against > 0]
    rounds = len(measured[ours])
    noted = "" if len(ratios) == rounds else f" ({len(ratios)} of {rounds} rounds)"
    return Row(
        name=title,
        value=statistics.median(mine),
        unit=figure.unit,
        baseline=f"{other} {statistics.median(theirs):.4g}",
        ratio=statistics.median(ratios) if ratios else None,
        spread=(quartiles(ratios) if ratios else "no ratio") + noted,
    )


def _too_busy(title: str, figure: Figure, rounds: int) -> Row:
    return Row(name=title, value=0, unit=figure.unit, spread=f"0 of {rounds} rounds kept up: machine too busy")


def unmeasured(cell: Cell, problem: str) -> Row:
    """The row of a cell that could not be read to its end: a missed target."""
    return Row(name=f"{cell}: measured", value=0, unit="", must="measured", holds=False, spread=problem[:160])


def missing_peers(needed: Sequence[tuple[str, Sequence[str]]]) -> list[Row]:
    """A row for each peer that could not take part, with the packages that it needs."""
    return [
        Row(name=f"{CORE}: {peer}: not measured", value=0, unit="", spread=f"apt-get install {' '.join(packages)}")
        for peer, packages in needed
        if packages
    ]
