"""What `plait doctor` looks at: one small function a question, each giving findings.

Questions about this machine need no mesh: they are answered also when nothing runs, which is when they matter most.
"""

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from plait.cli import examine_certificates, examine_machine, examine_mesh, quick_status
from plait.cli.context import Mesh
from plait.cli.fields import part
from plait.cli.findings import Finding, problem
from plait.errors import PlaitError, UnreachableError

LITTLE_SPACE = 200 << 20
FEW_FILES = 1000


def envoy(mesh: Mesh) -> Iterator[Finding]:
    """Whether the data plane's binary is there and runs."""
    from plait.node import settings

    try:
        binary = settings.find_envoy(settings.load(mesh.environment, state_dir=mesh.state_dir))
    except PlaitError as error:
        yield Finding(check="envoy", state="problem", detail=error.problem, remedy=error.remedy)
        return
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding(check="envoy", state="problem", detail=f"{binary} does not run: {error}", remedy=_REINSTALL)
        return
    version = next((part for part in done.stdout.split("/") if part[:1].isdigit() and "." in part), "")
    if done.returncode or not version:
        yield Finding(check="envoy", state="problem", detail=f"{binary} does not run", remedy=_REINSTALL)
    else:
        yield Finding(check="envoy", state="ok", detail=f"{version} at {binary}")


_REINSTALL = "install it again: make setup"


def capture(mesh: Mesh) -> Iterator[Finding]:
    """Whether this user can capture traffic transparently."""
    del mesh
    if os.geteuid() != 0:
        yield Finding(
            check="capture", state="warning", detail="you are not root: explicit capture only",
            remedy="it cannot refuse plaintext between processes of this machine; run as root for transparent capture",
        )  # fmt: skip
        return
    missing = {"ip": "iproute2", "nft": "nftables"}
    missing = {tool: package for tool, package in missing.items() if not shutil.which(tool)}
    for tool, package in missing.items():
        yield Finding(
            check="capture", state="problem", detail=f"the command `{tool}` is missing", remedy=f"install {package}"
        )
    if not missing:
        yield Finding(check="capture", state="ok", detail="transparent capture is possible (root, ip, nft)")


def state_directory(mesh: Mesh) -> Iterator[Finding]:
    """Whether the state directory is ours, private where it must be, and has room."""
    if not mesh.state_dir.exists():
        yield Finding(check="state", state="warning", detail=f"{mesh.state_dir} does not exist yet",
                      remedy="`plait up` makes it")  # fmt: skip
        return
    yield from _private(mesh.state_dir / "control")
    free = shutil.disk_usage(mesh.state_dir).free
    left = os.statvfs(mesh.state_dir)
    if left.f_files and left.f_favail < FEW_FILES:
        detail = f"only {left.f_favail} files can be made in {mesh.state_dir}"
        yield problem("state", detail, "remove files from that disk: it has no more inodes, whatever space is free")
    if free < LITTLE_SPACE:
        yield Finding(check="state", state="problem", detail=f"only {free >> 20} MB are free for {mesh.state_dir}",
                      remedy="free some space: nothing can be applied on a full disk")  # fmt: skip
    else:
        yield Finding(check="state", state="ok", detail=f"{mesh.state_dir}, {free >> 20} MB free")


def _private(folder: Path) -> Iterator[Finding]:
    try:
        mode = stat.S_IMODE(folder.stat().st_mode)
    except OSError:
        return
    if mode & 0o077:
        yield Finding(check="state", state="problem", detail=f"{folder} can be read by others (mode {mode:o})",
                      remedy=f"chmod 700 {folder}: it holds the authority's keys")  # fmt: skip


def control(mesh: Mesh) -> Iterator[Finding]:
    """Whether the mesh answers, its machines are connected, and its proxies took what they were sent."""
    if not mesh.server and quick_status.fetch(mesh.run_dir / "api.sock") is None and not _elsewhere(mesh):
        yield Finding(check="mesh", state="warning", detail=f"no mesh runs with its state in {mesh.state_dir}",
                      remedy="start one: plait up")  # fmt: skip
        return
    try:
        with mesh.client() as client:
            status, proxies = client.status(), client.proxies()
    except PlaitError as error:
        yield Finding(check="mesh", state="problem", detail=error.problem, remedy=error.remedy)
        return
    yield from _status(status)
    for proxy in proxies:
        yield from _proxy(proxy)


def _elsewhere(mesh: Mesh) -> bool:
    return (mesh.run_dir / "endpoints.json").exists() and not os.access(mesh.run_dir / "api.sock", os.W_OK)


def _status(status: Mapping[str, Any]) -> Iterator[Finding]:
    for told in status.get("problems") or ():
        yield Finding(check="mesh", state="problem", detail=told, remedy="see `plait status`")
    for machine in status.get("nodes") or ():
        if not machine.get("connected"):
            yield Finding(
                check="node", state="problem", detail=f"the machine {machine['name']} is not connected",
                remedy="there: is its node agent running, and does it reach control? Its traffic goes on meanwhile",
            )  # fmt: skip
    if status.get("ready"):
        yield Finding(check="mesh", state="ok", detail="control answers and this machine's node agent is connected")
    else:
        yield Finding(check="mesh", state="problem", detail="control answers, but no node agent of this machine does",
                      remedy="start it: plait node (or plait down, plait up)")  # fmt: skip


def _proxy(proxy: Mapping[str, Any]) -> Iterator[Finding]:
    name = f"{proxy['namespace']}/{proxy['name']}"
    for refusal in proxy.get("refused") or ():
        source = part(refusal, "source")
        cause = f"mend {source['kind']} {source['namespace']}/{source['name']}" if source else "see `plait proxy logs`"
        yield Finding(check="proxies", state="problem", detail=f"{name} refused a change: {refusal['message']}",
                      remedy=f"{cause}; its last good configuration is in force")  # fmt: skip
    if not proxy.get("connected"):
        yield Finding(check="proxies", state="problem", detail=f"{name} is not connected",
                      remedy=f"see `plait proxy logs {proxy['name']} -n {proxy['namespace']}`")  # fmt: skip


def agent(mesh: Mesh) -> Iterator[Finding]:
    """What this machine's node agent says of its workloads, if it runs."""
    from plait.node import client

    try:
        answer = client.ask(mesh.node_socket, {"do": "doctor"})
    except UnreachableError:
        return
    except PlaitError as error:
        yield Finding(check="node", state="problem", detail=error.problem, remedy=error.remedy)
        return
    for found in answer.get("findings") or ():
        state = "ok" if found.get("ok") else "problem"
        detail = found.get("problem") or "is well"
        yield Finding(check=found["check"], state=state, detail=detail, remedy=found.get("remedy", ""))


EXAMINATIONS: tuple[Callable[[Mesh], Iterator[Finding]], ...] = (
    envoy,
    capture,
    examine_machine.kernel,
    examine_machine.limits,
    examine_machine.ports,
    state_directory,
    examine_certificates.certificates,
    examine_mesh.store_at_rest,
    control,
    examine_mesh.health,
    agent,
)
"""Everything that is looked at, in order."""
