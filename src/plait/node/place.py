"""One workload's place: a namespace with one address on the machine's bridge, and its rules in force.

The rules come first: the namespace gets its nft table and settings before its interface is up, so that no packet ever
passes without them. Everything is done by two `ip -batch` and one `nft` process (measured: 15-25 ms altogether).
"""

from dataclasses import dataclass

from plait.node import bridge, commands, netns, nft
from plait.node.addresses import hardware_address
from plait.node.record import PlaceSpec

INTERFACE = "eth0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a workload lives: `path` is what a process enters, `resolv_conf` the text of its resolv.conf."""

    name: str
    netns: str
    path: str
    address: str
    gateway: str
    interface: str
    resolv_conf: str
    spec: PlaceSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """How a place hangs on the machine: its bridge, its interface there, and the rules inside."""

    bridge: str
    veth: str
    prefix: int
    rules: str


def build(place: Place, wiring: Wiring) -> None:
    """Make the namespace, plug it in, and put its rules in force."""
    if not bridge.exists(wiring.bridge):
        raise commands.NetworkError(f"the bridge {wiring.bridge} is gone from this machine", "restart the node agent")
    demolish(place.netns, wiring.veth)  # what an agent left of whom nothing is written down
    netns.create(place.netns)
    mtu = bridge.mtu_of(wiring.bridge)
    peer = f"peer name {INTERFACE} address {hardware_address(place.address)} mtu {mtu} netns {place.netns}"
    commands.batch(
        [
            f"link add name {wiring.veth} mtu {mtu} type veth {peer}",
            f"link set dev {wiring.veth} master {wiring.bridge} up",
        ]
    )
    netns.within(place.path, lambda: _furnish(place, wiring))


def admit(place: Place, wiring: Wiring) -> None:
    """Replace the rules of a place that exists."""
    netns.within(place.path, lambda: nft.apply(wiring.rules))


def stands(place: Place, wiring: Wiring) -> bool:
    """Whether the place is still there, plugged in."""
    return netns.exists(place.netns) and bridge.exists(wiring.veth)


def demolish(name: str, veth: str | None) -> None:
    """Unplug a place and delete its namespace; what is not there is fine."""
    if veth is not None:
        bridge.delete(veth)
    netns.delete(name)


def _furnish(place: Place, wiring: Wiring) -> None:
    nft.apply(wiring.rules)
    bridge.write_sysctl(f"ipv6/conf/{INTERFACE}/disable_ipv6", "1", required=False)
    bridge.write_sysctl(f"ipv4/conf/{INTERFACE}/route_localnet", "1")
    bridge.write_sysctl("ipv4/ip_unprivileged_port_start", "0")
    bridge.write_sysctl("ipv4/tcp_migrate_req", "1", required=False)
    commands.batch(
        [
            "link set dev lo up",
            f"addr add {place.address}/{wiring.prefix} dev {INTERFACE}",
            f"link set dev {INTERFACE} up",
            f"route add default via {place.gateway}",
        ]
    )
