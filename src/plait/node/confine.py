"""What a process does to itself between fork and exec: enter a workload's place and give up every privilege.

Order matters. Namespaces and mounts need privileges, so they come first: the network namespace, then a mount
namespace of its own (the machine's mounts still arrive, its own never leave) in which the workload's resolv.conf
and hosts lie over the machine's, resolver daemons are hidden (they would answer past the mesh's DNS), and the
agent's state is hidden (a workload that runs as root could read keys otherwise). Then the bounding set is emptied,
groups and user are taken, all capability sets are cleared and `no_new_privs` is set, so that nothing the app
executes gets anything back. Ports below 1024 need no privilege in a workload's own namespace.

Standard library only; `prepare` loads everything, so that nothing is read from disk after the user has changed.
"""

import contextlib
import ctypes
import os
import resource
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWNET: Final = 0x40000000
_MS_BIND: Final = 0x1000
_MS_REC: Final = 0x4000
_MS_SLAVE: Final = 1 << 19
_PR_SET_PDEATHSIG: Final = 1
_PR_CAPBSET_DROP: Final = 24
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_CAPABILITY_VERSION: Final = 0x20080522
_LAST_CAPABILITY: Final = 63
_SYS_CAPSET: Final = {"x86_64": 126, "aarch64": 91}
_RESOLVERS: Final = ("/run/systemd/resolve", "/run/nscd", "/var/run/nscd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """Where and as whom a process runs. `uid` None: as the caller, with nothing taken away."""

    netns: str = ""
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    hide: tuple[str, ...] = ()
    uid: int | None = None
    gid: int = 0
    groups: tuple[int, ...] = ()
    limits: Mapping[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    umask: int = 0o022

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Confinement":
        """The confinement that a launch document describes."""
        limits: dict[str, list[int]] = document.get("limits") or {}
        return cls(
            netns=document.get("netns") or "",
            files=dict(document.get("files") or {}),
            hide=tuple(document.get("hide") or ()),
            uid=document.get("uid"),
            gid=document.get("gid") or 0,
            groups=tuple(document.get("groups") or ()),
            limits={int(kind): (soft, hard) for kind, (soft, hard) in limits.items()},
            umask=document.get("umask", 0o022),
        )

    def document(self) -> dict[str, Any]:
        """The confinement as part of a launch document."""
        return {
            "netns": self.netns,
            "files": dict(self.files),
            "hide": list(self.hide),
            "uid": self.uid,
            "gid": self.gid,
            "groups": list(self.groups),
            "limits": {str(key): list(value) for key, value in self.limits.items()},
            "umask": self.umask,
        }


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def enter_network(path: str) -> None:
    """Move this thread into the network namespace at `path`."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(fd, CLONE_NEWNET), f"enter network namespace {path}")
    finally:
        os.close(fd)


def die_with_parent(number: int = signal.SIGTERM) -> None:
    """Ask the kernel to send this process a signal when its parent ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0), "set the parent's death signal")


def become_subreaper() -> None:
    """Become the parent of descendants whose own parent ends."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "become a subreaper")


def _mount(source: str, target: str, *, kind: str = "none", flags: int = 0, options: str = "") -> None:
    arguments = (source.encode(), os.fsencode(target), kind.encode(), flags, options.encode())
    _check(_libc.mount(*arguments), f"mount {source} on {target}")


def _mount_files(files: Mapping[str, str], hide: Sequence[str]) -> None:
    _check(_libc.unshare(CLONE_NEWNS), "make a mount namespace")
    _mount("none", "/", flags=_MS_REC | _MS_SLAVE)
    contents = {os.path.realpath(target): source for target, source in files.items()}
    opened = {target: os.open(source, os.O_RDONLY | os.O_CLOEXEC) for target, source in contents.items()}
    for folder in (*(_RESOLVERS if files else ()), *hide):
        if Path(folder).is_dir():
            _mount("tmpfs", folder, kind="tmpfs", options="size=1m,mode=0755")
    for target, fd in opened.items():
        if not Path(target).exists():
            with contextlib.suppress(OSError):  # a read-only root: the name server is found by nft all the same
                Path(target).touch(mode=0o644)
        if Path(target).exists():
            _mount(f"/proc/self/fd/{fd}", target, flags=_MS_BIND)
        os.close(fd)


def _open_low_ports() -> None:
    with contextlib.suppress(OSError):  # kernels before 4.11: ports below 1024 stay closed to ordinary users
        Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0", encoding="ascii")


def _drop_capabilities() -> None:
    for number in range(_LAST_CAPABILITY + 1):
        if _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
            break
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)


def _clear_capability_sets() -> None:
    header = _CapabilityHeader(_CAPABILITY_VERSION, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _check(_libc.capset(ctypes.byref(header), nothing), "give up capabilities")


def _take_user(confinement: Confinement) -> None:
    uid = confinement.uid
    assert uid is not None  # noqa: S101
    _drop_capabilities()
    os.setgroups(confinement.groups)
    os.setresgid(confinement.gid, confinement.gid, confinement.gid)
    os.setresuid(uid, uid, uid)
    _clear_capability_sets()
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs")


def enter(confinement: Confinement) -> None:
    """Enter the place and give up every privilege; returns as the process that will execute the command."""
    if confinement.netns:
        enter_network(confinement.netns)
        _open_low_ports()
    if confinement.files or confinement.hide:
        _mount_files(confinement.files, confinement.hide)
    for kind, limits in confinement.limits.items():
        with contextlib.suppress(ValueError, OSError):  # a kind of limit this kernel lacks
            resource.setrlimit(kind, limits)
    if confinement.uid is not None:
        _take_user(confinement)
    os.umask(confinement.umask)
