"""What the machine itself must give: kernel features, room in its tables, free ports."""

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from plait.cli import pids
from plait.cli.context import Mesh
from plait.cli.findings import Finding, fine, problem, warning
from plait.errors import PlaitError

_FULL: Final = 0.9
_CONNTRACK: Final = Path("/proc/sys/net/netfilter")


def kernel(mesh: Mesh) -> Iterator[Finding]:
    """Whether this kernel allows all that transparent capture needs; it is tried, not looked up."""
    del mesh
    if os.geteuid() != 0:
        return
    from plait.node import possible

    release, why = os.uname().release, possible.why_not_transparent()
    if why:
        yield warning(
            "kernel",
            f"transparent capture does not work here ({release}): {why}",
            "use a kernel with network namespaces, veth, bridges and nf_tables (nat, tproxy)",
        )
    else:
        yield fine("kernel", f"{release} has what transparent capture needs")


def limits(
    mesh: Mesh, *, conntrack: Path = _CONNTRACK, files: Path = Path("/proc/sys/fs/file-nr")
) -> Iterator[Finding]:
    """Whether the kernel's tables of connections and open files have room."""
    del mesh
    count, most = _number(conntrack / "nf_conntrack_count"), _number(conntrack / "nf_conntrack_max")
    if most and count > _FULL * most:
        yield problem(
            "kernel",
            f"{count} of {most} tracked connections are in use",
            "new ones are dropped soon: raise sysctl net.netfilter.nf_conntrack_max",
        )
    opened, limit = _number(files), _number(files, field=2)
    if limit and opened > _FULL * limit:
        yield problem("kernel", f"{opened} of {limit} files are open on this machine", "raise sysctl fs.file-max")


def _number(path: Path, field: int = 0) -> int:
    try:
        return int(path.read_text().split()[field])
    except (OSError, ValueError, IndexError):
        return 0


def ports(mesh: Mesh) -> Iterator[Finding]:
    """Whether another process took a port of a part that does not run now."""
    if pids.alive(mesh.run_dir / "control.pid") is None:
        for name in ("api", "ads", "metrics"):
            number = _number(mesh.state_dir / "control" / f"{name}.port")
            if number and _taken(number, socket.SOCK_STREAM):
                yield _in_use(number, "tcp", f"control's port for {name.upper()}")
    if pids.alive(mesh.run_dir / "node.pid") is None and os.geteuid() == 0:
        from plait.node import settings

        try:
            number = settings.load(mesh.environment, state_dir=mesh.state_dir).dns_port
        except PlaitError as error:
            yield problem("ports", error.problem, error.remedy)
            return
        if _taken(number, socket.SOCK_DGRAM):
            yield _in_use(number, "udp", "the node agent's port for DNS")


def _taken(number: int, kind: socket.SocketKind) -> bool:
    """Whether somebody else listens there on every address or on loopback."""
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
            if kind == socket.SOCK_STREAM:
                probe.listen(1)
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def _in_use(number: int, kind: str, whose: str) -> Finding:
    holder = _holder(number, kind)
    return problem(
        "ports",
        f"{whose}, {number}/{kind}, is in use{f' by {holder}' if holder else ''}",
        "end that process, or let it use another port: machines expect control where it was",
    )


def _holder(number: int, kind: str) -> str:
    """The process that has a port, as far as we may see."""
    import psutil

    try:
        for connection in psutil.net_connections(f"{kind}4"):
            listening = kind == "udp" or connection.status == psutil.CONN_LISTEN
            if listening and connection.pid and connection.laddr and connection.laddr[1] == number:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        return ""
    return ""
