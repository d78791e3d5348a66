"""The light client behind `plait run|start|exec|stop|gateway`: asks the node agent, then waits with the launcher.

It hands the agent the request and its own stdin, stdout and stderr (SCM_RIGHTS). What comes back is a socket to the
launcher that owns the app: signals go there, and the exit code comes from there, so neither needs the agent to live.
From the agent come only what it did and whether the workload is ready. Standard library only: loading it is quick.

Failures of our own end with 125, a command that cannot be executed with 126, one that does not exist with 127.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plait.node.session import Session, ask


def run(agent: Path, spec: Mapping[str, Any], *, detach: bool = False, ready_file: Path | None = None) -> int:
    """Run one workload; returns the app's exit code (detached: 0 once it is ready)."""
    serves = bool(spec.get("ports") or spec.get("services"))
    request = {"do": "run", "spec": {**spec, "user": spec.get("user") or _behind_sudo()}}
    return Session(agent, ready_file=ready_file).run(request, detach=detach, terminal=not serves)


def start(agent: Path, specs: Sequence[Mapping[str, Any]], *, detach: bool = False) -> int:
    """Run many workloads until all have ended; the first exit code that is not 0 (detached: 0 once all are ready)."""
    user = _behind_sudo()
    request = {"do": "start", "specs": [{**spec, "user": spec.get("user") or user} for spec in specs]}
    return Session(agent).run(request, detach=detach, terminal=False)


def execute(agent: Path, namespace: str, name: str, request: Mapping[str, Any]) -> int:
    """Run another command in the place of a workload; returns its exit code."""
    return Session(agent).run(
        {**request, "do": "exec", "namespace": namespace, "name": name}, detach=False, terminal=True
    )


def gateway(agent: Path, namespace: str, name: str, *, detach: bool = False, ready_file: Path | None = None) -> int:
    """Run the proxy of a Gateway until it is asked to end (detached: 0 once it is ready)."""
    request = {"do": "gateway", "spec": {"namespace": namespace, "name": name, "gateway": name}}
    return Session(agent, ready_file=ready_file).run(request, detach=detach, terminal=False)


def stop(agent: Path, *, names: Sequence[str] = (), namespace: str | None = None) -> tuple[str, ...]:
    """End workloads in order (no names: all, or all of the namespace); returns the names of those that ended."""
    answer = ask(agent, {"do": "stop", "names": list(names), "namespace": namespace})
    return tuple(str(name) for name in answer.get("names", ()))


def _behind_sudo() -> str:
    """The user who called sudo: an app is root only when asked to be."""
    return os.environ.get("SUDO_UID", "") if os.geteuid() == 0 else ""
