"""What meshes of other state directories left on this machine, when nothing of them lives any more.

A mesh's things carry its id, which is made from its state directory. An agent that lives is known by its command line
and environment, a workload by the processes in its namespace. What neither answers for may be an agent's that is about
to start again, so it is only told, and removed when it is named: `plait doctor --forget ID`.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from plait.cli import context
from plait.cli.findings import Finding, fine, problem, warning
from plait.errors import NotFoundError, PlaitError, RefusedError
from plait.node import leftovers
from plait.node.state import mesh_id

_ID: Final = re.compile(r"[0-9a-f]{6}")
_AGENTS: Final = frozenset({"node", "up"})


def living(proc: Path = Path("/proc")) -> frozenset[str]:
    """The ids of all meshes whose agent lives on this machine."""
    found = set[str]()
    for entry in proc.iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                found |= _meshes_of(entry)
    return frozenset(found)


def _meshes_of(process: Path) -> set[str]:
    """The mesh of a process that is an agent; a relative path is taken from its folder and from ours."""
    words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    if not _AGENTS & set(words) or not any("plait" in word for word in words):
        return set()
    variables = (process / "environ").read_bytes().decode(errors="replace").split("\0")
    environment = dict(item.split("=", 1) for item in variables if "=" in item)
    mesh, _ = context.choose(words, environment, uid=process.stat().st_uid)
    there = (process / "cwd").readlink() / os.path.relpath(mesh.state_dir)
    return {mesh_id(mesh.state_dir), mesh_id(there)}


def find(own: str) -> dict[str, tuple[leftovers.Leftover, ...]]:
    """What each dead mesh but our own left, by its id."""
    alive = living()
    found: dict[str, tuple[leftovers.Leftover, ...]] = {}
    for name in leftovers.meshes():
        if not _ID.fullmatch(name) or name == own or name in alive:
            continue
        things = leftovers.leftovers(name)
        if things and not any(thing.processes for thing in things):
            found[name] = things
    return found


def examine(mesh: context.Mesh) -> Iterator[Finding]:
    """A finding for each dead mesh."""
    if os.geteuid() != 0:
        return
    try:
        found = find(mesh_id(mesh.state_dir))
    except PlaitError as error:
        yield problem("leftovers", error.problem, error.remedy)
        return
    for name, things in found.items():
        what = ", ".join(map(str, things))
        remedy = f"if no `plait node` uses it any more: plait doctor --forget {name}"
        yield warning("leftovers", f"a mesh that does not run left {what}", remedy)


def forget(mesh: context.Mesh, name: str) -> Iterator[Finding]:
    """Remove what that dead mesh left; raises RefusedError if it lives, NotFoundError if there is nothing of it."""
    if name in living() or name == mesh_id(mesh.state_dir):
        raise RefusedError(f"the mesh {name} is in use", "end it with `plait down`, with its own --state-dir")
    things = find(mesh_id(mesh.state_dir)).get(name)
    if things is None:
        if leftovers.leftovers(name):
            raise RefusedError(f"processes still run in the mesh {name}", "start its agent again, or end them")
        raise NotFoundError(f"no mesh {name} left anything here", "see `plait doctor`")
    leftovers.clean(things)
    for thing in things:
        yield fine("leftovers", f"removed: {thing}")
