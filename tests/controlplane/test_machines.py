"""What machines ask of control, without any machine."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from plait.controlplane.admission import Admission
from plait.controlplane.machines import ALLOW, Machines
from plait.controlplane.objects import Objects
from plait.controlplane.seed import object_of
from plait.identity.authority import open_authority
from plait.store.memory import MemoryStore


def entry(phase: str) -> dict[str, Any]:
    """A workload's entry in that phase."""
    metadata = {"name": "web", "namespace": "default", "annotations": {"plait.dev/phase": phase}}
    spec = {"address": "10.5.0.2", "serviceAccount": "web"}
    return {"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize(("phase", "waits"), [("Running", False), ("Draining", True)])
def test_a_workload_that_drains_is_waited_for(tmp_path: Path, phase: str, waits: bool) -> None:
    """Registering a workload as draining returns when its callers hold that, since its app is ended next."""

    async def register() -> tuple[int, list[int], list[int]]:
        reached: list[int] = []
        held: list[int] = []

        async def note_reached(revision: int) -> None:
            reached.append(revision)

        async def note_held(revision: int) -> None:
            assert reached == [revision]
            held.append(revision)

        objects = Objects(MemoryStore(), Admission().finish)
        authority = open_authority(tmp_path / "ca", "cluster.local")
        machines = Machines(objects, authority, mesh_range="10.5.0.0/16", reached=note_reached, held=note_held)
        await objects.ensure(object_of("v1", "Namespace", "default"))
        node = object_of("v1", "Node", "here")
        await objects.put({**node, "metadata": {**node["metadata"], "annotations": {ALLOW: "*"}}})
        stored = await machines.register("here", entry(phase))
        return int(stored["metadata"]["resourceVersion"]), reached, held

    revision, reached, held = asyncio.run(register())
    assert reached == [revision]
    assert held == ([revision] if waits else [])
