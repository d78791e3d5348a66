"""Network namespaces of the bench's own, made by the product's code, so that every path is alike.

Other pairs of sidecars get places with the same capture rules as Plait's workloads; the direct pair gets places without
capture. All hang on one bridge, as Plait's workloads hang on the mesh's.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench import calls
from plait.node import netns
from plait.node.addresses import choose_mesh_range
from plait.node.network import MachineNetwork
from plait.node.place import Place
from plait.node.record import PlaceSpec

ENVOY_UID = 60990
COLLECTOR_PORT = 4318
APP_PORTS = tuple(protocol.app_port for protocol in calls.PROTOCOLS)


@dataclass(slots=True, kw_only=True)
class Places:
    """The bench's network and the processes that run in it."""

    network: MachineNetwork
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])

    def make(self, name: str, *, capture: bool) -> Place:
        """A new place."""
        return self.network.create(PlaceSpec(name=name, envoy_uid=ENVOY_UID, inbound_ports=APP_PORTS, capture=capture))

    def start(
        self, place: Place | None, command: Sequence[str], *, folder: Path, user: int | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a process in a place, or on the machine itself; it ends with the bench."""

        def spawn() -> subprocess.Popen[bytes]:
            log = (folder / "log").open("ab")
            with log:
                return subprocess.Popen(
                    command,
                    cwd=folder,
                    user=user,
                    group=user,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # as Plait starts its own: cores are shared by session
                )

        process = spawn() if place is None else netns.within(place.path, spawn)
        self.processes.append(process)
        return process

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """End a process that was started here, and its workers with it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.processes.remove(process)


@contextmanager
def places(folder: Path) -> Generator[Places]:
    """The bench's network, while it is needed."""
    mesh_id = f"b{os.getpid() % 0xFFFFFF:x}"
    network = MachineNetwork(mesh_id, _free_range(mesh_id), state=folder / "network.json")
    made = Places(network=network)
    try:
        network.setup()
        yield made
    finally:
        for process in list(made.processes):
            made.stop(process)
        network.teardown()


def _free_range(mesh_id: str) -> str:
    interfaces: Mapping[str, Sequence[object]] = psutil.net_if_addrs()
    taken = [
        f"{getattr(address, 'address', '')}/{getattr(address, 'netmask', '')}"
        for addresses in interfaces.values()
        for address in addresses
        if getattr(address, "netmask", None) and "." in getattr(address, "address", "")
    ]
    return choose_mesh_range(mesh_id, taken).replace("/16", "/24")
