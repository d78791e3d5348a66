"""Who holds a TCP port of this machine: the sentence for "port taken".

Listeners are read from `/proc/net/tcp` and `tcp6` (of the namespace this thread is in) and their owner is found by the
socket's inode among all open files. A port that a mesh publishes has no listener, since nft alone leads it to the
workload: those are asked of the other meshes' tables.
"""

import contextlib
import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from plait.errors import RefusedError
from plait.node import commands

_LISTEN = "0A"
_TABLES = ("/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """A listening TCP socket."""

    address: str
    port: int
    inode: int


def parse(text: str) -> Iterator[Listener]:
    """The listeners in the text of `/proc/net/tcp` or `tcp6`."""
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) > 9 and words[3] == _LISTEN:
            host, _, port = words[1].rpartition(":")
            yield Listener(address=_address(host), port=int(port, 16), inode=int(words[9]))


def listeners() -> tuple[Listener, ...]:
    """All listening TCP sockets of this thread's network namespace."""
    found: list[Listener] = []
    for table in _TABLES:
        with contextlib.suppress(OSError):
            found.extend(parse(Path(table).read_text(encoding="ascii")))
    return tuple(found)


def conflicting(found: Iterable[Listener], host: str | None, port: int) -> Listener | None:
    """The listener that gets what is sent to `host:port`; with host None, to the port on any address but loopback."""
    for listener in found:
        if listener.port == port and _covers(listener.address, host):
            return listener
    return None


def check_number(port: int) -> None:
    """Refuse a number that is no port."""
    if not 0 < port < 65536:
        raise RefusedError(f"{port} is not a port", "use a number from 1 to 65535")


def first_free(candidates: range, used: Collection[int]) -> int:
    """The first port that nobody uses or listens on."""
    held = {listener.port for listener in listeners()}
    for port in candidates:
        if port not in used and port not in held:
            return port
    span = f"{candidates.start} to {candidates.stop - 1}"
    raise RefusedError(f"no port from {span} of this machine is free", "stop something on it")


def holder_of(host: str | None, port: int, *, bridge: str) -> str:
    """Who has `host:port`, beside the mesh with this bridge, as a clause; empty if nobody."""
    listener = conflicting(listeners(), host, port)
    if listener is not None:
        return f"{holder(listener)} listens there"
    mesh = other_meshes(bridge).get(port)
    return f"the mesh with the bridge {mesh} publishes a workload there" if mesh else ""


def holder(listener: Listener) -> str:
    """The process that holds a listener, as `name (process 123)`."""
    wanted = f"socket:[{listener.inode}]"
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _has_open(entry, wanted):
            name = "a process"
            with contextlib.suppress(OSError):
                name = (entry / "comm").read_text(encoding="utf-8", errors="replace").strip()
            return f"{name} (process {entry.name})"
    return "another process"


def other_meshes(own_table: str) -> dict[int, str]:
    """Ports that other meshes publish on this machine, with the mesh's table."""
    found: dict[int, str] = {}
    table = ""
    for line in commands.run(["nft", "list", "maps", "inet"]).splitlines():
        words = line.split()
        if words[:2] == ["table", "inet"]:
            table = words[2]
        elif table.startswith("plait") and table != own_table:
            for port in re.findall(r"(?:^|[\s{,])(?:\d+\.\d+\.\d+\.\d+ \. )?(\d+) :", line):
                found[int(port)] = table
    return found


def _address(text: str) -> str:
    raw = bytes.fromhex(text)
    swapped = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
    return str(ipaddress.ip_address(swapped))


def _covers(listening: str, host: str | None) -> bool:
    address = ipaddress.ip_address(listening)
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if address.is_unspecified:
        return True
    if host is None:
        return not address.is_loopback
    if host == "0.0.0.0":  # noqa: S104 - compared, not bound
        return address.version == 4
    return str(address) == host


def _has_open(process: Path, wanted: str) -> bool:
    with contextlib.suppress(OSError):
        for descriptor in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                if str(descriptor.readlink()) == wanted:
                    return True
    return False
