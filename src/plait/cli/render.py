"""Answers on the terminal: tables for people, JSON and YAML for programs.

A table is declared as columns over the very rows that `-o json` prints, so both always tell the same. Columns marked
`wide` appear with `-o wide`. On a terminal the header is bold and states are coloured; through a pipe the text is plain
and never cut.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from plait.cli.fields import as_list, as_mapping
from plait.cli.output import say

Row = Mapping[str, Any]


class Output(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column: its title and how a row's cell is read."""

    title: str
    cell: Callable[[Row], object]
    wide: bool = False
    right: bool = False


def column(title: str, path: str, *, wide: bool = False, right: bool = False) -> Column:
    """A column that shows the field at a dotted path."""
    return Column(title=title, cell=lambda row: pick(row, path), wide=wide, right=right)


def pick(value: Any, path: str) -> Any:
    """The field at a dotted path, or None where it ends early."""
    for name in path.split("."):
        if (inside := as_mapping(value)) is None:
            return None
        value = inside.get(name)
    return value


def text(value: object) -> str:
    """A cell as a person reads it."""
    if value is None or value in ("", [], {}):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if (fields := as_mapping(value)) is not None:
        return ",".join(f"{key}={text(item)}" for key, item in fields.items())
    if (items := as_list(value)) is not None:
        return ",".join(text(item) for item in items)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def show_rows(rows: Sequence[Row], columns: Sequence[Column], output: Output, *, empty: str) -> None:
    """Print rows as a table, or all of them as JSON or YAML; `empty` is said instead of a table without rows."""
    if output in (Output.JSON, Output.YAML):
        show_value(list(rows), output)
    elif rows:
        show_table([c for c in columns if output is Output.WIDE or not c.wide], rows)
    else:
        say(empty)


def show_value(value: Any, output: Output) -> None:
    """Print a value as JSON or YAML."""
    if output is Output.YAML:
        import yaml

        say(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120).rstrip("\n"))
    else:
        say(json.dumps(value, indent=2, ensure_ascii=False))


def show_table(columns: Sequence[Column], rows: Iterable[Row]) -> None:
    """Print a table."""
    cells = [[text(c.cell(row)) for c in columns] for row in rows]
    if sys.stdout.isatty():
        _show_styled(columns, cells)
        return
    for line in plain_table([c.title for c in columns], cells, [c.right for c in columns]):
        say(line)


def plain_table(titles: Sequence[str], cells: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    """The lines of a table without any styling; columns are two spaces apart."""
    widths = [max(len(line[at]) for line in [titles, *cells]) for at in range(len(titles))]
    return [
        "  ".join(
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in [titles, *cells]
    ]


STYLES = {
    "Running": "green", "ready": "green", "synced": "green", "ok": "green", "yes": "green",
    "Pending": "yellow", "Warming": "yellow", "Draining": "yellow", "behind": "yellow", "warning": "yellow",
    "refused": "red", "problem": "red", "Exited": "dim", "disconnected": "red", "no": "yellow",
}  # fmt: skip
"""Colours of words that tell a state."""


def _show_styled(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for c in columns:
        table.add_column(c.title, justify="right" if c.right else "left", overflow="fold")
    for line in cells:
        table.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in line))
    Console().print(table)
