"""The machine's side: the way out, DNS, other meshes, restarts, what is left over."""

import dataclasses
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from plait.errors import AlreadyExistsError, RefusedError
from plait.node import bridge, commands, leftovers, netns, nft
from plait.node.network import MachineNetwork
from plait.node.record import PlaceSpec
from tests.node.machines import ENVOY_UID, OUTSIDE, UPLINK, Machine, call, machine, needs_root, open_as, outside

pytestmark = [needs_root, pytest.mark.integration]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Machine]:
    with machine(state=tmp_path) as made:
        yield made


@pytest.fixture
def far(here: Machine) -> Iterator[str]:
    with outside(here) as path:
        yield path


def test_way_out_carries_the_machine_s_address(here: Machine, far: str):
    """What leaves the machine is masqueraded; what the sidecar sends meets no rule."""
    here.serve(far, 443, "far")
    place = here.place()

    assert call(place.path, OUTSIDE, 443, uid=ENVOY_UID) == f"far {OUTSIDE}:443 from {UPLINK}"


def test_udp_passes(here: Machine, far: str):
    """UDP other than DNS goes out uncaught."""
    place = here.place()
    with open_as(far, kind=socket.SOCK_DGRAM) as server, open_as(place.path, kind=socket.SOCK_DGRAM) as app:
        server.bind((OUTSIDE, 5000))
        app.sendto(b"ping", (OUTSIDE, 5000))
        assert server.recvfrom(10)[1][0] == UPLINK


def test_udp_to_a_service_address_is_refused(here: Machine):
    """A service address means nothing beside TCP: UDP to it fails at once instead of leaving the machine."""
    with open_as(here.place().path, kind=socket.SOCK_DGRAM) as app:
        app.connect(("240.240.0.5", 443))
        with pytest.raises(PermissionError):
            app.send(b"quic")


@pytest.mark.parametrize("uid", [0, ENVOY_UID])
@pytest.mark.parametrize("server", ["10.77.0.1", "8.8.8.8", "127.0.0.53"])
def test_dns_arrives_at_the_machine(here: Machine, server: str, uid: int):
    """Whatever server a workload or its sidecar asks, the machine's DNS answers, and knows who asked."""
    place = here.place()
    with open_as(here.path, kind=socket.SOCK_DGRAM) as dns, open_as(place.path, uid=uid, kind=socket.SOCK_DGRAM) as app:
        dns.bind((here.network.gateway, here.network.dns_port))
        app.connect((server, 53))
        app.send(b"question")
        data, asker = dns.recvfrom(100)
        assert (data, asker[0]) == (b"question", place.address)
        dns.sendto(b"answer", asker)
        assert app.recv(100) == b"answer"

    here.serve(here.path, here.network.dns_port, "dns", host=here.network.gateway)
    assert call(place.path, server, 53, uid=uid).startswith("dns")


def test_two_meshes_on_a_machine(here: Machine, tmp_path: Path):
    """Two meshes have their own bridges and tables, see each other's ports, and end alone."""
    second = MachineNetwork("zz", "10.78.0.0/24", state=tmp_path / "second.json")
    here.here(second.setup)
    mine = here.place()
    theirs = here.here(lambda: second.create(PlaceSpec(name="default/app", envoy_uid=ENVOY_UID)))
    here.envoy(mine)
    here.envoy(theirs)
    here.here(lambda: here.network.publish_loopback("127.0.0.1", 8080, address=mine.address, listener_port=19000))

    with pytest.raises(RefusedError, match="the mesh with the bridge"):
        here.here(lambda: second.publish_loopback("127.0.0.1", 8080, address=theirs.address, listener_port=19000))
    assert call(mine.path, theirs.address, 80, uid=ENVOY_UID).startswith("inbound")

    here.here(second.teardown)
    assert call(here.path, mine.address, 80).startswith("inbound")


def test_range_in_use_is_refused(here: Machine, tmp_path: Path):
    """A range that a network of the machine has is refused with that network's interface."""
    second = MachineNetwork("zx", "10.77.0.0/25", state=tmp_path / "second.json")
    with pytest.raises(RefusedError, match=f"{here.network.bridge} leads to 10.77.0.0/24"):
        here.here(second.setup)


def test_setup_twice_changes_nothing(here: Machine):
    """Setting up again leaves traffic and addresses as they are, and mends what is gone."""
    place = here.place()
    here.envoy(place)
    commands.batch([f"addr add 10.66.0.1/24 dev {here.network.bridge}"], netns=here.name)
    here.here(lambda: nft.remove(here.network.bridge))

    assert here.here(here.network.setup) == ()

    assert call(here.path, place.address, 80).startswith("inbound")
    assert "10.66.0.1" not in commands.run(["ip", "-n", here.name, "addr"])
    assert here.network.bridge in here.here(nft.tables)


def test_other_tables_stay_as_they_are(here: Machine):
    """Rules of others, Docker's for example, are neither touched nor flushed."""
    theirs = "table ip nat {\n chain DOCKER {\n counter return\n }\n}\n"
    here.here(lambda: nft.apply(theirs))

    here.place(host_ports=(1,))
    here.here(here.network.teardown)

    assert "DOCKER" in here.here(lambda: commands.run(["nft", "list", "table", "ip", "nat"]))


