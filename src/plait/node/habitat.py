"""Where a workload lives on this machine: a place of its own (transparent), or the machine's loopback (explicit).

Transparent: a namespace with one address, its traffic caught by nft; every app port is opened on the machine's address
for other machines; a published port leads to a listener of the sidecar of its own. Explicit: nothing is caught. The
app is told of its sidecar by HTTP_PROXY, and the sidecar takes calls for each app port on another port of loopback.
Those ports lie below the kernel's range for outgoing connections and stay the workload's own over a restart.
"""

import asyncio
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from plait.errors import RefusedError
from plait.model.services import Capture
from plait.node.network import MachineNetwork
from plait.node.nft import OUTBOUND_PORT
from plait.node.place import Place
from plait.node.record import PlaceSpec
from plait.node.state import WorkloadDirectory
from plait.node.workload_spec import WorkloadSpec

LOOPBACK: Final = "127.0.0.1"
_PORTS: Final = range(20000, 30000)
_FIRST_LISTENER: Final = 15100
_FIRST_FREE: Final = 1024
_SHIFTED: Final = 18000
_NO_PROXY: Final = "localhost,127.0.0.1,::1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Habitat:
    """A workload's surroundings; see `registration.Registration` for the mappings of ports."""

    capture: Capture
    address: str
    netns: str = ""
    outbound_port: int = OUTBOUND_PORT
    published: Mapping[int, int] = field(default_factory=dict[int, int])
    sidecar_ports: Mapping[int, int] = field(default_factory=dict[int, int])
    publish: Mapping[int, int] = field(default_factory=dict[int, int])
    gateway_ports: Mapping[int, int] = field(default_factory=dict[int, int])
    files: Mapping[str, str] = field(default_factory=dict[str, str])

    def document(self) -> dict[str, Any]:
        """The habitat as the agent writes it down."""
        return {**asdict(self), "capture": self.capture.value}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Habitat":
        """The habitat that was written down."""
        numbers = ("published", "sidecar_ports", "publish", "gateway_ports")
        mappings = {name: {int(key): int(value) for key, value in document[name].items()} for name in numbers}
        return cls(
            capture=Capture(document["capture"]),
            address=document["address"],
            netns=document["netns"],
            outbound_port=document["outbound_port"],
            files=document["files"],
            **mappings,
        )

    def own_ports(self) -> tuple[int, ...]:
        """The ports of loopback that belong to its sidecar (explicit)."""
        return (self.outbound_port, *self.sidecar_ports.values(), *self.gateway_ports.values())

    def environment(self) -> dict[str, str]:
        """What the app's environment says of its sidecar: nothing where its traffic is caught."""
        if self.capture is Capture.TRANSPARENT:
            return {}
        proxy = f"http://{LOOPBACK}:{self.outbound_port}"
        return {"HTTP_PROXY": proxy, "http_proxy": proxy, "NO_PROXY": _NO_PROXY, "no_proxy": _NO_PROXY}


def choose_capture(wanted: str, default: str, *, possible: bool, why_not: str = "") -> Capture:
    """How a workload is captured; refuses `transparent` where it is not possible."""
    chosen = wanted if wanted not in ("", "auto") else default
    if chosen == "transparent" and not possible:
        problem = f"transparent capture is not possible here: {why_not}"
        raise RefusedError(problem, "run the node agent as root, or use --capture explicit")
    if chosen == "explicit" or not possible:
        return Capture.EXPLICIT
    return Capture.TRANSPARENT


async def settle(
    spec: WorkloadSpec, network: MachineNetwork, *, directory: WorkloadDirectory, envoy_uid: int
) -> Habitat:
    """Make a place for the workload, with its ports open."""
    return await asyncio.to_thread(_settle, spec, network, directory, envoy_uid)


