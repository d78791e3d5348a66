"""`python -m bench.document`: writes what build/bench.json says into the page on performance, and the picture.

The page has places for tables, each between `<!-- bench:NAME -->` and `<!-- /bench -->`; all else is written by hand.
What was not measured in that run is said to be so.
"""

import dataclasses
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bench import cells, chart, figures, haproxy, istio_like, nginx
from bench.cells import CORE, Cell
from bench.figures import Figure
from bench.mesh import REPOSITORY
from bench.paths import DIRECT
from bench.plait_paths import LAYER_4, PLAIT, TWICE
from bench.rows import Row

RESULT: Final = REPOSITORY / "build" / "bench.json"
PAGE: Final = REPOSITORY / "docs" / "explanation" / "performance.md"
PICTURE: Final = PAGE.with_suffix(".svg")
ORDER: Final = (DIRECT, PLAIT, LAYER_4, TWICE, figures.REFERENCE, istio_like.UPGRADED, haproxy.NAME, nginx.NAME)
IN_CORE: Final = (figures.CPU, figures.RATE, figures.PACED_CPU, figures.ADDED_P50, figures.ADDED_P99, figures.PSS_ALL)
IN_OTHERS: Final = (figures.CPU, figures.RATE, figures.PACED_CPU, figures.ADDED_P50, figures.ADDED_P99)
Rows = Mapping[str, Row]


def read(path: Path) -> Rows:
    """The rows of a run by name; a name that is indented is told with those above that it belongs to."""
    return {row.name: row for row in _whole_names([Row(**row) for row in json.loads(path.read_text())])}


def _whole_names(rows: Sequence[Row]) -> Iterator[Row]:
    above: list[str] = []
    for row in rows:
        depth = (len(row.name) - len(row.name.lstrip())) // 2
        above[depth:] = [row.name.strip()]
        yield dataclasses.replace(row, name=": ".join(above))


def filled(page: str, rows: Rows) -> str:
    """The page with every table made anew."""

    def table(match: re.Match[str]) -> str:
        lines = TABLES[match[1]](rows)
        return "\n".join([f"<!-- bench:{match[1]} -->", *lines, "<!-- /bench -->"])

    return re.sub(r"<!-- bench:(\w+) -->\n.*?<!-- /bench -->", table, page, flags=re.DOTALL)


def targets(rows: Rows) -> list[str]:
    """The table of everything that has a target."""
    head = ["figure", "value", "against", "ratio (half of the rounds)", "target", "reached"]
    found = [
        [
            row.name.removeprefix("target: "),
            f"{row.value:.3g} {row.unit}".strip(),
            row.baseline,
            _ratio(row),
            row.must.replace("<=", "≤").replace("<", "below").replace("ratio ", ""),
            _reached(row),
        ]
        for row in rows.values()
        if row.must
    ]
    return _table(head, found)


def core(rows: Rows) -> list[str]:
    """The table of the first cell."""
    return _of_cells(rows, [CORE], IN_CORE)


def others(rows: Rows) -> list[str]:
    """The table of the other cells."""
    return _of_cells(rows, cells.CELLS[1:], IN_OTHERS)


def profile(rows: Rows) -> list[str]:
    """The table of where the CPU of the first cell goes."""
    return _of_cells(rows, [dataclasses.replace(CORE, paths=CORE.paths[1:])], figures.OF_PROFILE)


def rest(rows: Rows) -> list[str]:
    """What has neither a target nor a cell."""
    known = tuple(f"{cell}: " for cell in cells.CELLS)
    found = [
        [row.name, f"{row.value:.3g} {row.unit}".strip(), row.spread]
        for row in rows.values()
        if not row.must and not row.name.startswith(known)
    ]
    return _table(["figure", "value", "range"], found)


def picture(rows: Rows) -> str:
    """The picture of CPU and latency in the first cell."""
    groups = [
        chart.Group(title=f"{title} ({CORE})", unit=figure.unit, values=_bars(rows, figure))
        for figure, title in (
            (figures.CPU, "CPU a request of both sidecars, saturated"),
            (figures.PACED_CPU, f"CPU a request of both sidecars, {CORE.rate} requests a second"),
            (figures.ADDED_P50, f"added median latency, {CORE.rate} requests a second"),
        )
    ]
    return chart.svg(groups, ours=PLAIT)


TABLES: Final[Mapping[str, Callable[[Rows], list[str]]]] = {
    "targets": targets,
    "core": core,
    "others": others,
    "profile": profile,
    "rest": rest,
}


def _bars(rows: Rows, figure: Figure) -> dict[str, float]:
    found = {path: rows.get(figures.name(CORE, path, figure)) for path in ORDER}
    return {path: row.value for path, row in found.items() if row is not None}


def _of_cells(rows: Rows, chosen: Sequence[Cell], shown: Sequence[Figure]) -> list[str]:
    head = ["calls", "path", *(f"{figure.name} ({figure.unit})" for figure in shown)]
    found = [
        [str(cell), path, *(_value(rows, cell, path, figure) for figure in shown)]
        for cell in chosen
        for path in ORDER
        if path in cell.paths
    ]
    return _table(head, found)


def _value(rows: Rows, cell: Cell, path: str, figure: Figure) -> str:
    if path == DIRECT:
        figure = {figures.ADDED_P50: figures.PACED_P50, figures.ADDED_P99: figures.PACED_P99}.get(figure, figure)
    row = rows.get(figures.name(cell, path, figure))
    if row is None:
        return "" if path == DIRECT else "not measured"
    whole = f"{row.value:,.0f}" if row.value >= 100 else f"{row.value:.3g}"
    total = " (all)" if path == DIRECT and figure in (figures.PACED_P50, figures.PACED_P99) else ""
    return whole + total


def _ratio(row: Row) -> str:
    return row.spread if row.ratio is None else f"{row.ratio:.2f} ({row.spread.replace('..', ' to ')})"


def _reached(row: Row) -> str:
    return {True: "yes", False: "**no**", None: "not decided"}[row.holds]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def main() -> int:
    """Write both; 2 if there is no run to write about."""
    if not RESULT.exists():
        sys.stderr.write("bench: there is no build/bench.json; run `make bench` first\n")
        return 2
    rows = read(RESULT)
    PAGE.write_text(filled(PAGE.read_text(), rows))
    PICTURE.write_text(picture(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
