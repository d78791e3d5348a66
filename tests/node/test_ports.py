"""Ports of the machine: opened for other machines and on its loopback, let in for an app, and taken by others."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from plait.errors import NotFoundError, RefusedError
from plait.node import ports
from plait.node.network import MACHINE_PORTS, MachineNetwork
from plait.node.record import PlaceSpec
from tests.node.machines import ENVOY_UID, OUTSIDE, UPLINK, Machine, call, machine, needs_root, outside

pytestmark = [needs_root, pytest.mark.integration]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Machine]:
    with machine(state=tmp_path) as made:
        yield made


@pytest.fixture
def far(here: Machine) -> Iterator[str]:
    with outside(here) as path:
        yield path


def test_machine_port_leads_to_the_inbound_listener(here: Machine, far: str):
    """Other machines call the machine's port and meet the sidecar, which sees the app's port and the caller."""
    place = here.place()
    here.envoy(place)

    port = here.here(lambda: here.network.publish_machine_port(place.address, 8080))

    assert port in MACHINE_PORTS
    assert call(far, UPLINK, port) == f"inbound {place.address}:8080 from {OUTSIDE}"
    assert call(here.path, UPLINK, port).startswith(f"inbound {place.address}:8080")
    assert call(here.path, "127.0.0.1", port) == "refused"
    again = here.here(lambda: here.network.publish_machine_port(place.address, 8080))
    assert again == port

    here.here(lambda: here.network.unpublish_machine_port(port))
    assert call(far, UPLINK, port) == "refused"


def test_machine_port_works_for_neighbours(here: Machine, far: str):
    """A sidecar of the same machine that uses the machine's address gets there and back."""
    place, other = here.place(), here.place("default/other")
    here.envoy(place)
    port = here.here(lambda: here.network.publish_machine_port(place.address, 8080))

    assert call(other.path, UPLINK, port, uid=ENVOY_UID).startswith(f"inbound {place.address}:8080")


def test_published_loopback_port_leads_to_its_listener(here: Machine, far: str):
    """A port of the machine's loopback opens the sidecar's own listener, and only from there."""
    place, other = here.place(), here.place("default/other")
    here.envoy(place)
    here.serve(place.path, 19000, "published", uid=ENVOY_UID)

    here.here(lambda: here.network.publish_loopback("localhost", 8080, address=place.address, listener_port=19000))

    assert call(here.path, "127.0.0.1", 8080).startswith(f"published {place.address}:19000")
    assert call(far, UPLINK, 8080) == "refused"
    assert call(here.path, place.address, 19000).startswith("inbound"), "from the machine, but past the published port"
    assert call(other.path, place.address, 19000, uid=ENVOY_UID).startswith("inbound")

    here.here(lambda: here.network.unpublish_loopback("127.0.0.1", 8080))
    assert call(here.path, "127.0.0.1", 8080) == "refused"


def test_port_published_everywhere(here: Machine, far: str):
    """With host 0.0.0.0 the port is open to other machines as well."""
    place = here.place()
    here.serve(place.path, 19000, "published", uid=ENVOY_UID)

    here.here(lambda: here.network.publish_loopback("0.0.0.0", 8080, address=place.address, listener_port=19000))

    assert call(far, UPLINK, 8080).startswith("published")
    assert call(here.path, "127.0.0.1", 8080).startswith("published")


def test_host_port_leads_to_the_machine_s_loopback(here: Machine):
    """An app reaches exactly the loopback port of the machine that was opened for it."""
    place, other = here.place(host_ports=(5432,)), here.place("default/other")
    for made in (place, other):
        here.envoy(made)
    for port in (5432, 5433):
        here.serve(here.path, port, "database", host="127.0.0.1")

    assert call(place.path, "127.0.0.1", 5432).startswith("database")
    assert call(place.path, "127.0.0.1", 5433) == "refused"
    assert call(other.path, "127.0.0.1", 5432) == "refused"
    assert call(other.path, here.network.gateway, 5432, uid=ENVOY_UID) == "refused"
    assert call(place.path, here.network.gateway, 5433, uid=ENVOY_UID) == "refused"


def test_host_port_and_own_port_must_differ(here: Machine):
    """A port can't be both the app's own and the machine's."""
    with pytest.raises(RefusedError, match="both its own port and a port of the machine"):
        here.place(host_ports=(8080,), inbound_ports=(8080,))


def test_taken_port_names_its_holder(here: Machine):
    """A port that a process listens on is refused with the process's name, and nothing changes."""
    place = here.place()
    here.serve(here.path, 8080, "mine", host="127.0.0.1")
    me = f"(process {os.getpid()}) listens there"

    with pytest.raises(RefusedError) as refused:
        here.here(lambda: here.network.publish_loopback("127.0.0.1", 8080, address=place.address, listener_port=19000))

    assert "127.0.0.1:8080 is taken" in str(refused.value)
    assert me in str(refused.value)
    assert call(here.path, "127.0.0.1", 8080).startswith("mine")
    here.here(lambda: here.network.check_port(None, 8080))


def test_port_published_twice_names_the_workload(here: Machine):
    """A port that another workload has is refused with that workload's name."""
    place, other = here.place("default/first"), here.place("default/second")
    here.here(lambda: here.network.publish_loopback("127.0.0.1", 8080, address=place.address, listener_port=19000))

    with pytest.raises(RefusedError, match="this mesh publishes the workload default/first there"):
        here.here(lambda: here.network.publish_loopback("127.0.0.1", 8080, address=other.address, listener_port=19000))


def test_no_port_leads_to_nobody(here: Machine):
    """Ports are only opened for workloads of this machine."""
    with pytest.raises(NotFoundError):
        here.here(lambda: here.network.publish_machine_port("10.77.0.99", 80))


def test_neighbour_mesh_is_no_published_port(here: Machine, tmp_path: Path):
    """A workload of another mesh, masqueraded by the machine, does not pass for a call from a published port."""
    second = MachineNetwork("zy", "10.79.0.0/24", state=tmp_path / "second.json")
    here.here(second.setup)
    theirs = here.here(lambda: second.create(PlaceSpec(name="default/app", envoy_uid=ENVOY_UID)))
    mine = here.place(listener_ports=(19000,))
    here.envoy(mine)
    here.serve(mine.path, 19000, "published", uid=ENVOY_UID)

    assert call(theirs.path, mine.address, 19000, uid=ENVOY_UID).startswith("inbound")
    here.here(second.teardown)


def test_listeners_of_this_process_are_seen():
    """A listening socket is found with its holder; a loopback listener does not hold other addresses' port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        found = ports.conflicting(ports.listeners(), "127.0.0.1", port)
        assert found is not None
        assert f"(process {os.getpid()})" in ports.holder(found)
        assert ports.conflicting(ports.listeners(), None, port) is None