def _settle(spec: WorkloadSpec, network: MachineNetwork, directory: WorkloadDirectory, envoy_uid: int) -> Habitat:
    listeners = {_FIRST_LISTENER + at: item for at, item in enumerate(spec.publish)}
    for item in spec.publish:
        network.check_port(item.host, item.port)
    place = network.create(
        PlaceSpec(
            name=str(spec.name),
            envoy_uid=envoy_uid,
            namespace=spec.name.namespace,
            inbound_ports=tuple(port.number for port in spec.ports),
            host_ports=spec.host_ports,
            listener_ports=tuple(listeners),
            capture=not spec.gateway,
        )
    )
    try:
        for listener, item in listeners.items():
            network.publish_loopback(item.host, item.port, address=place.address, listener_port=listener)
        published = {port.number: network.publish_machine_port(place.address, port.number) for port in spec.ports}
        files = write_files(spec, place, directory)
    except BaseException:
        network.remove(place.name)
        raise
    return Habitat(
        capture=Capture.TRANSPARENT,
        address=place.address,
        netns=place.path,
        published=published,
        publish={listener: item.app_port for listener, item in listeners.items()},
        files=files,
    )


def write_files(spec: WorkloadSpec, place: Place, directory: WorkloadDirectory) -> dict[str, str]:
    """Write the workload's resolv.conf and hosts; where they lie over the machine's."""
    resolv_conf, hosts = directory.root / "resolv.conf", directory.root / "hosts"
    resolv_conf.write_text(place.resolv_conf, encoding="utf-8")
    hosts.write_text(hosts_file(spec.name.name, place.address), encoding="utf-8")
    for file in (resolv_conf, hosts):
        file.chmod(0o644)
    return {"/etc/resolv.conf": str(resolv_conf), "/etc/hosts": str(hosts)}


def hosts_file(name: str, address: str, machine: Path = Path("/etc/hosts")) -> str:
    """The machine's hosts file with the workload's own name first."""
    try:
        rest = machine.read_text(encoding="utf-8", errors="replace")
    except OSError:
        rest = f"{LOOPBACK} localhost\n::1 localhost\n"
    return f"{address} {name}\n{rest}"


class LoopbackPorts:
    """Ports of loopback that this agent's explicit workloads hold."""

    def __init__(self) -> None:
        self._held: dict[str, frozenset[int]] = {}

    def keep(self, name: str, ports: Iterable[int]) -> None:
        """Remember ports that a running workload holds already."""
        self._held[name] = frozenset(ports)

    def release(self, name: str) -> None:
        """Forget the ports of a workload that has ended."""
        self._held.pop(name, None)

    def settle(self, spec: WorkloadSpec, earlier: Mapping[str, Any], *, listeners: Sequence[int] = ()) -> Habitat:
        """Ports for a workload's sidecar: those it had before, as far as they are free."""
        free = self._free([int(port) for port in earlier.get("ports", ())])
        for item in spec.publish:
            if not bindable(item.port):
                problem = f"{item.host}:{item.port} is taken"
                raise RefusedError(problem, "choose another port to publish, or stop what holds it")
        outbound = next(free)
        habitat = Habitat(
            capture=Capture.EXPLICIT,
            address=LOOPBACK,
            outbound_port=outbound,
            sidecar_ports={port.number: next(free) for port in spec.ports},
            publish={item.port: item.app_port for item in spec.publish},
            gateway_ports=self.map_listeners(listeners, {}),
        )
        self.keep(str(spec.name), habitat.own_ports())
        return habitat

    def map_listeners(self, listeners: Sequence[int], known: Mapping[int, int]) -> dict[int, int]:
        """A port of loopback for each listener of a gateway: the known one, its own if we may take it, else near."""
        mapped: dict[int, int] = {}
        for port in listeners:
            if port in known:
                mapped[port] = known[port]
                continue
            near = (port if port >= _FIRST_FREE else 0, port + _SHIFTED)
            taken = {*known.values(), *mapped.values()}
            fitting = (one for one in near if 0 < one < 65536 and one not in taken and bindable(one))
            mapped[port] = next(fitting, 0) or next(one for one in self._free(()) if one not in taken)
        return mapped

    def _free(self, first: Iterable[int]) -> Iterator[int]:
        held = {port for ports in self._held.values() for port in ports}
        for port in (*first, *_PORTS):
            if port not in held and bindable(port):
                held.add(port)
                yield port
        raise RefusedError(f"no port from {_PORTS[0]} to {_PORTS[-1]} is free", "stop something on this machine")


def bindable(port: int) -> bool:
    """Whether a port of loopback can be taken now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
