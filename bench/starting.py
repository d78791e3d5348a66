"""How much later an app starts because its sidecar has to be ready first."""

import os
import subprocess
import time
from collections.abc import Sequence

from bench.mesh import PLAIT, REPOSITORY, Mesh
from bench.rows import Row, median_row

ROUNDS = 7
CLOCK = ("date", "+%s%N")
"""The app: it tells the time of its first instructions and ends."""


def delays(mesh: Mesh, rounds: int = ROUNDS) -> list[Row]:
    """The rows of an app's start, against the same command without a mesh."""
    _delay(mesh, _run(0))  # the first ever reads everything from disk
    added: list[float] = []
    until_running: list[float] = []
    for number in range(1, rounds + 1):
        alone = _delay(mesh, CLOCK)
        added.append(_delay(mesh, _run(number)) - alone)
        until_running.append(_until_running(mesh, f"late-{number}"))
    return [
        median_row("app's delay by its sidecar's start", added, "s", must="< 1", limit=1),
        median_row("`plait run --detach` until Running", until_running, "s"),
    ]


def _run(number: int) -> Sequence[str]:
    return (*PLAIT, "run", "--name", f"early-{number}", "--", *CLOCK)


def _delay(mesh: Mesh, command: Sequence[str]) -> float:
    """Seconds from starting the command to the app's own time."""
    started = time.time_ns()
    done = subprocess.run(
        command, env=mesh.environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[-4:])}: {done.stderr.strip()}")
    return (int(done.stdout.split()[-1]) - started) / 1e9


def _until_running(mesh: Mesh, name: str) -> float:
    started = time.monotonic()
    mesh.plait("run", "--detach", "--name", name, "--", "sleep", "100000")
    taken = time.monotonic() - started
    if mesh.workload(name)["phase"] != "Running":
        raise RuntimeError(f"{name} does not run although `plait run --detach` came back")
    mesh.plait("stop", name)
    return taken


def privileged() -> bool:
    """Whether this machine lets the bench make network namespaces."""
    return os.geteuid() == 0
