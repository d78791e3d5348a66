"""The network that a node agent makes on its machine for one mesh: a bridge, the machine's rules, a place a workload.

A change is written down first (`record`), then made, so that an agent killed in between finds at its next start what it
has to take back; the machine's nft table is rendered from the record each time, as a whole.

The calls block for milliseconds and may come from any thread; an asyncio agent uses `asyncio.to_thread`.

    network = MachineNetwork("ab12", "10.5.0.0/24", state=STATE / "node/network.json")
    warnings = network.setup()
    places = network.adopt()
    place = network.create(PlaceSpec(name="default/reviews", envoy_uid=1337, inbound_ports=(8080,)))
"""

import dataclasses
import re
import threading
from pathlib import Path

from plait.errors import AlreadyExistsError, NotFoundError, RefusedError
from plait.node import bridge, firewall, netns, nft, place, ports, record
from plait.node.addresses import MachineRange, allocate
from plait.node.nft import HostRules, LoopbackPort, MachinePort, WorkloadRules
from plait.node.place import Place, Wiring
from plait.node.record import PlaceSpec, Record
from plait.node.resolvconf import render, search_list

MACHINE_PORTS = range(30000, 32768)
"""Ports that app ports are published on for other machines: below those the kernel takes for outgoing connections."""

_MESH_ID = re.compile(r"[a-z0-9]{1,8}")
_LOCALHOST = "127.0.0.1"


