"""`python -m bench`: measures everything, prints the table and writes build/bench.json.

usage: python -m bench [control] [traffic] [starting] [demo]      (without words: all)
"""

import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import control, demo, live, mesh, paths, places, starting, streams, traffic, upstream
from bench.rows import Row, show, write, write_readings
from plait.errors import PlaitError

PARTS = ("traffic", "starting", "control", "demo")
RESULT = mesh.REPOSITORY / "build" / "bench.json"


def of_control() -> list[Row]:
    """The control plane's rows."""
    full = control.full_build()
    builder = control.built(control.documents())
    return [full, streams.one_endpoint(builder), live.one_endpoint(builder)]


def of_traffic(running: mesh.Mesh, folder: Path) -> list[Row]:
    """The data plane's rows."""
    upstream.check_tools()
    with places.places(folder) as own:
        compared = [
            paths.plait(running, folder),
            paths.IstioLike(own, folder).path(),
            paths.direct(own, folder),
        ]
        measured = traffic.measure(compared)
        write_readings(measured, RESULT.with_name("bench-readings.json"))
        return traffic.rows(measured)


def of_mesh(chosen: Sequence[str]) -> Iterator[Row]:
    """The rows that need a mesh."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plait-bench-")))
        running = stack.enter_context(mesh.mesh(folder / "mesh"))
        if "starting" in chosen:
            yield from starting.delays(running)
        if "traffic" in chosen and starting.privileged():
            yield from of_traffic(running, folder)
        if "demo" in chosen:
            yield from demo.memory(running)


def main(words: Sequence[str]) -> int:
    """Measure; exit code 1 if a target is missed, 2 if something could not be measured."""
    chosen = words or PARTS
    if unknown := sorted(set(chosen) - set(PARTS)):
        sys.stderr.write(f"bench: no part is called {unknown[0]}; there are {', '.join(PARTS)}\n")
        return 2
    if "traffic" in chosen and not starting.privileged():
        sys.stderr.write("bench: requests through sidecars are not measured: network namespaces need root\n")
    try:
        rows = list(of_mesh(chosen)) if set(chosen) - {"control"} else []
        rows += of_control() if "control" in chosen else []
    except (PlaitError, RuntimeError) as error:
        sys.stderr.write(f"bench: {error}\n")
        return 2
    show(rows)
    write(rows, RESULT)
    return 1 if any(row.holds is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
