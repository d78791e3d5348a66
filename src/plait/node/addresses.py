"""Which address a workload has on its machine.

Control gives every machine a range of its own (`10.N.M.0/24`), so addresses are unique in a mesh. In that range

    .1          the machine itself: the bridge's address, the gateway of every workload, where DNS is answered
    .254        the source address of calls that come from a port published on the machine (last usable address)
    the rest    workloads

A name keeps its address as long as the range has room: callers' open pools and the endpoints that other machines hold
stay right over a restart. A free address is taken in the order least recently used, so that an address that a dead
workload just left is not at once somebody else's. Everything here is a pure function of values; `record` writes
them to disk.
"""

import ipaddress
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from plait.errors import RefusedError

SERVICE_RANGE = ipaddress.IPv4Network("240.240.0.0/16")

_SMALLEST_PREFIX = 29
_MESH_SUPERNET = ipaddress.IPv4Network("10.0.0.0/8")


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRange:
    """The addresses of one machine."""

    network: ipaddress.IPv4Network

    @classmethod
    def parse(cls, text: str) -> "MachineRange":
        """Read `10.5.0.0/24`; refuses ranges too small to hold a gateway, a publisher and workloads."""
        try:
            network = ipaddress.IPv4Network(text, strict=True)
        except ValueError as error:
            raise RefusedError(
                f"`{text}` is not a range of IPv4 addresses ({error})", "write it as 10.5.0.0/24"
            ) from error
        if network.prefixlen > _SMALLEST_PREFIX:
            raise RefusedError(
                f"the range {text} has no room for workloads", f"use a prefix of /{_SMALLEST_PREFIX} or shorter"
            )
        return cls(network=network)

    @property
    def gateway(self) -> str:
        """The machine's own address on its bridge."""
        return str(self.network.network_address + 1)

    @property
    def publisher(self) -> str:
        """The source address that calls from published ports carry, so that a workload can tell them from any other."""
        return str(self.network.broadcast_address - 1)

    @property
    def prefix(self) -> int:
        """The prefix length."""
        return self.network.prefixlen

    @property
    def workloads(self) -> Sequence[str]:
        """Every address a workload can have, in order."""
        first, last = int(self.network.network_address) + 2, int(self.network.broadcast_address) - 2
        return [str(ipaddress.IPv4Address(number)) for number in range(first, last + 1)]

    def offset(self, address: str) -> int:
        """The position of an address in its range: short and unique, good for interface names."""
        return int(ipaddress.IPv4Address(address)) & int(self.network.hostmask)

    def holds(self, address: str) -> bool:
        """Whether a workload can have the address."""
        number, network = ipaddress.IPv4Address(address), self.network
        return network.network_address + 1 < number < network.broadcast_address - 1


def allocate(
    machine: MachineRange, name: str, *, remembered: Mapping[str, str], in_use: Iterable[str], wanted: str | None = None
) -> str:
    """The address `name` gets: the wanted one, else the one it had, else one never used, else the longest unused.

    `remembered` maps names to their last address, least recently used first; `in_use` are the names running now.
    """
    busy = {remembered[other]: other for other in in_use if other != name and other in remembered}
    if wanted is not None:
        return _checked(machine, wanted, busy)
    kept = remembered.get(name)
    if kept is not None and kept not in busy and machine.holds(kept):
        return kept
    owned = {address for other, address in remembered.items() if other != name}
    for address in machine.workloads:
        if address not in owned:
            return address
    for address in remembered.values():
        if address not in busy and machine.holds(address):
            return address
    raise RefusedError(
        f"all {len(machine.workloads)} addresses of {machine.network} are in use",
        "stop a workload of this machine or give the machine a larger range",
    )


def choose_mesh_range(mesh_id: str, taken: Iterable[str]) -> str:
    """A `10.N.0.0/16` for a new mesh that overlaps nothing in `taken` (the machine's own networks)."""
    used = [ipaddress.IPv4Network(text, strict=False) for text in taken if ":" not in text]
    candidates = list(_MESH_SUPERNET.subnets(new_prefix=16))[16:]
    start = zlib.crc32(mesh_id.encode()) % len(candidates)
    for widest in (1, 16):  # second round: a network as wide as a VPN's 10.0.0.0/8 may contain it
        narrow = [network for network in used if network.prefixlen >= widest]
        for candidate in candidates[start:] + candidates[:start]:
            if not any(candidate.overlaps(network) for network in narrow):
                return str(candidate)
    raise RefusedError(
        "every range 10.N.0.0/16 is in use on this machine", "free one, or give the mesh a range by hand"
    )


def hardware_address(address: str) -> str:
    """The MAC address that belongs to an IPv4 address, so that neighbours never hold a stale one."""
    return ":".join(["02", "50", *(f"{octet:02x}" for octet in ipaddress.IPv4Address(address).packed)])


def _checked(machine: MachineRange, wanted: str, busy: Mapping[str, str]) -> str:
    if not _is_address(wanted) or not machine.holds(wanted):
        raise RefusedError(
            f"the address {wanted} is not one of this machine's for workloads",
            f"choose one from {machine.workloads[0]} to {machine.workloads[-1]}",
        )
    if wanted in busy:
        raise RefusedError(f"the address {wanted} belongs to the workload {busy[wanted]}", "choose another")
    return wanted


def _is_address(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
