"""A row of the table: a measured value, its spread, and its ratio to a baseline of the same run."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. `baseline` names what `ratio` compares with; `must` is the target, empty if there is none."""

    name: str
    value: float
    unit: str
    baseline: str = ""
    ratio: float | None = None
    spread: str = ""
    must: str = ""
    holds: bool | None = None


def median_row(name: str, values: Sequence[float], unit: str, *, must: str = "", limit: float | None = None) -> Row:
    """The median of several readings, with their range; `limit` is the most that the target allows."""
    value = statistics.median(values)
    spread = f"{min(values):.4g}..{max(values):.4g}"
    return Row(
        name=name, value=value, unit=unit, spread=spread, must=must, holds=None if limit is None else value <= limit
    )


def quartiles(values: Sequence[float]) -> str:
    """Between which values half of them lie; of fewer than four, all."""
    if len(values) < 4:
        return f"{min(values):.3g}..{max(values):.3g}"
    lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
    return f"{lower:.3g}..{upper:.3g}"


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    table = Table("figure", "value", "unit", "baseline", "ratio", "spread", "target", "reached")
    for row in rows:
        reached = "" if row.holds is None else ("yes" if row.holds else "NO")
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        table.add_row(row.name, f"{row.value:.4g}", row.unit, row.baseline, ratio, row.spread, row.must, reached)
    Console(width=160).print(table)


def write(rows: Sequence[Row], path: Path) -> None:
    """Write the rows as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


def write_readings(readings: Mapping[str, Sequence[Any]], path: Path) -> None:
    """Write everything that was read (sequences of dataclasses), for whoever doubts a median."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = {name: [asdict(reading) for reading in each] for name, each in readings.items()}
    path.write_text(json.dumps(found, indent=1) + "\n")
