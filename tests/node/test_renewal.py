"""When certificates are renewed: at their usual time, sooner when control says so, at once when nobody trusts them."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

from plait.identity.authority import CertificateAuthority, open_authority
from plait.identity.rotation import LONGEST_LEAF
from plait.identity.svid import Svid, new_key, signing_request, svid
from plait.node.renewal import LEAST_BETWEEN, RenewalTimes, Signing, again_after
from tests import clock

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
WEB = "spiffe://cluster.local/ns/default/sa/web"


class Machine:
    """An authority, a leaf that it signed, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.authority: CertificateAuthority = open_authority(folder / "ca", "cluster.local", now=NOW)
        self.time = NOW
        self.bundle = self.authority.bundle
        self.times = RenewalTimes(lambda: self.bundle, now=lambda: self.time)
        key = new_key()
        self.leaf: Svid = svid(self.authority.sign(signing_request(key), WEB, now=NOW), key)

    def told(self, within: float | None) -> None:
        """Hear from control who signs now."""
        line = self.authority.state.signing
        self.times.told(Signing(signer=line.signer_print, root=line.root_print, within=within))


def test_usually_at_half_of_the_life(tmp_path: Path) -> None:
    """Who signed it matters not while control asks for nothing."""
    machine = Machine(tmp_path)
    usual = machine.times.due(machine.leaf, 0.5)
    assert NOW + timedelta(hours=9) < usual < NOW + timedelta(hours=12)
    machine.authority.rotate_signer(now=NOW)
    machine.told(None)
    assert machine.times.due(machine.leaf, 0.5) == usual


def test_leaves_of_another_signer_are_renewed_within_the_time(tmp_path: Path) -> None:
    """Each at its own moment, counted from when the machine heard of it; those of the present signer are left alone."""
    machine = Machine(tmp_path)
    machine.told(60.0)
    assert machine.times.due(machine.leaf, 0.5) > NOW + timedelta(hours=9)
    machine.authority.rotate_signer(now=NOW)
    machine.time = NOW + timedelta(hours=1)
    machine.told(60.0)
    machine.time += timedelta(seconds=10)
    machine.told(60.0)
    moments = [machine.times.due(machine.leaf, chance) for chance in (0.0, 0.5, 1.0)]
    assert [moment - NOW for moment in moments] == [timedelta(hours=1, seconds=part) for part in (0, 30, 60)]


def test_a_leaf_that_nobody_trusts_is_due_at_once(tmp_path: Path) -> None:
    """As on a machine that was away while the root was replaced."""
    machine = Machine(tmp_path)
    assert machine.times.trusted(machine.leaf)
    machine.authority.rotate_root(now=NOW)
    machine.authority.advance(now=NOW)
    machine.bundle = machine.authority.bundle
    machine.told(None)
    assert machine.times.trusted(machine.leaf)
    assert not machine.times.of_present_root(machine.leaf)
    machine.authority.advance(now=NOW + LONGEST_LEAF)
    machine.bundle = machine.authority.bundle
    assert not machine.times.trusted(machine.leaf)
    assert machine.times.due(machine.leaf, 0.5) == machine.time


def test_who_waits_hears_of_haste(tmp_path: Path) -> None:
    """A wait of hours ends when control asks for renewal, but renewals never follow each other without a pause."""

    async def scenario() -> float:
        loop = asyncio.get_running_loop()
        machine = Machine(tmp_path)
        times = RenewalTimes(lambda: machine.bundle, now=lambda: NOW + timedelta(seconds=loop.time()))
        waiting = asyncio.create_task(times.wait(machine.leaf, 0.5))
        await asyncio.sleep(1)
        machine.authority.rotate_signer(now=NOW)
        line = machine.authority.state.signing
        times.told(Signing(signer=line.signer_print, root=line.root_print, within=0.0))
        await waiting
        return loop.time()

    assert clock.run(scenario()) == LEAST_BETWEEN


def test_failures_are_tried_again_ever_more_slowly() -> None:
    """Soon at first, at most about every half minute, each machine at its own moment."""
    assert [again_after(failures, 0.5) for failures in (1, 2, 3, 9, 99)] == [1.0, 2.0, 4.0, 30.0, 30.0]
    assert again_after(9, 0.0) < again_after(9, 1.0)
