"""Addresses of workloads, and everything else of the machine's network that is a function of values."""

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import RefusedError
from plait.node import record
from plait.node.addresses import MachineRange, allocate, choose_mesh_range, hardware_address
from plait.node.nft import LoopbackPort, MachinePort
from plait.node.record import PlaceSpec, Record

MACHINE = MachineRange.parse("10.5.0.0/24")
SMALL = MachineRange.parse("10.5.0.0/29")


def test_range_has_gateway_publisher_and_workloads():
    """The first address is the machine's, the last one marks published calls, the rest are workloads'."""
    assert (MACHINE.gateway, MACHINE.publisher) == ("10.5.0.1", "10.5.0.254")
    assert (MACHINE.workloads[0], MACHINE.workloads[-1], len(MACHINE.workloads)) == ("10.5.0.2", "10.5.0.253", 252)
    assert [address for address in MACHINE.workloads if not MACHINE.holds(address)] == []
    assert not any(MACHINE.holds(other) for other in (MACHINE.gateway, MACHINE.publisher, "10.5.1.2"))


@pytest.mark.parametrize("text", ["10.5.0.0/30", "10.5.0.1/24", "fd00::/64", "here", ""])
def test_useless_ranges_are_refused(text: str):
    """What is no range, or has no room, is refused with how to write it."""
    with pytest.raises(RefusedError, match=r"use|write"):
        MachineRange.parse(text)


def test_name_keeps_its_address():
    """A name that comes back gets the address it had."""
    assert allocate(MACHINE, "a", remembered={"b": "10.5.0.2", "a": "10.5.0.9"}, in_use=["b"]) == "10.5.0.9"


def test_freed_address_is_the_last_to_be_given_away():
    """A new name takes an address nobody ever had; when there is none, the one unused for longest."""
    assert allocate(SMALL, "new", remembered={"old": "10.5.0.2"}, in_use=[]) == "10.5.0.3"

    full = {"oldest": "10.5.0.3", "busy": "10.5.0.2", "newest": "10.5.0.4", "other": "10.5.0.5"}
    assert allocate(SMALL, "new", remembered=full, in_use=["busy"]) == "10.5.0.3"


def test_full_range_is_refused():
    """When all addresses are in use, the sentence says how many there are."""
    full = {str(number): address for number, address in enumerate(SMALL.workloads)}
    with pytest.raises(RefusedError, match=r"all 4 addresses of 10.5.0.0/29"):
        allocate(SMALL, "new", remembered=full, in_use=full)


@pytest.mark.parametrize("wanted", ["10.5.0.1", "10.5.0.254", "10.6.0.2", "x", "10.5.0.2"])
def test_wanted_address_must_be_free_and_ours(wanted: str):
    """An address that is not this machine's, or somebody's, is refused."""
    with pytest.raises(RefusedError, match=r"not one of this machine's|belongs to the workload busy"):
        allocate(MACHINE, "new", remembered={"busy": "10.5.0.2"}, in_use=["busy"], wanted=wanted)


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans()), max_size=60))
def test_running_names_never_share_an_address(steps: list[tuple[str, bool]]):
    """Whatever starts and stops in which order, two running workloads have two addresses."""
    known = Record()
    for name, starts in steps:
        if starts and name not in known.places and len(known.places) < 4:
            address = allocate(SMALL, name, remembered=known.addresses, in_use=known.places)
            assert SMALL.holds(address)
            known = known.with_place(PlaceSpec(name=name, envoy_uid=1), address)
        elif not starts:
            known = known.without_place(name)
        running = [known.addresses[name] for name in known.places]
        assert len(set(running)) == len(running)


@given(st.text("abcdef0123456789", min_size=1, max_size=8), st.lists(st.integers(16, 255), max_size=30))
def test_mesh_range_is_free(mesh_id: str, used: list[int]):
    """A new mesh gets a range that no network of the machine touches, the same each time."""
    taken = [f"10.{number}.3.0/24" for number in used]
    chosen = ipaddress.IPv4Network(choose_mesh_range(mesh_id, taken))
    assert chosen.prefixlen == 16
    assert not any(chosen.overlaps(ipaddress.IPv4Network(other)) for other in taken)
    assert choose_mesh_range(mesh_id, taken) == str(chosen)


def test_mesh_range_beside_a_vpn():
    """A network as wide as a VPN's 10.0.0.0/8 does not keep a mesh from finding a range."""
    assert choose_mesh_range("ab12", ["10.0.0.0/8"]).endswith("/16")


def test_hardware_address_belongs_to_the_address():
    """The same address has the same MAC address, locally administered."""
    assert hardware_address("10.5.0.2") == "02:50:0a:05:00:02"


def test_record_survives_the_disk(tmp_path: Path):
    """What is written down is read back the same."""
    spec = PlaceSpec(name="default/a", envoy_uid=7, inbound_ports=(80,), host_ports=(5432,), listener_ports=(1, 2))
    known = Record(
        machine_ports=(MachinePort(port=30000, address="10.5.0.2", app_port=80),),
        loopback_ports=(LoopbackPort(host="127.0.0.1", port=8080, address="10.5.0.2", listener_port=1),),
    ).with_place(spec, "10.5.0.2")

    record.save(tmp_path / "deep" / "network.json", known)

    assert record.load(tmp_path / "deep" / "network.json") == known
    assert record.load(tmp_path / "none.json") == Record()


def test_removed_place_takes_its_ports_along():
    """Ports that lead to a workload end with it; its address stays remembered."""
    known = Record(
        machine_ports=(MachinePort(port=30000, address="10.5.0.2", app_port=80),),
        loopback_ports=(LoopbackPort(host="127.0.0.1", port=8080, address="10.5.0.2", listener_port=1),),
    ).with_place(PlaceSpec(name="a", envoy_uid=7, host_ports=(5432,)), "10.5.0.2")

    assert known.without_place("a") == Record(addresses={"a": "10.5.0.2"})
    assert known.without_ports("a").ports() == ((), (), ())
    assert known.without_place("nobody") == known


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}', '{"format": 9}'])
def test_damaged_record_says_what_to_do(tmp_path: Path, text: str):
    """A record that can't be read is refused with the file and what to do with it."""
    path = tmp_path / "network.json"
    path.write_text(text)
    with pytest.raises(RefusedError, match=r"network\.json .*; (stop|use) "):
        record.load(path)
