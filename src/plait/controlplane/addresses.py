"""Stable addresses: one per service from 240.240.0.0/16, one range of workload addresses per machine.

A service's address is derived from its name and moves on only past addresses that others have or had: a service that is
deleted and made again gets the address that long-lived DNS answers still carry, and nobody else gets it meanwhile. What
deleted services had is known while control runs; one that started since derives the same again, except where two names
that lead to one address were both deleted before. What is given to an object that is then not stored (a dry run, a
refusal) is in use for a minute only.
"""

import time
from collections.abc import Callable
from hashlib import blake2b
from ipaddress import IPv4Address, IPv4Network

from plait.errors import RefusedError

SERVICE_RANGE = IPv4Network("240.240.0.0/16")
_KEPT = 16384
RESERVED_FOR = 60.0
"""Seconds in which an object that got an address is to be stored."""


def _start(owner: str, size: int) -> int:
    return int.from_bytes(blake2b(owner.encode(), digest_size=8).digest()) % size


class ServiceAddresses:
    """Which service address belongs to whom. `now` (seconds) is given by tests."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._reserved: dict[str, float] = {}
        self._owners: dict[str, str] = {}
        self._former: dict[str, str] = {}

    def take(self, owner: str, address: str) -> None:
        """Note that an address is in use: its owner is stored with it."""
        self._reserved.pop(address, None)
        self._owners[address] = owner
        self._former.pop(address, None)

    def reserve(self, owner: str, address: str) -> None:
        """Note that an object is about to be stored with an address."""
        if self._owners.get(address) != owner or address in self._reserved:
            self.take(owner, address)
            self._reserved[address] = self._now() + RESERVED_FOR

    def _expire(self) -> None:
        """Take back what was given to objects that were never stored; it stays theirs while there are others."""
        for address in [address for address, until in self._reserved.items() if until <= self._now()]:
            del self._reserved[address]
            self._former[address] = self._owners.pop(address)

    def release(self, owner: str) -> None:
        """Keep the addresses of a deleted owner for its return, unless the range gets full."""
        for address in [a for a, holder in self._owners.items() if holder == owner or holder.startswith(f"{owner} ")]:
            self._former.pop(address, None)
            self._reserved.pop(address, None)
            self._former[address] = self._owners.pop(address)
        while len(self._former) > _KEPT:
            del self._former[next(iter(self._former))]

    def holder(self, address: str) -> str | None:
        """Who has an address."""
        self._expire()
        return self._owners.get(address)

    def allocate(self, owner: str) -> str:
        """The owner's address: what it has or had, else the first free one; raises RefusedError when all are used."""
        self._expire()
        size = SERVICE_RANGE.num_addresses - 2
        start = _start(owner, size)
        for known in (self._owners, self._former):
            had = next((address for address, holder in known.items() if holder == owner), None)
            if had is not None:
                self.reserve(owner, had)
                return had
        for former in (self._former, dict[str, str]()):
            for step in range(size):
                address = str(SERVICE_RANGE[1 + (start + step) % size])
                if address not in self._owners and address not in former:
                    self.reserve(owner, address)
                    return address
        raise RefusedError(f"all {size} service addresses of {SERVICE_RANGE} are in use", "delete services")


def machine_range(mesh_range: str, taken: set[str]) -> str:
    """The next free /24 of the mesh's range for a machine; raises RefusedError when none is left."""
    for candidate in IPv4Network(mesh_range).subnets(new_prefix=24):
        if str(candidate) not in taken:
            return str(candidate)
    raise RefusedError(
        f"every machine range of {mesh_range} is in use", "delete Node objects of machines that are gone"
    )


def mesh_range(seed: str, in_use: list[str]) -> str:
    """A 10.N.0.0/16 for a new mesh that overlaps nothing in use on this machine (CIDR strings)."""
    busy = [IPv4Network(network, strict=False) for network in in_use]
    start = _start(seed, 190)
    for step in range(190):
        candidate = IPv4Network(f"10.{50 + (start + step) % 190}.0.0/16")
        if not any(candidate.overlaps(network) for network in busy if network.prefixlen > 0):
            return str(candidate)
    raise RefusedError("no free 10.N.0.0/16 range is left on this machine", "name one with PLAIT_ADDRESS_RANGE")


def is_service_address(address: str) -> bool:
    """Whether the address lies in the range that service addresses come from."""
    try:
        return IPv4Address(address) in SERVICE_RANGE
    except ValueError:
        return False
