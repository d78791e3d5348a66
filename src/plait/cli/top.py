"""`plait top`: who calls whom, how often, how slowly, and how much of it fails.

On a terminal the table renews itself every two seconds until interrupted; through a pipe, or with --once, it is printed
once.
"""

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plait.cli import context, options
from plait.cli.output import say
from plait.cli.render import Column, Output, Row, column, show_rows

if TYPE_CHECKING:
    from plait.api.client import Client

EVERY = 2.0
CLEAR = "\x1b[H\x1b[2J"


def _name(row: Row, side: str) -> str:
    namespace = row.get(f"{side}Namespace") or ""
    name = row.get(side) or "-"
    return name if namespace in ("", "default") else f"{namespace}/{name}"


def _percent(row: Row) -> str:
    return f"{100 * float(row.get('errors') or 0):.1f}%"


def _milliseconds(row: Row, field: str) -> str:
    value = row.get(field)
    return "-" if value is None else f"{float(value):.1f}"


COLUMNS = (
    Column(title="CALLER", cell=lambda row: _name(row, "source")),
    Column(title="CALLED", cell=lambda row: _name(row, "destination")),
    column("SERVICE", "destinationService"),
    column("PROTOCOL", "protocol"),
    Column(title="PER SECOND", cell=lambda row: f"{float(row['rate']):.1f}", right=True),
    Column(title="FAILED", cell=_percent, right=True),
    Column(title="P50 MS", cell=lambda row: _milliseconds(row, "p50"), right=True),
    Column(title="P90 MS", cell=lambda row: _milliseconds(row, "p90"), right=True),
    Column(title="P99 MS", cell=lambda row: _milliseconds(row, "p99"), right=True),
    column("CODES", "codes", wide=True),
    column("IDENTITY", "sourcePrincipal", wide=True),
    column("MEASURED BY", "reporter", wide=True),
)


def top(
    once: Annotated[bool, typer.Option("--once", help="Print once and end.")] = False,
    output: options.Format = Output.TABLE,
) -> None:
    """Show who calls whom: rate, share of failures, durations."""
    renewing = output in (Output.TABLE, Output.WIDE) and sys.stdout.isatty() and not once
    with context.current().client() as client:
        if not renewing:
            show_rows(_edges(client), COLUMNS, output, empty=EMPTY)
            return
        while True:
            rows = _edges(client)
            say(CLEAR + time.strftime("%H:%M:%S") + "   (Ctrl-C ends)")
            show_rows(rows, COLUMNS, output, empty=EMPTY)
            time.sleep(EVERY)


EMPTY = "No calls in the last minute."


def _edges(client: "Client") -> list[Mapping[str, Any]]:
    edges: list[Mapping[str, Any]] = list(client.edges())
    return sorted(edges, key=lambda edge: -float(edge["rate"]))
