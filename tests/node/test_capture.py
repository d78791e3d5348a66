"""The nft rules of a workload's place, in real namespaces with stand-ins for apps and Envoys."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from plait.node import commands, netns
from plait.node.place import Place
from tests.node.machines import ENVOY_UID, Machine, call, machine, needs_root

pytestmark = [needs_root, pytest.mark.integration]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Machine]:
    with machine(state=tmp_path) as made:
        yield made


@pytest.fixture
def app(here: Machine) -> Place:
    """A workload with both listeners of its sidecar and an app on port 8080."""
    place = here.place("default/app", inbound_ports=(8080,))
    here.envoy(place)
    here.serve(place.path, 8080, "app")
    return place


@pytest.fixture
def other(here: Machine) -> Place:
    place = here.place("default/other")
    here.envoy(place)
    here.serve(place.path, 8080, "other-app")
    return place


def test_service_address_goes_to_the_sidecar(app: Place):
    """A call to a service address reaches Envoy's outbound listener, which learns the address meant."""
    assert call(app.path, "240.240.0.5", 80) == f"outbound 240.240.0.5:80 from {app.address}"


def test_another_workload_is_called_through_the_sidecar(app: Place, other: Place):
    """A call to another workload's own address is caught too."""
    assert call(app.path, other.address, 8080).startswith(f"outbound {other.address}:8080")


def test_the_sidecar_is_not_caught(app: Place, other: Place):
    """What Envoy sends leaves the place and is caught by the other side's inbound listener."""
    assert call(app.path, other.address, 8080, uid=ENVOY_UID) == f"inbound {other.address}:8080 from {app.address}"


def test_loopback_is_left_alone(app: Place):
    """The app reaches itself on loopback and on its own address without a sidecar."""
    assert call(app.path, "127.0.0.1", 8080).startswith("app 127.0.0.1:8080")
    assert call(app.path, app.address, 8080).startswith(f"app {app.address}:8080")


def test_sidecar_calling_its_own_workload_meets_its_inbound_listener(app: Place):
    """A service that the caller itself is an endpoint of is called over mTLS like any other."""
    assert call(app.path, app.address, 8080, uid=ENVOY_UID).startswith(f"inbound {app.address}:8080")


def test_sidecar_reaches_the_app(app: Place):
    """Envoy hands calls to the app on loopback, or on its address when it comes from 127.0.0.6."""
    assert call(app.path, "127.0.0.1", 8080, uid=ENVOY_UID).startswith("app 127.0.0.1:8080")
    assert call(app.path, app.address, 8080, uid=ENVOY_UID, source="127.0.0.6").startswith("app")


def test_call_from_outside_meets_the_inbound_listener(here: Machine, app: Place):
    """The machine's own processes can't reach the app past its sidecar."""
    assert call(here.path, app.address, 8080).startswith(f"inbound {app.address}:8080")


@pytest.mark.parametrize("port", [15001, 15006])
def test_listeners_refuse_direct_connections(here: Machine, app: Place, other: Place, port: int):
    """Nobody reaches 15001 or 15006 by address: not the app, not the machine, not another workload."""
    assert call(app.path, "127.0.0.1", port) == "refused"
    assert call(app.path, app.address, port) == "refused"
    assert call(app.path, "::1", port) == "refused"
    assert call(app.path, "127.0.0.1", port, uid=ENVOY_UID) == "refused"
    assert call(here.path, app.address, port) == "refused"
    assert call(other.path, app.address, port, uid=ENVOY_UID) == "refused"


def test_foreign_port_15001_is_a_port_like_any_other(app: Place):
    """Calling port 15001 of somebody else is caught, not refused."""
    assert call(app.path, "192.0.2.7", 15001).startswith("outbound 192.0.2.7:15001")


def test_ipv6_is_caught_both_ways(here: Machine, app: Place, other: Place):
    """If somebody gives a place IPv6, its TCP goes through the sidecar all the same."""
    for place, address in ((app, "fd00::1"), (other, "fd00::2")):
        netns.within(place.path, lambda: Path("/proc/sys/net/ipv6/conf/eth0/disable_ipv6").write_text("0"))
        commands.batch(
            [f"addr add {address}/64 dev eth0 nodad", "route add default via fd00::9 dev eth0"], netns=place.netns
        )
        here.serve(place.path, 15006, "inbound", host=address, uid=ENVOY_UID)

    assert call(app.path, "fd00::2", 8080).startswith("outbound fd00::2:8080")
    assert call(app.path, "2001:db8::1", 443).startswith("outbound 2001:db8::1:443")
    assert call(app.path, "fd00::2", 8080, uid=ENVOY_UID).startswith("inbound fd00::2:8080")
    assert call(app.path, "fd00::2", 15006, uid=ENVOY_UID) == "refused"
    assert call(app.path, "2001:db8::53", 53) == "refused"


def test_places_have_no_ipv6_of_their_own(app: Place):
    """There is no IPv6 beside loopback, so that no link-local traffic runs beside the mesh."""
    assert call(app.path, "2001:db8::1", 443).startswith("unreachable")
    assert "fe80" not in commands.run(["ip", "-n", app.netns, "-6", "addr"])


def test_service_addresses_never_leave_uncaught(app: Place):
    """What is not caught on its way to a service address (the sidecar's own, UDP) is refused in place."""
    assert call(app.path, "240.240.0.5", 80, uid=ENVOY_UID) == "refused"


def test_loopback_does_not_come_in_from_the_bridge(app: Place, other: Place):
    """A neighbour that routes 127.0.0.1 to this workload reaches nothing."""
    commands.batch(
        ["route add 127.9.9.0/24 via " + app.address, "route del local 127.0.0.0/8 table local"], netns=other.netns
    )
    assert call(other.path, "127.9.9.9", 8080, uid=ENVOY_UID) in ("timeout", "unreachable: Network is unreachable")


def test_gateway_place_is_not_caught(here: Machine):
    """A gateway's Envoy listens on its own address, at the listeners' ports."""
    place = here.place("default/gw", capture=False)
    here.serve(place.path, 80, "gateway", uid=ENVOY_UID)

    assert call(here.path, place.address, 80).startswith(f"gateway {place.address}:80")


def test_app_cannot_change_the_rules(app: Place):
    """An app that runs as root without capabilities can read no rule and delete none."""
    confined = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    for change in (["flush", "ruleset"], ["delete", "table", "inet", "plait"]):
        command = ["nsenter", f"--net={app.path}", *confined, "nft", *change]
        assert not commands.works(command)
        assert not commands.works([*command[:2], "unshare", "-Ur", *command[2:]])
    assert "redirect to :15001" in commands.run(["nsenter", f"--net={app.path}", "nft", "list", "ruleset"])
