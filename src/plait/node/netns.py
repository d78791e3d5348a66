"""Network namespaces: make, find, enter, delete.

A namespace is a file of `/run/netns` on which the kernel's namespace is mounted, as `ip netns` does it, so that every
tool of the machine can enter a workload's place. The mount belongs to the agent's mount namespace: an agent that has
one of its own (under `ip netns exec`, or a systemd unit with private mounts) works as well, but then others enter a
place by `/proc/PID/ns/net` of a process in it.

The network namespace is a property of the thread: `within` enters it with a thread that lives as long as one call, and
whatever that thread starts or opens belongs to the workload's place. So does a socket afterwards, wherever it is used.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from plait.node import commands
from plait.node.confine import enter_network

FOLDER = Path("/run/netns")

T = TypeVar("T")


def path_of(name: str) -> str:
    """The file through which the namespace of that name is entered."""
    return str(FOLDER / name)


def exists(name: str) -> bool:
    """Whether the namespace is there and mounted (a bare file is what a reboot leaves behind)."""
    with contextlib.suppress(OSError):
        return Path(path_of(name)).stat().st_dev == Path("/proc/self/ns/net").stat().st_dev
    return False


def names(prefix: str) -> tuple[str, ...]:
    """The namespaces (and what a reboot left of them) whose name starts so."""
    with contextlib.suppress(FileNotFoundError):
        return tuple(sorted(entry.name for entry in FOLDER.iterdir() if entry.name.startswith(prefix)))
    return ()


def create(name: str) -> None:
    """Make an empty namespace; what a reboot left under that name is replaced."""
    if Path(path_of(name)).exists():
        delete(name)
    commands.run(["ip", "netns", "add", name])


def delete(name: str) -> None:
    """Remove a namespace's name; it ends with the last process in it. Nothing there is fine."""
    path = Path(path_of(name))
    if path.exists():
        with contextlib.suppress(commands.NetworkError):
            commands.run(["ip", "netns", "delete", name])
        path.unlink(missing_ok=True)


def processes(name: str) -> tuple[int, ...]:
    """The processes that live in a namespace."""
    if not exists(name):
        return ()
    inode = Path(path_of(name)).stat().st_ino
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile
                if (entry / "ns/net").stat().st_ino == inode:
                    found.append(int(entry.name))
    return tuple(sorted(found))


def within(path: str, action: Callable[[], T]) -> T:
    """Run `action` inside the namespace at `path` and return what it returns."""
    results: list[T] = []
    failures: list[BaseException] = []

    def enter() -> None:
        try:
            enter_network(path)
            results.append(action())
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread below
            failures.append(error)

    thread = threading.Thread(target=enter, name="within-netns", daemon=True)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def open_socket(path: str, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A non-blocking socket that belongs to the namespace: what probes connect with."""

    def make() -> socket.socket:
        made = socket.socket(family, kind)
        made.setblocking(False)
        return made

    return within(path, make)
