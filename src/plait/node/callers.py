"""Who asks the agent, as the kernel says it, and as whom and with which limits an app then runs.

The peer's uid, gid and groups come from the socket (SO_PEERCRED, SO_PEERGROUPS), its limits from its process; nothing
that the peer says about itself is used. Only root may choose another user.
"""

import contextlib
import grp
import os
import pwd
import resource
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from plait.errors import ForbiddenError, RefusedError

_SO_PEERGROUPS: Final = 59
_CREDENTIALS: Final = struct.Struct("iII")
_LIMITS: Final = tuple(
    getattr(resource, name)
    for name in ("RLIMIT_NOFILE", "RLIMIT_CORE", "RLIMIT_STACK", "RLIMIT_NPROC", "RLIMIT_FSIZE", "RLIMIT_MEMLOCK")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A process that connected to the agent."""

    pid: int
    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    limits: Mapping[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """As whom an app runs."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


def caller_of(channel: socket.socket) -> Caller:
    """The process at the other end of a unix socket."""
    raw = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(raw)
    groups: tuple[int, ...] = ()
    with contextlib.suppress(OSError):
        packed = channel.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * 1024)
        groups = struct.unpack(f"{len(packed) // 4}I", packed)
    limits: dict[int, tuple[int, int]] = {}
    for kind in _LIMITS:
        with contextlib.suppress(OSError, ValueError):
            limits[kind] = resource.prlimit(pid, kind)
    return Caller(pid=pid, uid=uid, gid=gid, groups=groups, limits=limits)


def user_for(caller: Caller, wanted: str) -> User:
    """The user an app runs as: the caller, or the one asked for where the caller may choose."""
    if not wanted:
        return User(uid=caller.uid, gid=caller.gid, groups=caller.groups)
    entry = _entry(wanted)
    if entry.pw_uid == caller.uid:
        return User(uid=caller.uid, gid=caller.gid, groups=caller.groups)
    if caller.uid != 0:
        problem = f"you may not run an app as {wanted}"
        raise ForbiddenError(problem, "leave out --user to run it as yourself, or ask root")
    if os.geteuid() != 0:
        raise ForbiddenError(f"the node agent is not root and cannot run an app as {wanted}", "leave out --user")
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)) if entry.pw_name else (entry.pw_gid,)
    return User(uid=entry.pw_uid, gid=entry.pw_gid, groups=groups)


def _entry(wanted: str) -> pwd.struct_passwd:
    name, _, group = wanted.partition(":")
    try:
        entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError:
        if not name.isdecimal():
            raise RefusedError(f"there is no user {name} on this machine", "check --user") from None
        entry = pwd.struct_passwd(("", "x", int(name), int(name), "", "/", "/bin/sh"))
    if not group:
        return entry
    try:
        gid = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise RefusedError(f"there is no group {group} on this machine", "check --user") from None
    return pwd.struct_passwd((entry.pw_name, "x", entry.pw_uid, gid, "", entry.pw_dir, entry.pw_shell))
