"""Services, the workloads behind them and their endpoints."""

from dataclasses import dataclass
from enum import StrEnum

from plait.model.ids import Identity, ObjectName, Origin
from plait.model.protection import DEFAULT, Protection

Labels = tuple[tuple[str, str], ...]
"""Labels as sorted pairs, so that they are hashable."""


class Protocol(StrEnum):
    """What a port speaks, as far as the mesh must know it."""

    HTTP = "http"
    HTTP2 = "http2"
    GRPC = "grpc"
    TCP = "tcp"
    TLS = "tls"

    @property
    def is_http(self) -> bool:
        """Whether requests can be told apart, so that routes apply."""
        return self in (Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC)

    @property
    def is_http2(self) -> bool:
        """Whether the app itself speaks HTTP/2 without TLS (h2c)."""
        return self in (Protocol.HTTP2, Protocol.GRPC)


class Resolution(StrEnum):
    """How a service's endpoints are found."""

    MESH = "mesh"
    """Workloads of the mesh and EndpointSlices."""
    STATIC = "static"
    """Addresses that a ServiceEntry lists."""
    DNS = "dns"
    """Names that Envoy resolves: every address is an endpoint (strict DNS)."""
    LOGICAL_DNS = "logical-dns"
    """One name that Envoy resolves: each new connection takes the address that it has then."""
    DYNAMIC = "dynamic"
    """The host that the caller itself names, in each request or in its TLS, resolved by Envoy."""
    NONE = "none"
    """The address the caller dialled (original destination)."""

    @property
    def is_named(self) -> bool:
        """Whether the endpoints are names that Envoy resolves."""
        return self in (Resolution.DNS, Resolution.LOGICAL_DNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort:
    """A port of a service; `target` is the workload's port number or its port's name."""

    number: int
    name: str = ""
    target: int | str = 0
    protocol: Protocol = Protocol.HTTP
    asks_for_http: bool = False
    """Whether it is HTTP because somebody said so, or a route or setting needs it; not for want of better knowledge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A name that can be called.

    `host` is the full name (`reviews.default.svc.cluster.local`, or a ServiceEntry's host);
    `address` is the stable address of the frontend, empty for a headless service.
    `external` marks a ServiceEntry outside the mesh: called without the mesh's mutual TLS.
    `exported_to` are the namespaces whose callers see it, empty for all.
    """

    name: ObjectName
    host: str
    address: str
    ports: tuple[ServicePort, ...]
    selector: Labels = ()
    headless: bool = False
    external: bool = False
    resolution: Resolution = Resolution.MESH
    alias: str = ""
    """The other name that an ExternalName stands for."""
    tells_caller: bool = False
    """Whether its apps want the caller's identity in a header."""
    protection: Protection = DEFAULT
    exported_to: tuple[str, ...] = ()
    subject_alt_names: tuple[str, ...] = ()
    """Names of which a server's certificate must prove one, where it is called by TLS; empty if none are listed."""
    ranges: tuple[str, ...] = ()
    """More addresses that lead to it, as CIDR."""
    origin: Origin

    def seen_from(self, namespace: str) -> bool:
        """Whether callers in that namespace see it."""
        return not self.exported_to or namespace in self.exported_to

    def port(self, number: int) -> ServicePort | None:
        """The port of that number, or None."""
        return next((port for port in self.ports if port.number == number), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadPort:
    """A port the app of a workload listens on; `published` is its port on the machine's address (0: none).

    In explicit capture `sidecar` is the port on which the sidecar accepts what is meant for this port
    (0 in transparent capture, where the port itself is captured).
    """

    number: int
    name: str = ""
    protocol: Protocol | None = None
    published: int = 0
    sidecar: int = 0


class WorkloadKind(StrEnum):
    """What a proxy stands for."""

    SIDECAR = "sidecar"
    GATEWAY = "gateway"


class Capture(StrEnum):
    """How traffic reaches the sidecar."""

    TRANSPARENT = "transparent"
    EXPLICIT = "explicit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One running instance and its sidecar (or a gateway's proxy).

    `address` is its own address; `machine_address` is where other machines reach published ports.
    `services` names Services of its namespace that it serves beside selectors: (service name, service port,
    app port). `ready` says whether its endpoints may be called. `gateway` names the Gateway it serves.
    """

    name: ObjectName
    node: str
    address: str
    machine_address: str
    identity: Identity
    labels: Labels = ()
    ports: tuple[WorkloadPort, ...] = ()
    services: tuple[tuple[str, int, int], ...] = ()
    locality: str = ""
    capture: Capture = Capture.TRANSPARENT
    kind: WorkloadKind = WorkloadKind.SIDECAR
    gateway: ObjectName | None = None
    gateway_ports: tuple[tuple[int, int], ...] = ()
    ready: bool = True
    in_mesh: bool = True
    weight: int = 1
    leaving: bool = False
    """It drains or has exited: nothing calls it any more."""
    publish: tuple[tuple[int, int], ...] = ()
    """(listener port, app port) pairs opened on the machine's loopback through its sidecar."""
    outbound_port: int = 15001
    """Where captured outbound connections arrive; in explicit capture, the HTTP proxy's port."""
    proxy_generation: int = 0
    """How often its Envoy was replaced by another one, and new connections have been led there."""
    origin: Origin | None = None

    @property
    def proxy(self) -> str:
        """The node id of its Envoy: `namespace/name`."""
        return str(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One address behind a cluster.

    Callers on the machine `node` use `address:port`; others use `machine_address:published`
    where it is set. `identity` is empty for endpoints outside the mesh, which are called in plaintext.
    """

    address: str
    port: int
    workload: str = ""
    node: str = ""
    machine_address: str = ""
    published: int = 0
    identity: str = ""
    locality: str = ""
    weight: int = 1
    healthy: bool = True
    labels: Labels = ()

    def reached_from(self, node: str) -> tuple[str, int]:
        """The address and port that a caller on that machine dials."""
        if self.published and self.machine_address and self.node != node:
            return self.machine_address, self.published
        return self.address, self.port
