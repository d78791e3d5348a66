"""A workload's place on this machine, and the machine's network as a whole.

`MachineNetwork` is what the node agent holds: one bridge, one nft table of the machine, and a network namespace per
workload. A change is written down first (`record`), then made, so that an agent killed in between finds at its next
start what it has to take back; the machine's table is rendered from the record each time, as a whole.

The calls block for milliseconds and may come from any thread; an asyncio agent uses `asyncio.to_thread`.

    network = MachineNetwork("ab12", "10.5.0.0/24", state=STATE / "node/network.json", dns_port=15053)
    network.setup()
    place = network.create(PlaceSpec(name="default/reviews", envoy_uid=1337, inbound_ports=(8080,)))
"""

import dataclasses
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plait.errors import AlreadyExistsError, NotFoundError, RefusedError
from plait.node import bridge, commands, firewall, netns, nft, ports, record
from plait.node.addresses import MachineRange, allocate, hardware_address
from plait.node.nft import HostRules, LoopbackPort, MachinePort, WorkloadRules
from plait.node.record import PlaceSpec, Record
from plait.node.resolvconf import render, search_list

MACHINE_PORTS = (30000, 32767)
"""Ports that the agent publishes app ports on: below the kernel's range for outgoing connections."""

_INTERFACE = "eth0"
_MESH_ID = re.compile(r"[a-z0-9]{1,8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A workload's place: a namespace with one address and its rules in force."""

    name: str
    netns: str
    path: str
    address: str
    gateway: str
    interface: str
    resolv_conf: str
    spec: PlaceSpec


class MachineNetwork:
    """The network that one node agent makes on its machine for one mesh.

    `mesh_id` names everything on the machine, so it must be unique for a state directory, not only for a mesh.
    """

    def __init__(
        self, mesh_id: str, cidr: str, *, state: Path, dns_port: int = 15053, cluster_domain: str = "cluster.local"
    ) -> None:
        if not _MESH_ID.fullmatch(mesh_id):
            raise RefusedError(
                f"`{mesh_id}` cannot name a mesh on this machine", "use 1 to 8 lower-case letters and digits"
            )
        self.mesh_id = mesh_id
        self.machine = MachineRange.parse(cidr)
        self.bridge = f"plait{mesh_id}"
        self.dns_port = dns_port
        self.cluster_domain = cluster_domain
        self._state = state
        self._lock = threading.RLock()
        self._record = record.load(state)

    @property
    def gateway(self) -> str:
        """The machine's address on the bridge: where the DNS server listens, at `dns_port`."""
        return self.machine.gateway

    def setup(self) -> tuple[str, ...]:
        """Make the bridge and the machine's rules; returns warnings about other firewalls that stand in the way."""
        with self._lock:
            bridge.check_free(self.bridge, self.machine)
            bridge.create(self.bridge, self.machine)
            nft.apply(nft.render_host(self._rules()))
            return firewall.make_way(self.bridge)

    def teardown(self) -> None:
        """Remove every place, the rules and the bridge; what is not there is fine."""
        with self._lock:
            for name in list(self._record.places):
                self.remove(name)
            firewall.close_way(self.bridge)
            nft.remove(self.bridge)
            bridge.delete(self.bridge)

    def create(self, spec: PlaceSpec) -> Place:
        """Make a workload's place with its rules in force before anything can run in it."""
        self._check(spec)
        with self._lock:
            if spec.name in self._record.places:
                raise AlreadyExistsError(
                    f"the workload {spec.name} has a place on this machine already", "stop it first"
                )
            remembered = self._record.addresses
            address = allocate(
                self.machine, spec.name, remembered=remembered, in_use=self._record.places, wanted=spec.address
            )
            self._keep(self._record.with_place(spec, address))
        place = self._place(spec, address)
        try:
            self._build(place)
            if spec.host_ports:
                self._apply()
        except BaseException:
            self.remove(spec.name)
            raise
        return place

    def remove(self, name: str) -> None:
        """Remove a workload's place and the ports that lead to it; its address stays its own. None there is fine."""
        with self._lock:
            before = self._record
            self._keep(before.without_place(name))
            if _published(before) != _published(self._record):
                self._apply()
            address = before.addresses.get(name) if name in before.places else None
        if address is not None:
            self._unplug(address)
        netns.delete(self.netns_name(name))

    def publish_machine_port(self, address: str, app_port: int, *, machine_port: int | None = None) -> int:
        """Open a port of the machine, to other machines, that leads to a workload's app port; returns the port."""
        with self._lock:
            self._expect(address)
            for known in self._record.machine_ports:
                same = (known.address, known.app_port) == (address, app_port)
                if same and machine_port in (None, known.port):
                    return known.port
            chosen = self._free_machine_port() if machine_port is None else machine_port
            if machine_port is not None:
                self.check_port(None, machine_port)
            added = MachinePort(port=chosen, address=address, app_port=app_port)
            self._change(dataclasses.replace(self._record, machine_ports=(*self._record.machine_ports, added)))
            return chosen

    def unpublish_machine_port(self, machine_port: int) -> None:
        """Close a port of the machine; not open is fine."""
        with self._lock:
            kept = tuple(port for port in self._record.machine_ports if port.port != machine_port)
            self._change(dataclasses.replace(self._record, machine_ports=kept))

    def publish_loopback(self, host: str, port: int, *, address: str, listener_port: int) -> None:
        """Open `host:port` of the machine (127.0.0.1 as a rule) on a listener of a workload's sidecar."""
        with self._lock:
            spec = self._expect(address)
            wanted = LoopbackPort(
                host="127.0.0.1" if host == "localhost" else host,
                port=port,
                address=address,
                listener_port=listener_port,
            )
            if wanted in self._record.loopback_ports:
                return
            self.check_port(wanted.host, port)
            if listener_port not in spec.listener_ports:
                spec = dataclasses.replace(spec, listener_ports=(*spec.listener_ports, listener_port))
                self._admit(self._place(spec, address))
            opened = dataclasses.replace(self._record, loopback_ports=(*self._record.loopback_ports, wanted))
            self._change(opened.with_place(spec, address))

    def unpublish_loopback(self, host: str, port: int) -> None:
        """Close a published port; not open is fine."""
        host = "127.0.0.1" if host == "localhost" else host
        with self._lock:
            kept = tuple(known for known in self._record.loopback_ports if (known.host, known.port) != (host, port))
            self._change(dataclasses.replace(self._record, loopback_ports=kept))

    def check_port(self, host: str | None, port: int) -> None:
        """Refuse, with the name of the holder, a port that is taken; host None: any address but loopback."""
        if not 0 < port < 65536:
            raise RefusedError(f"{port} is not a port", "use a number from 1 to 65535")
        where = f"port {port} of this machine" if host is None else f"{host}:{port}"
        taken = self._taken(host, port)
        if taken:
            raise RefusedError(f"{where} is taken: {taken}", "choose another port, or stop what holds it")

    def adopt(self) -> tuple[Place, ...]:
        """The places of the record that still exist; the others are forgotten, and every rule is put in force again.

        An agent that restarts calls this after `setup`.
        """
        with self._lock:
            alive: list[Place] = []
            for name, spec in list(self._record.places.items()):
                place = self._place(spec, self._record.addresses[name])
                if netns.exists(place.netns) and bridge.exists(self._veth(place.address)):
                    self._admit(place)
                    alive.append(place)
                else:
                    self.remove(name)
            return tuple(alive)

    def places(self) -> tuple[Place, ...]:
        """The places of this machine."""
        with self._lock:
            known = self._record
        return tuple(self._place(spec, known.addresses[name]) for name, spec in known.places.items())

    def published(self) -> tuple[tuple[MachinePort, ...], tuple[LoopbackPort, ...]]:
        """The ports open now: to other machines, and on this machine's loopback."""
        return self._record.machine_ports, self._record.loopback_ports

    def netns_name(self, name: str) -> str:
        """The name of a workload's namespace: `plait-<mesh>-<namespace>.<name>`."""
        return f"plait-{self.mesh_id}-{name.replace('/', '.')}"

    def _build(self, place: Place) -> None:
        veth, spec = self._veth(place.address), place.spec
        netns.create(place.netns)
        mtu = bridge.mtu_of(self.bridge)
        peer = f"peer name {_INTERFACE} address {hardware_address(place.address)} mtu {mtu} netns {place.netns}"
        commands.batch(
            [f"link add name {veth} mtu {mtu} type veth {peer}", f"link set dev {veth} master {self.bridge} up"]
        )
        rules = nft.render_workload(self._workload_rules(spec, place.address))

        def furnish() -> None:
            nft.apply(rules)
            for setting, value in (
                (f"ipv6/conf/{_INTERFACE}/disable_ipv6", "1"),
                (f"ipv4/conf/{_INTERFACE}/route_localnet", "1"),
                ("ipv4/ip_unprivileged_port_start", "0"),
            ):
                bridge.write_sysctl(setting, value, required=setting.startswith("ipv4"))
            commands.batch(
                [
                    "link set dev lo up",
                    f"addr add {place.address}/{self.machine.prefix} dev {_INTERFACE}",
                    f"link set dev {_INTERFACE} up",
                    f"route add default via {self.gateway}",
                ]
            )

        netns.within(place.path, furnish)

    def _admit(self, place: Place) -> None:
        text = nft.render_workload(self._workload_rules(place.spec, place.address))
        netns.within(place.path, lambda: nft.apply(text))

    def _unplug(self, address: str) -> None:
        veth = self._veth(address)
        if bridge.exists(veth):
            commands.batch([f"link delete dev {veth}"])

    def _place(self, spec: PlaceSpec, address: str) -> Place:
        name = self.netns_name(spec.name)
        search = search_list(spec.namespace, cluster_domain=self.cluster_domain)
        return Place(
            name=spec.name,
            netns=name,
            path=netns.path_of(name),
            address=address,
            gateway=self.gateway,
            interface=_INTERFACE,
            resolv_conf=render(self.gateway, search),
            spec=spec,
        )

    def _veth(self, address: str) -> str:
        return f"v{self.mesh_id}-{self.machine.offset(address):x}"

    def _workload_rules(self, spec: PlaceSpec, address: str) -> WorkloadRules:
        return WorkloadRules(
            address=address,
            gateway=self.gateway,
            publisher=self.machine.publisher,
            dns_port=self.dns_port,
            envoy_uid=spec.envoy_uid,
            host_ports=spec.host_ports,
            published=spec.listener_ports,
            capture=spec.capture,
        )

    def _rules(self) -> HostRules:
        known = self._record
        return HostRules(
            table=self.bridge,
            bridge=self.bridge,
            machine=self.machine,
            machine_ports=known.machine_ports,
            loopback_ports=known.loopback_ports,
            host_ports=known.host_ports(),
        )

    def _apply(self) -> None:
        with self._lock:
            nft.apply(nft.render_host(self._rules()))

    def _keep(self, changed: Record) -> None:
        record.save(self._state, changed)
        self._record = changed

    def _change(self, changed: Record) -> None:
        before = self._record
        self._keep(changed)
        try:
            self._apply()
        except BaseException:
            self._keep(before)
            raise

    def _check(self, spec: PlaceSpec) -> None:
        clash: Sequence[int] = sorted(set(spec.host_ports) & set(spec.inbound_ports))
        if clash:
            raise RefusedError(
                f"port {clash[0]} of {spec.name} is both its own port and a port of the machine (--host-port)",
                "let the app listen on another port",
            )

    def _expect(self, address: str) -> PlaceSpec:
        for name, spec in self._record.places.items():
            if self._record.addresses[name] == address:
                return spec
        raise NotFoundError(f"no workload of this machine has the address {address}", "start it first")

    def _free_machine_port(self) -> int:
        used = {known.port for known in self._record.machine_ports} | {
            known.port for known in self._record.loopback_ports
        }
        used |= {listener.port for listener in ports.listeners()} | set(ports.other_meshes(self.bridge))
        for port in range(MACHINE_PORTS[0], MACHINE_PORTS[1] + 1):
            if port not in used:
                return port
        raise RefusedError(
            f"no port from {MACHINE_PORTS[0]} to {MACHINE_PORTS[1]} is free", "stop something on this machine"
        )

    def _taken(self, host: str | None, port: int) -> str:
        for known in (*self._record.machine_ports, *self._record.loopback_ports):
            if known.port == port:
                owner = next((name for name, kept in self._record.addresses.items() if kept == known.address), "?")
                return f"this mesh publishes the workload {owner} there"
        listener = ports.conflicting(ports.listeners(), host, port)
        if listener is not None:
            return f"{ports.holder(listener)} listens there"
        mesh = ports.other_meshes(self.bridge).get(port)
        return f"the mesh {mesh} publishes a workload there" if mesh else ""


def _published(known: Record) -> tuple[object, ...]:
    return known.machine_ports, known.loopback_ports, known.host_ports()
