"""The view of one workload: everything its configuration depends on, and nothing else.

The compiler reads only this, so equal views give equal bytes and one workload's configuration
cannot leak into another's. Endpoints and scope keys are outside the view: they are shared values.
"""

import ipaddress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from plait.model.backend_tls import BackendTls
from plait.model.gateways import GatewayListener, TlsCertificate
from plait.model.ids import Identity, ObjectName, Origin
from plait.model.l4 import L4Rule
from plait.model.placement import Placement
from plait.model.protection import DEFAULT, IDLE_TOWARDS_AN_APP, CallerProtection, ServerProtection
from plait.model.security import AuthorizationPolicy, MutualTlsMode
from plait.model.services import Capture, Endpoint, Labels, Protocol, Resolution, WorkloadKind
from plait.model.traffic import ClusterKey, Rule
from plait.model.traffic_policy import Pool, TrafficPolicy

SERVICE_ADDRESSES: Final = "240.240.0.0/16"
"""Where the addresses of services come from that the mesh gives."""
_GIVEN: Final = ipaddress.ip_network(SERVICE_ADDRESSES)


def is_given(address: str) -> bool:
    """Whether the mesh gave a service that address; without it such an address leads nowhere."""
    return bool(address) and ipaddress.ip_address(address) in _GIVEN