class MachineNetwork:
    """The network of one mesh on this machine.

    `mesh_id` names everything on the machine, so it must be unique for a state directory, not only for a mesh.
    """

    def __init__(
        self, mesh_id: str, cidr: str, *, state: Path, dns_port: int = 15053, domain: str = "cluster.local"
    ) -> None:
        if not _MESH_ID.fullmatch(mesh_id):
            raise RefusedError(
                f"`{mesh_id}` cannot name a mesh on a machine", "use 1 to 8 lower-case letters and digits"
            )
        self.mesh_id = mesh_id
        self.machine = MachineRange.parse(cidr)
        self.bridge = f"plait{mesh_id}"
        self.dns_port = dns_port
        self._domain = domain
        self._state = state
        self._lock = threading.RLock()
        self._record = record.load(state)

    @property
    def gateway(self) -> str:
        """The machine's address on the bridge: the workloads' gateway, and where their DNS is answered."""
        return self.machine.gateway

    def setup(self) -> tuple[str, ...]:
        """Make the bridge and the machine's rules; returns a sentence for each other firewall that is in the way."""
        with self._lock:
            bridge.check_free(self.bridge, self.machine)
            bridge.create(self.bridge, self.machine)
            self._apply()
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
        """Make a workload's place, with its rules in force before anything can run in it."""
        _check_own_ports(spec)
        with self._lock:
            known = self._record
            if spec.name in known.places:
                raise AlreadyExistsError(
                    f"the workload {spec.name} has a place on this machine already", "stop it first"
                )
            kept = known.addresses
            address = allocate(self.machine, spec.name, remembered=kept, in_use=known.places, wanted=spec.address)
            self._keep(known.with_place(spec, address))
        made = self._place(spec, address)
        try:
            place.build(made, self._wiring(made))
            if spec.host_ports:
                self._apply()
        except BaseException:
            self.remove(spec.name)
            raise
        return made

    def remove(self, name: str) -> None:
        """Remove a workload's place and the ports that lead to it; its address stays its own. None there is fine."""
        with self._lock:
            before = self._record
            self._keep(before.without_ports(name))
            if before.ports() != self._record.ports():
                self._apply()
        place.demolish(self.netns_name(name), self._veth(before.addresses[name]) if name in before.places else None)
        with self._lock:
            self._keep(self._record.without_place(name))

    def adopt(self) -> tuple[Place, ...]:
        """The places of the record that still stand; the others are forgotten, and all rules are put in force again.

        An agent that restarts calls this after `setup`.
        """
        with self._lock:
            standing: list[Place] = []
            for known in self.places():
                wiring = self._wiring(known)
                if self.machine.holds(known.address) and place.stands(known, wiring):
                    place.admit(known, wiring)
                    standing.append(known)
                else:
                    self.remove(known.name)
            return tuple(standing)

    def places(self) -> tuple[Place, ...]:
        """The places of this machine."""
        known = self._record
        return tuple(self._place(spec, known.addresses[name]) for name, spec in known.places.items())

    def published(self) -> tuple[tuple[MachinePort, ...], tuple[LoopbackPort, ...]]:
        """The ports open now: to other machines, and on this machine's loopback."""
        return self._record.machine_ports, self._record.loopback_ports

    def publish_machine_port(self, address: str, app_port: int, *, machine_port: int | None = None) -> int:
        """Open a port of the machine, to other machines, that leads to a workload's app port; returns the port.

        A port asked for is refused if it is taken; otherwise one is chosen, and the same again if it is open already.
        """
        with self._lock:
            self._spec_at(address)
            for known in self._record.machine_ports:
                if (known.address, known.app_port) == (address, app_port) and machine_port in (None, known.port):
                    return known.port
            if machine_port is not None:
                self.check_port(None, machine_port)
            chosen = self._free_machine_port() if machine_port is None else machine_port
            opened = MachinePort(port=chosen, address=address, app_port=app_port)
            self._change(dataclasses.replace(self._record, machine_ports=(*self._record.machine_ports, opened)))
            return chosen

    def unpublish_machine_port(self, machine_port: int) -> None:
        """Close a port of the machine; not open is fine."""
        with self._lock:
            kept = tuple(known for known in self._record.machine_ports if known.port != machine_port)
            self._change(dataclasses.replace(self._record, machine_ports=kept))

    def publish_loopback(self, host: str, port: int, *, address: str, listener_port: int) -> None:
        """Open `host:port` of the machine (127.0.0.1 as a rule) on a listener of a workload's sidecar."""
        with self._lock:
            spec = self._spec_at(address)
            wanted = LoopbackPort(host=_numeric(host), port=port, address=address, listener_port=listener_port)
            if wanted in self._record.loopback_ports:
                return
            self.check_port(wanted.host, port)
            if listener_port not in spec.listener_ports:
                spec = dataclasses.replace(spec, listener_ports=(*spec.listener_ports, listener_port))
                admitted = self._place(spec, address)
                place.admit(admitted, self._wiring(admitted))
            opened = dataclasses.replace(self._record, loopback_ports=(*self._record.loopback_ports, wanted))
            self._change(opened.with_place(spec, address))

    def unpublish_loopback(self, host: str, port: int) -> None:
        """Close a published port; not open is fine."""
        with self._lock:
            gone = (_numeric(host), port)
            kept = tuple(known for known in self._record.loopback_ports if (known.host, known.port) != gone)
            self._change(dataclasses.replace(self._record, loopback_ports=kept))

    def check_port(self, host: str | None, port: int) -> None:
        """Refuse, with the name of the holder, a port that is taken; host None: on any address but loopback."""
        ports.check_number(port)
        taken = self._holder_among_own(host, port)
        if not taken:
            taken = ports.holder_of(host, port, bridge=self.bridge)
        if taken:
            where = f"port {port} of this machine" if host is None else f"{host}:{port}"
            raise RefusedError(f"{where} is taken: {taken}", "choose another port, or stop what holds it")

    def netns_name(self, name: str) -> str:
        """The name of a workload's namespace: `plait-<mesh>-<namespace>.<name>`."""
        return f"plait-{self.mesh_id}-{name.replace('/', '.')}"

    def _place(self, spec: PlaceSpec, address: str) -> Place:
        name = self.netns_name(spec.name)
        return Place(
            name=spec.name,
            netns=name,
            path=netns.path_of(name),
            address=address,
            gateway=self.gateway,
            interface=place.INTERFACE,
            resolv_conf=render(self.gateway, search_list(spec.namespace, domain=self._domain)),
            spec=spec,
        )

    def _wiring(self, wired: Place) -> Wiring:
        spec = wired.spec
        rules = WorkloadRules(
            address=wired.address,
            gateway=self.gateway,
            publisher=self.machine.publisher,
            dns_port=self.dns_port,
            envoy_uid=spec.envoy_uid,
            host_ports=spec.host_ports,
            published=spec.listener_ports,
            capture=spec.capture,
        )
        return Wiring(
            bridge=self.bridge,
            veth=self._veth(wired.address),
            prefix=self.machine.prefix,
            rules=nft.render_workload(rules),
        )

    def _veth(self, address: str) -> str:
        return f"v{self.mesh_id}-{self.machine.offset(address):x}"

    def _apply(self) -> None:
        with self._lock:
            known = self._record
            rules = HostRules(
                table=self.bridge,
                bridge=self.bridge,
                machine=self.machine,
                machine_ports=known.machine_ports,
                loopback_ports=known.loopback_ports,
                host_ports=known.host_ports(),
            )
            nft.apply(nft.render_host(rules))

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

    def _spec_at(self, address: str) -> PlaceSpec:
        for known in self._record.places.values():
            if self._record.addresses[known.name] == address:
                return known
        raise NotFoundError(f"no workload of this machine has the address {address}", "start it first")

    def _free_machine_port(self) -> int:
        known = self._record
        used = {opened.port for opened in (*known.machine_ports, *known.loopback_ports)}
        return ports.first_free(MACHINE_PORTS, used | set(ports.other_meshes(self.bridge)))

    def _holder_among_own(self, host: str | None, port: int) -> str:
        for known in (*self._record.machine_ports, *self._record.loopback_ports):
            if known.port == port and _overlap(known.host if isinstance(known, LoopbackPort) else None, host):
                return f"this mesh publishes the workload {self._spec_at(known.address).name} there"
        return ""


def _check_own_ports(spec: PlaceSpec) -> None:
    clash = sorted(set(spec.host_ports) & set(spec.inbound_ports))
    if clash:
        raise RefusedError(
            f"port {clash[0]} of {spec.name} is both its own port and a port of the machine (--host-port)",
            "let the app listen on another port",
        )


def _numeric(host: str) -> str:
    return _LOCALHOST if host == "localhost" else host


def _overlap(one: str | None, other: str | None) -> bool:
    """Whether two openings of the same port meet; None is every address but loopback, 0.0.0.0 every address."""
    anywhere = "0.0.0.0"  # noqa: S104 - compared, not bound
    if one == other or anywhere in (one, other):
        return True
    named = one if other is None else other
    return None in (one, other) and not str(named).startswith("127.")
