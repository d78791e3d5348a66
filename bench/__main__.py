"""`python -m bench`: measures, prints the table and writes build/bench.json.

usage: python -m bench [--quick] [PART...]      (without parts: all; they are listed in `PARTS`)

`--quick` takes so few and short readings of traffic and growth that it only shows that everything works.
Exit code 1: a target is missed; 2: something could not be measured. `python -m bench.document` writes the figures and
the picture into docs/explanation.
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import cells, control, demand, demo, growth, growth_workers, live, mesh, routing_table, starting, streams
from bench import traffic_part as traffic
from bench.rows import Row, show, write
from plait.errors import PlaitError

PARTS = ("traffic", "routing", "starting", "control", "demo", "demand", "growth", "workers")
WITHOUT_MESH = frozenset({"control", "growth", "workers"})
RESULT = mesh.REPOSITORY / "build" / "bench.json"


def of_control() -> Iterator[Row]:
    """The control plane's rows."""
    yield control.full_build()
    builder = control.built(control.documents())
    yield streams.one_endpoint(builder)
    yield live.one_endpoint(builder)


def of_mesh(chosen: Sequence[str], *, quick: bool) -> Iterator[Row]:
    """The rows that need a mesh."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plait-bench-")))
        running = stack.enter_context(mesh.mesh(folder / "mesh"))
        if "starting" in chosen:
            yield from starting.delays(running)
        if "traffic" in chosen and starting.privileged():
            yield from traffic.rows(running, folder, cells.quick(cells.CELLS) if quick else cells.CELLS)
        if "routing" in chosen and starting.privileged():
            yield from routing_table.rows(running, folder, rounds=2 if quick else routing_table.ROUNDS)
        if "demo" in chosen:
            yield from demo.memory(running)
        if "demand" in chosen and starting.privileged():
            yield from demand.rows(running)


def measured(chosen: Sequence[str], *, quick: bool) -> Iterator[Row]:
    """Everything that was asked for, row by row."""
    if set(chosen) - WITHOUT_MESH:
        yield from of_mesh(chosen, quick=quick)
    if "control" in chosen:
        yield from of_control()
    if "growth" in chosen:
        yield from growth.part(quick=quick)
    if "workers" in chosen:
        yield from growth_workers.part(quick=quick)


def main(words: Sequence[str]) -> int:
    """Measure; exit code 1 if a target is missed, 2 if something could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; without any: all")
    given = parser.parse_args(words)
    chosen: Sequence[str] = given.parts or PARTS
    if unknown := sorted(set(chosen) - set(PARTS)):
        parser.error(f"no part is called {unknown[0]}; there are {', '.join(PARTS)}")
    if {"traffic", "routing", "demand"} & set(chosen) and not starting.privileged():
        sys.stderr.write("bench: requests through sidecars are not measured: network namespaces need root\n")
    rows: list[Row] = []
    code = 0
    try:
        for row in measured(chosen, quick=given.quick):
            rows.append(row)
    except (PlaitError, RuntimeError, OSError) as error:
        sys.stderr.write(f"bench: {error}\n")
        code = 2
    show(rows)
    write(rows, RESULT)
    return code or int(any(row.holds is False for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
