"""Machines for network tests: a namespace that plays a machine, sockets in it and in workloads' places.

A socket belongs for ever to the namespace and to the uid that opened it, so that servers and callers of this one
process stand in for apps and Envoys everywhere; no traffic leaves the namespaces a test made.
"""

import ctypes
import os
import secrets
import socket
import struct
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from plait.node import commands, netns
from plait.node.network import MachineNetwork
from plait.node.place import Place
from plait.node.record import PlaceSpec

ENVOY_UID = 61337
_SO_ORIGINAL_DST = 80
T = TypeVar("T")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="making network namespaces needs root")


@dataclass
class Machine:
    """A network namespace in the role of a machine, with one mesh on it."""

    name: str
    network: MachineNetwork
    servers: list[socket.socket] = field(default_factory=list[socket.socket])

    @property
    def path(self) -> str:
        return netns.path_of(self.name)

    def here(self, action: Callable[[], T]) -> T:
        """Do something on this machine."""
        return netns.within(self.path, action)

    def place(self, name: str = "default/app", **wanted: Any) -> Place:
        """A workload's place on this machine."""
        spec = PlaceSpec(name=name, envoy_uid=ENVOY_UID, **wanted)
        return self.here(lambda: self.network.create(spec))

    def serve(self, path: str, port: int, says: str = "", *, host: str = "0.0.0.0", uid: int = 0) -> None:
        """Answer every connection with `says`, the address the caller meant and the caller's own."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = open_as(path, uid=uid, family=family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(16)
        self.servers.append(listening)
        threading.Thread(target=_answer, args=(listening, says), daemon=True).start()

    def envoy(self, place: Place) -> None:
        """Stand-ins for a sidecar: they tell which of the two listeners a connection came to, and for what address."""
        for port, says in ((15001, "outbound"), (15006, "inbound")):
            self.serve(place.path, port, says, uid=ENVOY_UID)
            self.serve(place.path, port, says, uid=ENVOY_UID, host="::1")


@contextmanager
def machine(
    mesh_id: str = "", cidr: str = "10.77.0.0/24", *, state: Path, others: tuple[str, ...] = ()
) -> Generator[Machine]:
    """A machine with the mesh's network set up; everything is removed at the end."""
    name = f"plaittest-{secrets.token_hex(4)}"
    mesh_id = mesh_id or secrets.token_hex(2)
    made = Machine(name=name, network=MachineNetwork(mesh_id, cidr, state=state / f"{mesh_id}.json"))
    netns.create(name)
    try:
        commands.batch(["link set lo up", *others], netns=name)
        made.here(made.network.setup)
        yield made
    finally:
        for server in made.servers:
            server.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            server.close()
        made.here(made.network.teardown)
        netns.delete(name)


OUTSIDE, UPLINK = "192.0.2.2", "192.0.2.1"


@contextmanager
def outside(here: Machine) -> Generator[str]:
    """Another host, 192.0.2.2, beyond the machine's default route; the machine is 192.0.2.1 there. Yields its path."""
    name = f"{here.name}-outside"
    netns.create(name)
    commands.batch([f"link add up0 type veth peer name up0 netns {name}"], netns=here.name)
    for where, address in ((here.name, UPLINK), (name, OUTSIDE)):
        commands.batch(["link set lo up", f"addr add {address}/24 dev up0", "link set up0 up"], netns=where)
    commands.batch([f"route add default via {OUTSIDE}"], netns=here.name)
    try:
        yield netns.path_of(name)
    finally:
        netns.delete(name)


def open_as(path: str, *, uid: int = 0, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A socket in a namespace that the kernel takes for the given user's."""

    def make() -> socket.socket:
        ctypes.CDLL(None).setfsuid(uid)
        made = socket.socket(family, kind)
        made.settimeout(3)
        return made

    return netns.within(path, make)


def call(path: str, host: str, port: int, *, uid: int = 0, source: str = "") -> str:
    """What the server says that answers `host:port` in this namespace; else `refused`, `unreachable`, `timeout`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with open_as(path, uid=uid, family=family) as caller:
        try:
            if source:
                caller.bind((source, 0))
            caller.connect((host, port))
            return caller.recv(1000).decode()
        except (ConnectionRefusedError, ConnectionResetError):
            return "refused"
        except TimeoutError:
            return "timeout"
        except OSError as error:
            return f"unreachable: {error.strerror}"


def _answer(listening: socket.socket, says: str) -> None:
    listening.settimeout(None)
    while True:
        try:
            connection, peer = listening.accept()
        except OSError:
            return
        with connection:
            connection.sendall(f"{says} {_meant(connection)} from {peer[0]}".strip().encode())


def _meant(connection: socket.socket) -> str:
    host, port = connection.getsockname()[:2]
    try:
        if connection.family == socket.AF_INET6:
            raw = connection.getsockopt(socket.IPPROTO_IPV6, _SO_ORIGINAL_DST, 28)
            port, host = struct.unpack("!2xH", raw[:4])[0], socket.inet_ntop(socket.AF_INET6, raw[8:24])
        else:
            raw = connection.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16)
            port, host = struct.unpack("!2xH", raw[:4])[0], socket.inet_ntoa(raw[4:8])
    except OSError:
        pass
    return f"{host}:{port}"
