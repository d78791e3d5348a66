"""A mesh of 1,000 services: what a sidecar that calls five of them holds, and how long a first call takes.

A workload answers for all services. Two workloads call: one calls five services and is left alone, then its sidecar's
memory is read; the other calls a hundred services of which its sidecar knows nothing, each once. A first call is
resolving the name, connecting and the answer, timed in a process that runs already (`first_calls.py`).
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench import processes, upstream
from bench.mesh import Mesh
from bench.rows import Row, median_row

SERVICES: Final = 1000
CALLED: Final = 5
UNKNOWN: Final = 100
SETTLE: Final = 5.0
"""Seconds until memory is read."""
MEMORY: Final = 22.0
MEDIAN: Final = 30.0
SLOWEST: Final = 100.0
CALLS: Final = Path(__file__).with_name("first_calls.py")
PORT: Final = 8080


def rows(mesh: Mesh) -> list[Row]:
    """The rows of a large mesh; the mesh keeps its services."""
    mesh.apply(documents())
    app = upstream.command(mesh.state / "many", f"listen {PORT};")
    mesh.plait("run", "--detach", "--name", "many", "--labels", "app=many", "--port", str(PORT), "--probe", "tcp",
               "--", *app)  # fmt: skip
    for name in ("few", "curious"):
        mesh.plait("run", "--detach", "--name", name, "--", "sleep", "100000")
    _called(mesh, "few", range(CALLED))
    time.sleep(SETTLE)
    held = processes.memory(pid for pid in mesh.workload("few")["pids"] if processes.executable(pid) == "envoy")
    return of_readings(held, _called(mesh, "curious", range(CALLED, CALLED + UNKNOWN)))


def of_readings(held: processes.Memory, taken: Sequence[float]) -> list[Row]:
    """The rows of what a sidecar holds and of the milliseconds that first calls took."""
    slowest = sorted(taken)[int(0.99 * (len(taken) - 1))]
    title = f"a sidecar in a mesh of {SERVICES} services that calls {CALLED}"
    return [
        median_row(f"{title}, anonymous memory", [held.anonymous], "MB", must=f"<= {MEMORY:.0f}", limit=MEMORY),
        Row(name=f"{title}, PSS", value=held.proportional, unit="MB"),
        median_row("first call of an unknown service, p50", taken, "ms", must=f"< {MEDIAN:.0f}", limit=MEDIAN),
        median_row("first call of an unknown service, p99", [slowest], "ms", must=f"< {SLOWEST:.0f}", limit=SLOWEST),
    ]


def documents(services: int = SERVICES) -> list[dict[str, Any]]:
    """The services: all lead to one app."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": f"many-{number}", "namespace": "default"},
            "spec": {
                "selector": {"app": "many"},
                "ports": [{"name": "http", "port": 80, "targetPort": PORT, "appProtocol": "http"}],
            },
        }
        for number in range(services)
    ]


def _called(mesh: Mesh, workload: str, numbers: Sequence[int]) -> list[float]:
    """Milliseconds of a first call to each of these services from a workload."""
    names = [f"many-{number}" for number in numbers]
    said = mesh.plait("exec", workload, "--", sys.executable, "-I", "-S", str(CALLS), *names)
    found: list[float] = json.loads(said)
    return found
