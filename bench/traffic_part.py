"""The bench's part "traffic": makes the paths, measures cell by cell, and returns the rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench import figures, haproxy, istio_like, mesh, nginx, packages, paths, peers, places, plait_paths
from bench.cells import Cell
from bench.rows import Row, write_readings
from bench.traffic import Measured, measure
from plait.errors import RefusedError

READINGS: Final = mesh.REPOSITORY / "build" / "bench-readings.json"
PEERS: Final = ((haproxy.NAME, packages.HAPROXY), (nginx.NAME, packages.NGINX))


def rows(running: mesh.Mesh, folder: Path, cells: Sequence[Cell]) -> list[Row]:
    """Measure these cells; a peer whose program is not there is left out and named, so is a cell that failed."""
    packages.install(packages.missing([packages.LOAD, *(files for _, files in PEERS)]))
    if lacking := packages.missing([packages.LOAD]):
        raise RefusedError(f"the bench needs {', '.join(lacking)}", f"apt-get install {' '.join(lacking)}")
    absent = [(peer, packages.missing([files])) for peer, files in PEERS]
    measured: list[tuple[Cell, Measured]] = []
    problems: list[Row] = []
    with places.places(folder) as own:
        made = {path.name: path for path in _paths(running, own, folder, skip=[peer for peer, need in absent if need])}
        for cell in cells:
            try:
                measured.append((cell, measure(cell, [made[name] for name in cell.paths if name in made])))
            except (RuntimeError, OSError) as error:
                problems.append(figures.unmeasured(cell, str(error)))
    _keep(measured)
    return [*figures.rows(measured), *figures.missing_peers(absent), *problems]


def _paths(running: mesh.Mesh, own: places.Places, folder: Path, *, skip: Sequence[str]) -> list[paths.PathUnderTest]:
    programs = [program for program in (haproxy.HAProxy(), nginx.Nginx()) if program.name not in skip]
    pairs = [*istio_like.pairs(own, folder), *(peers.Pair(program, own, folder) for program in programs)]
    return [paths.direct(own, folder), *plait_paths.paths(running, folder), *(pair.path() for pair in pairs)]


def _keep(measured: Sequence[tuple[Cell, Measured]]) -> None:
    """Write every reading, for whoever doubts a median."""
    write_readings({f"{cell}: {name}": rounds for cell, found in measured for name, rounds in found.items()}, READINGS)
