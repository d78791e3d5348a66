"""Attestation: which identities a local process may have, by what the kernel says of it.

A client of the agent's unix socket is known by SO_PEERCRED (process, user, group), and by /proc: its executable and
its control group. Grants map these to `NAMESPACE/SERVICE_ACCOUNT`. A process number may be used again after its
process ended, so facts are taken between two looks at the process's start time, which must agree.
"""

import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from plait.errors import ForbiddenError

_PEER_CREDENTIALS: Final = struct.Struct("3i")
ANY: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerProcess:
    """What is known of the process at the other end of a unix socket; empty where the kernel did not say."""

    pid: int
    uid: int
    gid: int
    executable: str = ""
    cgroup: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Identities for processes: every condition given (user, executable, control group or one above it) must hold."""

    allow: tuple[str, ...]
    uid: int | None = None
    executable: str = ""
    cgroup: str = ""

    def applies_to(self, peer: PeerProcess) -> bool:
        """Whether the process meets every condition."""
        if self.uid is None and not self.executable and not self.cgroup:
            return False
        group = self.cgroup.rstrip("/")
        return (
            self.uid in (None, peer.uid)
            and self.executable in ("", peer.executable)
            and (not group or peer.cgroup == group or peer.cgroup.startswith(group + "/"))
        )


def peer_process(connection: socket.socket, *, proc: Path = Path("/proc")) -> PeerProcess:
    """The process that connected to a unix socket."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
    pid, uid, gid = _PEER_CREDENTIALS.unpack(raw)
    place = proc / str(pid)
    before = _start_time(place)
    executable, cgroup = _executable(place), _cgroup(place)
    if not before or before != _start_time(place):
        executable = cgroup = ""
    return PeerProcess(pid=pid, uid=uid, gid=gid, executable=executable, cgroup=cgroup)


def permitted(allow: Iterable[str], namespace: str, service_account: str) -> bool:
    """Whether a list of `NAMESPACE/SERVICE_ACCOUNT` covers an identity; either part may be `*`."""
    wanted = (namespace, service_account)
    return any(
        len(parts) == 2 and all(part in (ANY, want) for part, want in zip(parts, wanted, strict=True))
        for parts in (entry.split("/") for entry in allow)
    )


def attest(peer: PeerProcess, grants: Iterable[Grant], namespace: str, service_account: str) -> None:
    """Return if a grant lets the process have that identity; ForbiddenError tells what the process is otherwise."""
    if any(grant.applies_to(peer) and permitted(grant.allow, namespace, service_account) for grant in grants):
        return
    raise ForbiddenError(
        f"user {peer.uid} ({peer.executable or 'unknown executable'}) may not run as {namespace}/{service_account}",
        f"ask the mesh's owner for `plait grant --uid {peer.uid} --allow {namespace}/{service_account}`",
    )


def _start_time(place: Path) -> str:
    try:
        return (place / "stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _executable(place: Path) -> str:
    try:
        target = str((place / "exe").readlink())
    except OSError:
        return ""
    return "" if target.endswith(" (deleted)") else target


def _cgroup(place: Path) -> str:
    try:
        lines = (place / "cgroup").read_text().splitlines()
    except OSError:
        return ""
    return next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "")
