"""Starting and ending the demo's mesh and shop, and asking its workloads to make calls."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import plait
from plait.cli import context, pids, quick_status
from plait.errors import DeadlineError, PlaitError, RefusedError

NAMESPACE = "shop"
WORKLOADS = ("catalogue", "reviews-v1", "reviews-v2", "payments", "orders", "frontend", "customers")
PLAIT = (sys.executable, "-m", "plait.cli")
PROBE = Path(__file__).with_name("demo_probe.py")


def folder() -> Path:
    """Where the shop's files are: beside the sources in a checkout, inside the package when installed."""
    package = Path(plait.__file__).parent
    for candidate in (package.parent.parent / "examples" / "shop", package / "examples" / "shop"):
        if (candidate / "mesh.yaml").is_file():
            return candidate
    raise RefusedError("the shop's files are not installed", "run the demo from a checkout of Plait")


def environment(mesh: context.Mesh) -> dict[str, str]:
    """The environment of the demo's processes: this mesh, and this Python first on the path."""
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    found = {**os.environ, "PATH": path, "PLAIT_STATE_DIR": str(mesh.state_dir), "DATA": str(mesh.state_dir / "shop")}
    found.pop("PLAIT_SERVER", None)
    return found


def plait_command(mesh: context.Mesh, *words: str, within: float = 60) -> str:
    """Run a command of Plait's own and return what it printed; raises PlaitError with what it said if it fails."""
    try:
        done = subprocess.run(
            [*PLAIT, *words],
            env=environment(mesh),
            cwd=folder(),
            capture_output=True,
            text=True,
            timeout=within,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DeadlineError(f"plait {words[0]} did not end within {within:.0f} s") from None
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        raise PlaitError(f"plait {' '.join(words[:2])}: {said}")
    return done.stdout


def mesh_runs(mesh: context.Mesh) -> bool:
    """Whether the mesh is up and ready."""
    return quick_status.is_ready(quick_status.fetch(mesh.run_dir / "api.sock"))


def start_mesh(mesh: context.Mesh) -> None:
    """Start a mesh."""
    plait_command(mesh, "up", "--detach", within=90)


def running(mesh: context.Mesh) -> frozenset[str]:
    """The shop's workloads that run."""
    rows = json.loads(plait_command(mesh, "get", "workloads", "-n", NAMESPACE, "-o", "json"))
    return frozenset(row["name"] for row in rows if row["phase"] == "Running")


def start_shop(mesh: context.Mesh) -> None:
    """Apply the shop's objects and start its processes."""
    (mesh.state_dir / "shop").mkdir(exist_ok=True)
    plait_command(mesh, "apply", "-f", "mesh.yaml")
    plait_command(mesh, "start", "-f", "workloads.yaml", "--detach", within=90)


def stop(mesh: context.Mesh) -> None:
    """End the mesh and everything in it."""
    plait_command(mesh, "down", within=90)


def wait_ready(mesh: context.Mesh, within: float) -> float:
    """Wait until the mesh is ready; the seconds that took."""
    started = time.monotonic()
    while time.monotonic() - started < within:
        if mesh_runs(mesh):
            return time.monotonic() - started
        time.sleep(0.1)
    raise DeadlineError(f"the mesh was not ready within {within:.0f} s", "see `plait status`")


def control_pid(mesh: context.Mesh) -> int | None:
    """The process id of control."""
    return pids.alive(mesh.run_dir / "control.pid")


class Probe:
    """A run of the probe inside a workload, in the background."""

    def __init__(self, mesh: context.Mesh, workload: str, plan: Mapping[str, Any]) -> None:
        command = [*PLAIT, "exec", workload, "-n", NAMESPACE, "--", sys.executable, str(PROBE), json.dumps(plan)]
        self._limit = float(plan.get("seconds", 30)) + 20
        self._process = subprocess.Popen(
            command, env=environment(mesh), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def result(self) -> dict[str, Any]:
        """What it counted; raises PlaitError if it could not run."""
        try:
            out, errors = self._process.communicate(timeout=self._limit)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise DeadlineError(f"calls from inside the shop did not end within {self._limit:.0f} s") from None
        if self._process.returncode:
            raise PlaitError(f"calls from inside the shop failed: {errors.decode(errors='replace').strip()}")
        return json.loads(out)


def probe(mesh: context.Mesh, workload: str, calls: Sequence[Mapping[str, Any]], **plan: Any) -> dict[str, Any]:
    """Run the probe and wait for what it counted."""
    return Probe(mesh, workload, {"calls": list(calls), **plan}).result()


def lost(result: Mapping[str, Any]) -> int:
    """How many calls of a probe were lost: no answer, or one that says that something between failed."""
    return sum(count for status, count in result["statuses"].items() if status == "0" or status.startswith("5"))
