"""The view of one workload: everything its configuration depends on, and nothing else.

The compiler reads only this, so equal views give equal bytes and one workload's configuration
cannot leak into another's. Endpoints and scope keys are outside the view: they are shared values.
"""

from dataclasses import dataclass
from enum import StrEnum

from plait.model.gateways import GatewayListener, TlsCertificate
from plait.model.ids import Identity, ObjectName
from plait.model.security import AuthorizationPolicy, MutualTlsMode
from plait.model.services import Capture, Protocol, Resolution, WorkloadKind
from plait.model.traffic import ClusterKey, Rule


class InboundMode(StrEnum):
    """How a port's traffic is processed at the server's sidecar."""

    HTTP = "http"
    BYTES = "bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundPort:
    """A port of the workload itself."""

    number: int
    protocol: Protocol
    mutual_tls: MutualTlsMode
    mode: InboundMode
    sidecar_port: int = 0
    policies: tuple[AuthorizationPolicy, ...] = ()


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
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundCluster:
    """A cluster the workload's rules refer to.

    `identities` are the SPIFFE IDs its endpoints may prove; with none the cluster is called in plaintext.
    `empty` says that no endpoint exists at all. `endpoints` (host names and ports) are given only for
    Resolution.DNS, where Envoy resolves them itself.
    """

    key: ClusterKey
    host: str
    protocol: Protocol
    resolution: Resolution = Resolution.MESH
    identities: tuple[str, ...] = ()
    endpoints: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectEndpoint:
    """Another workload called by its own address, past all routes but not past mutual TLS."""

    address: str
    port: int
    protocol: Protocol
    identity: str


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
    publish: tuple[tuple[int, int], ...] = ()
    """(listener port, app port) pairs opened on the machine's loopback through this sidecar."""
    outbound_port: int = 15001
    """Where captured outbound connections arrive; in explicit capture, the HTTP proxy's port."""
    mesh_addresses: tuple[str, ...] = ("240.240.0.0/16",)
    """The CIDR ranges that service addresses come from."""