def test_restarted_agent_adopts(here: Machine):
    """A new agent finds the places that stand, with their ports, forgets those that don't, and nothing is cut."""
    place, gone = here.place("default/app"), here.place("default/gone", host_ports=(5432,))
    here.envoy(place)
    here.here(lambda: here.network.publish_loopback("127.0.0.1", 8080, address=place.address, listener_port=19000))
    netns.delete(gone.netns)
    with open_as(here.path) as connection:
        connection.connect((place.address, 80))

        here.network = MachineNetwork(here.network.mesh_id, "10.77.0.0/24", state=here.network._state)  # pyright: ignore[reportPrivateUsage]
        here.here(here.network.setup)
        adopted = here.here(here.network.adopt)

        assert connection.recv(100).startswith(b"inbound")
    assert [known.name for known in adopted] == ["default/app"]
    assert dataclasses.replace(adopted[0], spec=place.spec) == place
    assert here.network.published()[1][0].port == 8080
    here.serve(place.path, 19000, "published", uid=ENVOY_UID)
    assert call(here.path, "127.0.0.1", 8080).startswith("published")


def test_place_keeps_its_address(here: Machine):
    """A workload that starts again has the address it had, and nobody gets it meanwhile."""
    first = here.place("default/app")
    here.here(lambda: here.network.remove("default/app"))
    other = here.place("default/other")
    again = here.place("default/app")

    assert again.address == first.address != other.address
    assert call(here.path, again.address, 80) == "refused"


def test_same_name_twice_is_refused(here: Machine):
    """A second workload of a name is refused and does not harm the first."""
    place = here.place("default/app")
    here.envoy(place)

    with pytest.raises(AlreadyExistsError, match="default/app has a place"):
        here.place("default/app")

    assert call(here.path, place.address, 80).startswith("inbound")


def test_failed_creation_leaves_nothing(here: Machine):
    """If a place can't be made, the reason is told and nothing of it stays."""
    here.here(lambda: bridge.delete(here.network.bridge))

    with pytest.raises(commands.NetworkError, match="is gone from this machine; restart the node agent"):
        here.place("default/app")

    assert here.network.places() == ()
    assert not netns.exists(here.network.netns_name("default/app"))


def test_place_replaces_what_nobody_wrote_down(here: Machine, tmp_path: Path):
    """A namespace and an interface that an agent without its record meets are replaced."""
    place = here.place("default/app")
    forgetful = MachineNetwork(here.network.mesh_id, "10.77.0.0/24", state=tmp_path / "fresh.json")

    again = here.here(lambda: forgetful.create(place.spec))
    here.envoy(again)

    assert call(here.path, again.address, 80).startswith("inbound")


def test_machine_with_a_new_range_forgets_the_old_places(here: Machine):
    """After the machine's range has changed, places of the old range are removed, not adopted."""
    here.place("default/app")
    network = here.network
    here.network = MachineNetwork(network.mesh_id, "10.88.0.0/24", state=network._state)  # pyright: ignore[reportPrivateUsage]
    here.here(here.network.setup)

    assert here.here(here.network.adopt) == ()
    assert here.place("default/app").address == "10.88.0.2"


def test_many_places_at_once(here: Machine):
    """Ten workloads that start together get a place each."""
    threads = [threading.Thread(target=here.place, args=(f"default/w{number}",)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({place.address for place in here.network.places()}) == 10


def test_leftovers_are_found_and_cleaned(here: Machine):
    """What a killed agent left is found by name, with who still runs in it, and removed."""
    network = here.network
    place = here.place()
    command = ["nsenter", f"--net={place.path}", "sleep", "60"]
    with subprocess.Popen(command) as sleeper:
        while sleeper.pid not in netns.processes(place.netns):
            pass
        assert here.here(lambda: leftovers.leftovers(network.mesh_id, known=[place.netns])) == ()

        found = here.here(lambda: leftovers.leftovers(network.mesh_id))

        assert [item.kind for item in found] == ["netns", "interface", "table", "bridge"]
        assert f"processes {sleeper.pid} still run in it" in str(found[0])
        sleeper.kill()
    assert network.mesh_id in here.here(leftovers.meshes)
    here.here(lambda: leftovers.clean(found))
    assert here.here(lambda: leftovers.leftovers(network.mesh_id)) == ()
    assert network.mesh_id not in here.here(leftovers.meshes)


def test_bridge_has_a_fixed_hardware_address(here: Machine):
    """The bridge's MAC address stays when ports come and go, and IPv6 is off on it."""
    show = ["ip", "-n", here.name, "link", "show", "dev", here.network.bridge]
    before = commands.run(show).split("link/ether")[1]
    here.place()
    assert commands.run(show).split("link/ether")[1] == before
    assert here.here(lambda: bridge.read_sysctl(f"ipv6/conf/{here.network.bridge}/disable_ipv6")) == "1"


def test_uplink_s_mtu_is_the_workloads(tmp_path: Path):
    """Workloads have the MTU of the machine's way out."""
    lines = (
        "link add up0 mtu 1400 type bridge",
        "addr add 192.0.2.1/24 dev up0",
        "link set up0 up",
        "route add default via 192.0.2.2",
    )
    with machine(state=tmp_path, others=lines) as here:
        place = here.place()
        assert "mtu 1400" in commands.run(["ip", "-n", place.netns, "link", "show", "dev", "eth0"])
