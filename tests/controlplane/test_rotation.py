"""Stages of replacing the root, driven by what machines report; every machine and proxy of the store is waited for."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from plait.api.schemas import CaRotation, CaStatus
from plait.controlplane.admission import Admission
from plait.controlplane.ca_routes import apply_rotation
from plait.controlplane.objects import Objects
from plait.controlplane.rotation import Rotations
from plait.controlplane.seed import object_of
from plait.errors import RefusedError
from plait.identity.authority import open_authority
from plait.identity.rotation import LONGEST_LEAF, Stage
from plait.store.memory import MemoryStore

LEAF = timedelta(hours=24)


class Mesh:
    """A store with a machine `here` that runs `default/web`, and an authority."""

    def __init__(self, folder: Path) -> None:
        self.time = datetime.now(UTC)
        self.objects = Objects(MemoryStore(), Admission().finish)
        self.authority = open_authority(folder / "ca", "cluster.local")
        self.rotations = Rotations(self.objects, self.authority, leaf_life=LEAF, now=lambda: self.time)

    async def fill(self) -> None:
        """Write the objects."""
        await self.objects.put(object_of("v1", "Node", "here"))
        await self.run("web", "Running")
        await self.run("starting", "Pending")
        by_hand = object_of("networking.istio.io/v1", "WorkloadEntry", "hand", "default", spec={"address": "192.0.2.1"})
        await self.objects.put(by_hand)

    async def run(self, name: str, phase: str) -> None:
        """Write a workload of the machine."""
        entry = object_of("networking.istio.io/v1", "WorkloadEntry", name, "default", spec={"address": "10.0.0.1"})
        marks = {"plait.dev/node": "here", "plait.dev/phase": phase}
        await self.objects.put({**entry, "metadata": {**entry["metadata"], "annotations": marks}})

    def held(self) -> Mapping[str, Any]:
        """What one holds who has followed."""
        signing = self.authority.state.signing
        return {"signer": signing.signer_print, "root": signing.root_print, "roots": list(self.authority.fingerprints)}

    def report(self, *proxies: str) -> None:
        """The machine follows, and these of its proxies."""
        self.rotations.report("here", {"machine": self.held(), "proxies": dict.fromkeys(proxies, self.held())})


def test_a_stage_begins_when_every_machine_and_proxy_has_followed(tmp_path: Path) -> None:
    """Workloads without a proxy yet, and entries written by hand, are not waited for."""

    async def scenario() -> None:
        mesh = Mesh(tmp_path)
        await mesh.fill()
        mesh.authority.rotate_root()
        assert await mesh.rotations.behind() == ("machine here", "proxy default/web")
        for expected in (Stage.REPLACING, Stage.STEADY):
            mesh.report()
            await mesh.rotations.step()
            assert await mesh.rotations.behind() == ("proxy default/web",)
            mesh.report("default/web")
            await mesh.rotations.step()
            assert mesh.authority.state.stage is expected
        await mesh.rotations.step()
        assert mesh.authority.state.stage is Stage.STEADY

    asyncio.run(scenario())


def test_what_one_machine_says_of_anothers_proxy_counts_not(tmp_path: Path) -> None:
    """Only the machine that a workload is registered with speaks for it."""

    async def scenario() -> None:
        mesh = Mesh(tmp_path)
        await mesh.fill()
        await mesh.objects.put(object_of("v1", "Node", "thief"))
        mesh.authority.rotate_root()
        mesh.report()
        mesh.rotations.report("thief", {"machine": mesh.held(), "proxies": {"default/web": mesh.held()}})
        assert await mesh.rotations.behind() == ("proxy default/web",)

    asyncio.run(scenario())


def test_the_old_root_goes_when_its_last_leaf_has_ended(tmp_path: Path) -> None:
    """A machine that never comes back holds it up no longer than its certificate could live."""

    async def scenario() -> None:
        mesh = Mesh(tmp_path)
        await mesh.fill()
        mesh.authority.rotate_root()
        apply_rotation(mesh.authority, CaRotation(proceed=True))
        mesh.time += LONGEST_LEAF / 2
        await mesh.rotations.step()
        assert mesh.authority.state.stage is Stage.REPLACING
        mesh.time += LONGEST_LEAF
        await mesh.rotations.step()
        assert mesh.authority.state.stage is Stage.STEADY

    asyncio.run(scenario())


def test_a_deleted_machine_is_not_waited_for_nor_are_its_proxies(tmp_path: Path) -> None:
    """Deleting it is what `plait ca status` advises; its workloads' entries may outlive it."""

    async def scenario() -> None:
        mesh = Mesh(tmp_path)
        await mesh.fill()
        mesh.authority.rotate_root()
        await mesh.objects.delete(Objects.key("", "Node", "", "here"))
        assert await mesh.rotations.behind() == ()
        await mesh.rotations.step()
        assert mesh.authority.state.stage is Stage.REPLACING

    asyncio.run(scenario())


