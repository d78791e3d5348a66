"""The doors of an Envoy: the sockets on which it listens, held open from outside and turned to another Envoy.

Listeners are opened with SO_REUSEPORT, so a second Envoy can listen where the first does. Left alone, the kernel would
share out new connections between them, and reset those that wait at a socket when it is closed. Two means prevent it:

    turn    the agent takes a copy of each listening socket (pidfd_getfd) and attaches a program of one instruction
            (SO_ATTACH_REUSEPORT_CBPF) that says which socket of a port gets new connections. What waits at the other
            one is still taken by its Envoy. Needs no privilege beyond that of tracing the Envoy: root, or its own user.
    hold    a copy keeps the port open when its Envoy is killed. Connections wait at it, and move to the next Envoy's
            socket when the copy is closed (`net.ipv4.tcp_migrate_req`, set in every workload's namespace).

A program stays attached until the next one is; one that names a place that no socket has is as good as none.

https://docs.kernel.org/networking/ip-sysctl.html (tcp_migrate_req), socket(7) (SO_ATTACH_REUSEPORT_CBPF)
"""

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from plait.errors import PlaitError, RefusedError
from plait.node import bridge, netns
from plait.node.processes import ProcessId

EARLIER: Final = 0
LATER: Final = 1
"""The places in a port's group of sockets: the order in which they began to listen."""

_PIDFD_GETFD: Final = 438
_ATTACH: Final = 51
_RETURN: Final = 0x06
_LISTENING: Final = "0A"
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Doors:
    """Copies of the listening sockets of one process."""

    def __init__(self, copies: Mapping[int, socket.socket]) -> None:
        self._copies = dict(copies)

    @classmethod
    def of(cls, process: ProcessId) -> "Doors":
        """Copy them; raises RefusedError where this user may not."""
        copies: dict[int, socket.socket] = {}
        try:
            pidfd = os.pidfd_open(process.pid)
        except OSError as error:
            raise _refused(process, error) from error
        try:
            wanted = _listening(process.pid)
            if wanted is None:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            for inode, (number, _port) in wanted.items():
                copies[inode] = socket.socket(fileno=_copy(pidfd, number))
        except OSError as error:
            cls(copies).close()
            raise _refused(process, error) from error
        finally:
            os.close(pidfd)
        return cls(copies)

    def turn(self, place: int) -> None:
        """Lead new connections to the socket in that place of each port's group."""
        instruction = struct.pack("HBBI", _RETURN, 0, 0, place)  # a classic BPF program that returns a constant
        kept = ctypes.create_string_buffer(instruction, len(instruction))
        program = struct.pack("HP", 1, ctypes.addressof(kept))
        for copy in self._copies.values():
            copy.setsockopt(socket.SOL_SOCKET, _ATTACH, program)

    def __bool__(self) -> bool:
        return bool(self._copies)

    def close(self) -> None:
        """Close the copies."""
        while self._copies:
            self._copies.popitem()[1].close()


def moves(place: str) -> bool:
    """Whether connections that wait at a closed socket move to another one (in the namespace at that path, if any)."""

    def allowed() -> bool:
        return bridge.read_sysctl("ipv4/tcp_migrate_req") == "1"

    try:
        return netns.within(place, allowed) if place else allowed()
    except (OSError, PlaitError):
        return False


def ports(pid: int) -> frozenset[int] | None:
    """The TCP ports on which a process listens; None if this user may not know."""
    found = _listening(pid)
    return frozenset(port for _number, port in found.values()) if found is not None else None


def _listening(pid: int) -> Mapping[int, tuple[int, int]] | None:
    """One descriptor of each socket on which a process listens, and its port, by inode."""
    bound: dict[int, int] = {}
    for family in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/{pid}/net/{family}").read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        rows = (words for words in map(str.split, lines) if words[3] == _LISTENING)
        bound.update({int(words[9]): int(words[1].rpartition(":")[2], 16) for words in rows})
    found: dict[int, tuple[int, int]] = {}
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            target = _target(entry)
            inode = int(target[8:-1]) if target.startswith("socket:[") else 0
            if inode in bound:
                found[inode] = (int(entry.name), bound[inode])
    except PermissionError:
        return None
    except OSError:
        return {}
    return found


def _target(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:
        return ""


def _copy(pidfd: int, number: int) -> int:
    copy = int(_LIBC.syscall(_PIDFD_GETFD, pidfd, number, 0))
    if copy < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return copy


def _refused(process: ProcessId, error: OSError) -> RefusedError:
    problem = f"the listening sockets of process {process.pid} cannot be copied: {error.strerror}"
    return RefusedError(problem, "let the node agent trace its Envoys (kernel.yama.ptrace_scope 0), or run it as root")
