"""Memory of control plane and node agent while the demo's shop runs."""

import json
import time

import psutil

from bench import processes
from bench.mesh import REPOSITORY, Mesh
from bench.rows import Row

SHOP = REPOSITORY / "examples" / "shop"
SETTLE = 10.0
"""Seconds of the shop's own load before memory is read."""
LIMIT = 200.0


def memory(mesh: Mesh) -> list[Row]:
    """The rows of what runs beside the shop; the shop keeps running."""
    (mesh.state / "shop").mkdir(exist_ok=True)
    mesh.plait("apply", "-f", "mesh.yaml", folder=SHOP)
    mesh.plait("start", "-f", "workloads.yaml", "--detach", folder=SHOP)
    time.sleep(SETTLE)
    control, node = (processes.memory([mesh.pid(name)]) for name in ("control", "node"))
    launchers = processes.memory(_launchers(mesh.pid("node")))
    both = control + node
    sidecars = sidecar_memory(mesh)
    return [
        Row(
            name="memory of control and node agent, demo shop",
            value=both.resident,
            unit="MB",
            spread=f"control {control.resident:.0f}, node {node.resident:.0f}; PSS {both.proportional:.0f}",
            must=f"< {LIMIT:.0f}",
            holds=both.resident < LIMIT,
        ),
        Row(name="memory of the shop's launchers together, PSS", value=launchers.proportional, unit="MB"),
        Row(name="memory of a sidecar in the shop, anonymous", value=sidecars, unit="MB"),
    ]


def sidecar_memory(mesh: Mesh) -> float:
    """Anonymous megabytes of the shop's sidecars, on average."""
    rows = json.loads(mesh.plait("get", "workloads", "-n", "shop", "-o", "json"))
    pids = [pid for row in rows for pid in row["pids"] if processes.executable(pid) == "envoy"]
    return processes.memory(pids).anonymous / max(1, len(pids))


def _launchers(node: int) -> list[int]:
    """The small processes that own the apps, one a workload."""
    children = psutil.Process(node).children()
    return [child.pid for child in children if any("plait.node.launcher" in word for word in child.cmdline())]