def test_a_machine_that_is_dead_for_good_does_not_end_the_mesh_with_its_root(tmp_path: Path) -> None:
    """The status says when it goes on without that machine, and it does."""

    async def scenario() -> None:
        mesh = Mesh(tmp_path)
        await mesh.fill()
        mesh.authority.rotate_root()
        status = CaStatus.model_validate(await mesh.rotations.status())
        assert status.stage_ends is not None
        end = datetime.fromisoformat(status.stage_ends)
        assert end < mesh.authority.state.signing.root.not_valid_after_utc
        mesh.time = end - timedelta(seconds=1)
        await mesh.rotations.step()
        assert mesh.authority.state.stage is Stage.DISTRIBUTING
        mesh.time = end
        await mesh.rotations.step()
        assert mesh.authority.state.stage is Stage.REPLACING

    asyncio.run(scenario())


def test_a_root_of_our_own_is_replaced_before_it_ends(tmp_path: Path) -> None:
    """Without being told to, when nine tenths of its life are over."""

    async def scenario() -> None:
        mesh = Mesh(tmp_path)
        await mesh.rotations.step()
        assert mesh.authority.state.stage is Stage.STEADY
        mesh.time += timedelta(days=3400)
        await mesh.rotations.step()
        assert mesh.authority.state.stage is Stage.DISTRIBUTING

    asyncio.run(scenario())


def test_what_machines_are_told(tmp_path: Path) -> None:
    """No haste usually; while a root is replaced leaves follow within half of their life, or as fast as wanted."""
    mesh = Mesh(tmp_path)
    assert mesh.rotations.told()["renewWithin"] is None
    apply_rotation(mesh.authority, CaRotation(within=5))
    assert mesh.rotations.told()["renewWithin"] == 5
    apply_rotation(mesh.authority, CaRotation(root=True))
    assert mesh.rotations.told()["renewWithin"] is None
    apply_rotation(mesh.authority, CaRotation(proceed=True))
    assert mesh.rotations.told() == {
        "signer": mesh.authority.state.signing.signer_print,
        "root": mesh.authority.fingerprint,
        "renewWithin": LEAF.total_seconds() / 2,
    }


def test_the_status_names_roots_and_roles(tmp_path: Path) -> None:
    """What is printed fits its schema at every stage."""

    async def roles(mesh: Mesh) -> list[str]:
        found = CaStatus.model_validate(await mesh.rotations.status())
        assert found.behind == ("machine here", "proxy default/web")
        return [root.role for root in found.roots]

    async def scenario() -> None:
        mesh = Mesh(tmp_path)
        await mesh.fill()
        assert await roles(mesh) == ["signs"]
        mesh.authority.rotate_root()
        assert await roles(mesh) == ["signs", "next"]
        mesh.authority.advance()
        assert await roles(mesh) == ["signs", "leaving"]
        assert mesh.rotations.gauges()["root_rotation_stage"] == 2.0
        assert mesh.rotations.gauges()["signer_expiry_seconds"] > 0

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (CaRotation(root=True, cancel=True), "exclude each other"),
        (CaRotation(certificates="x"), "belong together"),
        (CaRotation(certificates="x", key="y"), "no certificate can be read"),
        (CaRotation(within=-1), "from 0 to 2592000 seconds"),
        (CaRotation(within=1e13), "from 0 to 2592000 seconds"),
        (CaRotation(root=True, within=float("nan")), "from 0 to 2592000 seconds"),
        (CaRotation(proceed=True, certificates="x", key="y"), "go without certificates"),
        (CaRotation(proceed=True), "no rotation"),
        (CaRotation(cancel=True), "no rotation"),
    ],
)
def test_senseless_wishes_are_refused(tmp_path: Path, wanted: CaRotation, problem: str) -> None:
    """Each in a sentence, and nothing changes."""
    mesh = Mesh(tmp_path)
    before = mesh.authority.state
    with pytest.raises(RefusedError, match=problem):
        apply_rotation(mesh.authority, wanted)
    assert mesh.authority.state is before