class InboundMode(StrEnum):
    """How a port's traffic is processed at the server's sidecar.

    A port whose callers' sidecars have processed HTTP already is passed on as bytes, unless something needs requests.
    """

    HTTP = "http"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpReason:
    """Why a port's requests are looked at by the server's sidecar: an object, and what of it needs a request."""

    kind: str
    name: ObjectName
    because: str
    origin: Origin | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundPort:
    """A port of the workload itself."""

    number: int
    protocol: Protocol
    mutual_tls: MutualTlsMode
    mode: InboundMode
    sidecar_port: int = 0
    app_port: int = 0
    """Where the app takes it, if a Sidecar says so; 0 is `number`."""
    reasons: tuple[HttpReason, ...] = ()
    """What made it HTTP."""
    policies: tuple[AuthorizationPolicy, ...] = ()
    idle_timeout: float = IDLE_TOWARDS_AN_APP
    """Seconds after which an idle connection to the app is closed: below the app's own keep-alive."""
    protection: ServerProtection = DEFAULT.server
    tells_caller: bool = False
    """Whether a service that leads here wants its app to be told who calls."""
    pool: Pool | None = None
    """Limits of connections that a DestinationRule sets for both ends of a call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPort:
    """How sidecars behind a cluster treat the port that callers reach, as far as callers must know it.

    Where `mode` is BYTES a change of any field ends the server's open connections when its listener has drained, so
    callers renew theirs before; `listener` has the mutual TLS modes of the workload's ports that are not STRICT.
    `replaced` is how often Envoys of these workloads were replaced: connections to the earlier ones are renewed too.
    """

    port: int
    mode: InboundMode
    mutual_tls: MutualTlsMode = MutualTlsMode.STRICT
    policies: tuple[AuthorizationPolicy, ...] = ()
    listener: tuple[tuple[int, MutualTlsMode], ...] = ()
    replaced: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundFrontend:
    """A service port the workload calls; `rules` are already the caller's own, `closed` gives 404 past them.

    `aliases` are all spellings of the host (for explicit capture, where Host chooses the frontend).
    """

    service: ObjectName
    host: str
    address: str
    port: int
    protocol: Protocol
    rules: tuple[Rule, ...]
    closed: bool
    default: ClusterKey
    l4_rules: tuple[L4Rule, ...] = ()
    """The caller's own rules where the protocol is no HTTP; `closed` closes connections past them."""
    aliases: tuple[str, ...] = ()
    tells_caller: bool = False
    """Whether apps called through it are told who calls."""
    ranges: tuple[str, ...] = ()
    """More addresses that lead to it, as CIDR."""
    dynamic: bool = False
    """Whether its host is a wildcard and each call names the server that it means."""

    @property
    def dialled(self) -> tuple[str, ...]:
        """All addresses that lead to it, as CIDR or single; the first stands for them in names."""
        return ((self.address,) if self.address else ()) + self.ranges

    @property
    def own_chain(self) -> bool:
        """Whether its requests are told apart from those of other services by their chain, not by a scope."""
        return self.protocol.is_http and (self.dynamic or bool(self.ranges))


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundCluster:
    """A cluster the workload's rules refer to.

    `identities` are the SPIFFE IDs its endpoints may prove; with none the cluster is called in plaintext.
    `empty` says that no endpoint exists at all. `endpoints` (host names and ports) are given only for
    Resolution.DNS, where Envoy resolves them itself. `mixed` says that some endpoints are outside the mesh
    although `identities` are given: those are called in plaintext. `idle_timeout` (seconds) must be below the
    keep-alive of whoever answers: the app where the server's sidecar passes bytes.
    """

    key: ClusterKey
    host: str
    protocol: Protocol
    resolution: Resolution = Resolution.MESH
    identities: tuple[str, ...] = ()
    endpoints: tuple[tuple[str, int], ...] = ()
    mixed: bool = False
    idle_timeout: float = IDLE_TOWARDS_AN_APP
    servers: tuple[ServerPort, ...] = ()
    """The different ways in which the sidecars behind it treat the port."""
    tells_caller: bool = False
    """Whether the caller's sidecar names the caller in a header, which a server that passes bytes cannot add."""
    protection: CallerProtection = DEFAULT.callers
    labels: Labels = ()
    """Those of the subset: its endpoints bear them all."""
    backend_tls: BackendTls | None = None
    """How its endpoints end TLS themselves, in place of mutual TLS."""
    missing: bool = False
    """Whether no rule declares the subset, or its TLS cannot be done: there is no such cluster, calls get 503."""
    rule: Origin | None = None
    """The DestinationRule, its policy for the port, or the subset in it, that the caller follows."""
    policy: TrafficPolicy | None = None
    """How it treats calls to it; limits are in `protection`."""
    placement: Placement | None = None
    """Which endpoints it prefers; None where it matters not."""

    def takes(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint of the service is in the subset."""
        return not self.labels or frozenset(endpoint.labels).issuperset(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectEndpoint:
    """Another workload called by its own address, past all routes but not past mutual TLS.

    Callers dial `address:port`; `reached` is where the connection goes if that differs (another machine's published
    port). Without `identity` it is plaintext. `known` is false where no workload has that address and port: nothing
    should be there, so waiting for it is short.
    """

    address: str
    port: int
    protocol: Protocol
    identity: str
    workload: str = ""
    reached: tuple[str, int] | None = None
    known: bool = True
    refused: bool = False
    """Whether the caller's Sidecar forbids it: connections are closed at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Everything the configuration of one proxy depends on."""

    name: ObjectName
    identity: Identity
    kind: WorkloadKind
    capture: Capture
    node: str
    address: str
    inbound: tuple[InboundPort, ...] = ()
    frontends: tuple[OutboundFrontend, ...] = ()
    clusters: tuple[OutboundCluster, ...] = ()
    direct: tuple[DirectEndpoint, ...] = ()
    listeners: tuple[GatewayListener, ...] = ()
    gateway: ObjectName | None = None
    gateway_ports: tuple[tuple[int, int], ...] = ()
    certificates: tuple[TlsCertificate, ...] = ()
    policies: tuple[AuthorizationPolicy, ...] = ()
    """The policies that apply to a gateway as a whole; those of sidecars are in `inbound`."""
    publish: tuple[tuple[int, int], ...] = ()
    """(listener port, app port) pairs opened on the machine's loopback through this sidecar."""
    outbound_port: int = 15001
    """Where captured outbound connections arrive; in explicit capture, the HTTP proxy's port."""
    mesh_addresses: tuple[str, ...] = (SERVICE_ADDRESSES,)
    """The CIDR ranges that service addresses come from."""
    workload_addresses: tuple[str, ...] = ()
    """The CIDR ranges of workloads' own addresses: a connection there asks for the cluster `direct/ADDRESS:PORT`."""
    refuses_unknown: bool = False
    """Whether connections to what is no service of the mesh are closed instead of passed on (REGISTRY_ONLY)."""
    authorizers: bool = False
    """Whether any rule of the mesh (a gateway: of its own) has an authorizer; this proxy's may get one on demand."""
    unlisted: InboundPort | None = None
    """How ports of the workload that `inbound` does not list are treated; None refuses them (number is ignored)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeKey:
    """What chooses a frontend's routes: `key` is ADDRESS:PORT, or an authority in explicit capture."""

    key: str
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRecord:
    """What DNS answers for a host; headless names have the addresses of their ready endpoints.

    `port_names` and `instances` are the names of `ports` and (headless) `addresses`, each empty where there is none;
    `alias` is another host, whose addresses it has.
    """

    host: str
    addresses: tuple[str, ...]
    ports: tuple[int, ...] = ()
    headless: bool = False
    port_names: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()
    alias: str = ""
