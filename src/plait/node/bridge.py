"""The bridge that joins the workloads of one machine, and the machine's side of their traffic.

`plait<mesh>` carries the machine's address of the mesh (the workloads' gateway and DNS server) and the publisher's
address. Its MAC address is fixed: a bridge otherwise takes the lowest of its ports', and every start of a workload
could make the others' ARP entries wrong. IPv6 is off on it: workloads have IPv4 addresses only, and link-local IPv6
would be a side door. `route_localnet` is set on the bridge alone, with a guard in nft (see `nft`): only calls from
published and host ports use it.

The MTU is that of the machine's default route, so that nothing has to be fragmented on its way out; MSS is not touched.
"""

import contextlib
import fcntl
import ipaddress
import json
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plait.errors import RefusedError
from plait.node import commands
from plait.node.addresses import MachineRange, hardware_address

_DEFAULT_MTU = 1500
_SIOCGIFMTU = 0x8921


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network that the machine reaches through one of its interfaces, `direct`ly or over a router."""

    prefix: str
    interface: str
    direct: bool = True


def networks() -> tuple[Network, ...]:
    """The IPv4 networks that this machine has routes to, without the default route."""
    routes = _json(["ip", "-j", "-4", "route", "show", "table", "all"])
    found: list[Network] = []
    for route in routes:
        destination = route.get("dst", "default")
        if destination != "default" and route.get("type", "unicast") == "unicast":
            direct = "gateway" not in route
            found.append(Network(prefix=destination, interface=route.get("dev", "?"), direct=direct))
    return tuple(found)


def check_free(bridge: str, machine: MachineRange) -> None:
    """Refuse a range that overlaps a network of this machine (another mesh, a container network).

    A wide network behind a router (a VPN's 10.0.0.0/8) may contain it: the bridge's route is the more specific one.
    """
    for network in networks():
        other = ipaddress.IPv4Network(network.prefix, strict=False)
        behind_router = not network.direct and other.prefixlen < machine.prefix
        if network.interface != bridge and machine.network.overlaps(other) and not behind_router:
            raise RefusedError(
                f"the range {machine.network} is in use on this machine: {network.interface} leads to {network.prefix}",
                "give the mesh another range",
            )


def create(bridge: str, machine: MachineRange) -> None:
    """Make the bridge with its addresses, or bring the one that is there into that state."""
    mac = hardware_address(machine.gateway)
    mtu = _uplink_mtu()
    if not exists(bridge):
        commands.batch([f"link add name {bridge} address {mac} mtu {mtu} type bridge stp_state 0"])
    _forget_other_addresses(bridge, machine)
    write_sysctl(f"ipv6/conf/{bridge}/disable_ipv6", "1", required=False)
    commands.batch(
        [
            f"link set dev {bridge} address {mac} mtu {mtu}",
            f"addr replace {machine.gateway}/{machine.prefix} dev {bridge}",
            f"addr replace {machine.publisher}/32 dev {bridge}",
            f"link set dev {bridge} up",
        ]
    )
    write_sysctl(f"ipv4/conf/{bridge}/route_localnet", "1")
    if read_sysctl("ipv4/ip_forward") != "1":
        write_sysctl("ipv4/ip_forward", "1")


def delete(interface: str) -> None:
    """Remove the bridge or a port of it; none there is fine, nor one that goes with its namespace meanwhile."""
    if not exists(interface):
        return
    try:
        commands.batch([f"link delete dev {interface}"])
    except commands.NetworkError:
        if exists(interface):
            raise


def exists(interface: str) -> bool:
    """Whether an interface of that name is in this thread's namespace."""
    with contextlib.suppress(OSError):
        return socket.if_nametoindex(interface) > 0
    return False


def mtu_of(interface: str) -> int:
    """The MTU of an interface."""
    request = struct.pack("16si20x", interface.encode(), 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        return int(struct.unpack("16si20x", fcntl.ioctl(asked, _SIOCGIFMTU, request))[1])


def interfaces(prefix: str) -> tuple[str, ...]:
    """The interfaces of this thread's namespace whose name starts so."""
    return tuple(sorted(name for _, name in socket.if_nameindex() if name.startswith(prefix)))


def read_sysctl(name: str) -> str:
    """The value of a kernel setting below `net` in this thread's namespace."""
    return Path("/proc/sys/net", name).read_text(encoding="ascii").strip()


def write_sysctl(name: str, value: str, *, required: bool = True) -> None:
    """Set a kernel setting below `net` in this thread's namespace."""
    try:
        Path("/proc/sys/net", name).write_text(value, encoding="ascii")
    except OSError as error:
        if not required:
            return
        with contextlib.suppress(OSError):
            if read_sysctl(name) == value:  # read-only /proc (a container) in which it is as it must be
                return
        raise RefusedError(
            f"the kernel setting net.{name.replace('/', '.')} cannot be set to {value} ({error.strerror})",
            "run the node agent as root with a writable /proc/sys, or use --capture explicit",
        ) from error


def _forget_other_addresses(bridge: str, machine: MachineRange) -> None:
    wanted = {f"{machine.gateway}/{machine.prefix}", f"{machine.publisher}/32"}
    stale: list[str] = []
    for link in _json(["ip", "-j", "-4", "addr", "show", "dev", bridge]):
        for address in link.get("addr_info", []):
            written = f"{address['local']}/{address['prefixlen']}"
            if written not in wanted:
                stale.append(f"addr del {written} dev {bridge}")
    if stale:
        commands.batch(stale)


def _uplink_mtu() -> int:
    routes = _json(["ip", "-j", "-4", "route", "show", "default"])
    devices = [str(route["dev"]) for route in routes if "dev" in route]
    return mtu_of(devices[0]) if devices else _DEFAULT_MTU


def _json(command: list[str]) -> list[dict[str, Any]]:
    text = commands.run(command).strip()
    return [row for row in json.loads(text) if row] if text else []
