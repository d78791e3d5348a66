"""What the agent tells about its workloads."""

from pathlib import Path
from typing import Any, Final

from plait.node import admin, envoys
from plait.node.workload import Workload

_LAST: Final = 64 << 10


def summary(workload: Workload) -> dict[str, Any]:
    """One line of `list`: what is known here, whether control is there or not."""
    life, habitat = workload.life, workload.habitat
    return {
        "name": workload.name.name,
        "namespace": workload.name.namespace,
        "serviceAccount": workload.spec.service_account,
        "kind": "gateway" if workload.spec.gateway else "sidecar",
        "phase": life.phase.value,
        "ready": life.published,
        "probe": workload.probe_result,
        "capture": workload.capture.value,
        "address": habitat.address if habitat else "",
        "netns": habitat.netns if habitat else "",
        "pids": [pid for pid in (life.pid, workload.envoy_pid) if pid],
        "sidecarRestarts": workload.sidecar.restarts if workload.sidecar is not None else 0,
        "proxyCurrent": envoys.current(workload),
        "proxiesLeaving": len(workload.sidecar.leaving) if workload.sidecar is not None else 0,
        "owner": workload.owner.uid,
        "steps": dict(workload.steps),
        "command": list(workload.spec.command),
    }


async def configuration(workload: Workload) -> Any:
    """What its Envoy holds."""
    return await admin.configuration(workload.directory.admin)


def logs(workload: Workload) -> dict[str, str]:
    """What its Envoy printed last, and its app if it is detached."""
    return {"proxy": _tail(workload.directory.envoy_log), "app": _tail(workload.directory.log)}


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _LAST))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
