"""What killed processes left on this machine: found for `plait doctor` and removed by it and by `plait down`.

A namespace is left over when no workload of the node agent's own record lives in it. The record is read after the
namespaces were listed, and the agent writes down a place before it makes it: so a place in the making is never taken
for a leftover.
"""

import os
from collections.abc import Iterator

from plait.cli.context import Mesh
from plait.cli.findings import Finding
from plait.errors import PlaitError
from plait.node import leftovers, netns, record
from plait.node.state import NodeDirectory, mesh_id


def find(mesh: Mesh, *, running: bool) -> tuple[leftovers.Leftover, ...]:
    """Leftovers of this mesh; `running` tells that its node agent runs."""
    name = mesh_id(mesh.state_dir)
    there = netns.names(f"plait-{name}-")
    known = record.load(NodeDirectory(mesh.state_dir).network).places
    in_use = {f"plait-{name}-{place.replace('/', '.')}" for place in known}
    alive = {place for place in in_use if running or netns.processes(place)}
    return tuple(
        item
        for item in leftovers.leftovers(name, known=alive, running=running)
        if item.kind != "netns" or item.name in there
    )


def examine(mesh: Mesh, *, running: bool, clean: bool) -> Iterator[Finding]:
    """A finding for each leftover; with `clean` they are removed."""
    if os.geteuid() != 0 or not (mesh.state_dir / "node").exists():
        return
    try:
        found = find(mesh, running=running)
        if clean:
            leftovers.clean(found)
    except PlaitError as error:
        yield Finding(check="leftovers", state="problem", detail=error.problem, remedy=error.remedy)
        return
    for item in found:
        if clean:
            yield Finding(check="leftovers", state="ok", detail=f"removed: {item}")
        else:
            yield Finding(check="leftovers", state="warning", detail=f"{item} belongs to nobody", remedy="plait doctor")
    if not found:
        yield Finding(check="leftovers", state="ok", detail="nothing was left behind")
