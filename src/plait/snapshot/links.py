"""The linked mesh: what the snapshot holds, and what linking must remember from one update to the next."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from plait.model.backend_tls import BackendTls
from plait.model.destinations import NamespaceRules
from plait.model.gateways import Credential, Gateway, GatewayListener, TlsCertificate
from plait.model.ids import ObjectName
from plait.model.reach import Reach
from plait.model.services import Endpoint, Service, Workload
from plait.model.snapshot import Condition, PeerAuthentication, SelectedPolicy, SelectedReach, Status
from plait.model.traffic import ClusterKey, Frontend
from plait.snapshot.declared import DeclaredWorkload
from plait.snapshot.declared_routes import RouteKey
from plait.snapshot.gateways import LinkedGateway
from plait.snapshot.overlaps import Overlaps
from plait.snapshot.routes import ResolvedRoute
from plait.snapshot.tables import Tables
from plait.snapshot.versioned import Versioned

StatusKey = tuple[str, ObjectName]
"""Kind and name of the object that a status is about."""
PolicyConditions = Mapping[ObjectName, tuple[Condition, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaintextPorts:
    """The ports of a workload that take plaintext only: these, or `all` but these."""

    all: bool
    but: frozenset[int]

    def includes(self, port: int) -> bool:
        """Whether that port is one of them."""
        return self.all != (port in self.but)


@dataclass(slots=True)
class Links:
    """Linked values by what they belong to."""

    services: Versioned[str, Service] = field(default_factory=Versioned[str, Service])
    dialled: Versioned[str, Service] = field(default_factory=Versioned[str, Service])
    exported: Versioned[str, tuple[str, ...]] = field(default_factory=Versioned[str, tuple[str, ...]])
    workloads: Versioned[ObjectName, Workload] = field(default_factory=Versioned[ObjectName, Workload])
    addresses: Versioned[str, ObjectName] = field(default_factory=Versioned[str, ObjectName])
    serving: Versioned[ObjectName, tuple[str, ...]] = field(default_factory=Versioned[ObjectName, tuple[str, ...]])
    endpoints: Versioned[ClusterKey, tuple[Endpoint, ...]] = field(
        default_factory=Versioned[ClusterKey, tuple[Endpoint, ...]]
    )
    identities: Versioned[ClusterKey, tuple[str, ...]] = field(default_factory=Versioned[ClusterKey, tuple[str, ...]])
    behind: Versioned[ClusterKey, tuple[tuple[ObjectName, int], ...]] = field(
        default_factory=Versioned[ClusterKey, tuple[tuple[ObjectName, int], ...]]
    )
    frontends: Versioned[tuple[str, int], Frontend] = field(default_factory=Versioned[tuple[str, int], Frontend])
    gateways: Versioned[ObjectName, Gateway] = field(default_factory=Versioned[ObjectName, Gateway])
    edges: Versioned[ObjectName, tuple[GatewayListener, ...]] = field(
        default_factory=Versioned[ObjectName, tuple[GatewayListener, ...]]
    )
    mesh_ports: dict[ObjectName, frozenset[int]] = field(default_factory=dict[ObjectName, frozenset[int]])
    """The ports of gateways' proxies that take mutual TLS of the mesh."""
    edge_certificates: dict[ObjectName, TlsCertificate] = field(default_factory=dict[ObjectName, TlsCertificate])
    backend_tls: Versioned[tuple[ObjectName, int], BackendTls] = field(
        default_factory=Versioned[tuple[ObjectName, int], BackendTls]
    )
    certificates: Versioned[ObjectName, TlsCertificate] = field(default_factory=Versioned[ObjectName, TlsCertificate])
    peers: Versioned[str, tuple[PeerAuthentication, ...]] = field(
        default_factory=Versioned[str, tuple[PeerAuthentication, ...]]
    )
    authorization: Versioned[str, tuple[SelectedPolicy, ...]] = field(
        default_factory=Versioned[str, tuple[SelectedPolicy, ...]]
    )
    destinations: Versioned[str, NamespaceRules] = field(default_factory=Versioned[str, NamespaceRules])
    credentials: Versioned[ObjectName, Credential] = field(default_factory=Versioned[ObjectName, Credential])
    """Secrets that DestinationRules name."""
    sidecars: Versioned[str, tuple[SelectedReach, ...]] = field(
        default_factory=Versioned[str, tuple[SelectedReach, ...]]
    )
    reaches: Versioned[ObjectName, Reach] = field(default_factory=Versioned[ObjectName, Reach])
    """The workloads that a Sidecar is for, with what it lets them call."""
    statuses: Versioned[StatusKey, Status] = field(default_factory=Versioned[StatusKey, Status])
    mesh_routes: Versioned[RouteKey, ResolvedRoute] = field(default_factory=Versioned[RouteKey, ResolvedRoute])
    """Routes as resolved for their parents among Services."""
    gateway_routes: Versioned[RouteKey, ResolvedRoute] = field(default_factory=Versioned[RouteKey, ResolvedRoute])
    """Routes as resolved for their parents among Gateways."""
    linked_gateways: dict[ObjectName, LinkedGateway] = field(default_factory=dict[ObjectName, LinkedGateway])
    plaintext: dict[ObjectName, PlaintextPorts] = field(default_factory=dict[ObjectName, PlaintextPorts])
    """The workloads with ports that take plaintext only."""
    members: dict[str, tuple[DeclaredWorkload, ...]] = field(default_factory=dict[str, tuple[DeclaredWorkload, ...]])
    """The workloads behind each host."""
    served: dict[ObjectName, set[str]] = field(default_factory=dict[ObjectName, set[str]])
    """The hosts that each workload serves."""
    overlaps: Overlaps = field(default_factory=Overlaps)
    """The policies that choose a workload beside the one in force."""
    told: dict[str, ObjectName] = field(default_factory=dict[str, ObjectName])
    """The hosts of Services that have a status, with their names."""
    ports: dict[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])
    """The ports of each host's frontends."""
    policy_conditions: dict[tuple[str, str], PolicyConditions] = field(
        default_factory=dict[tuple[str, str], PolicyConditions]
    )
    """The conditions of policies by their kind and namespace."""
    policy_statuses: dict[tuple[str, str], frozenset[ObjectName]] = field(
        default_factory=dict[tuple[str, str], frozenset[ObjectName]]
    )
    """The policies that have a status, by their kind and namespace."""


@dataclass(slots=True, kw_only=True)
class Effects:
    """What the steps of one update found changed beside the values themselves, and how much they did."""

    hosts: set[str] = field(default_factory=set[str])
    names: set[str] = field(default_factory=set[str])
    workloads: set[ObjectName] = field(default_factory=set[ObjectName])
    scopes: bool = False
    work: Counter[str] = field(default_factory=Counter[str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What every step works on."""

    tables: Tables
    links: Links
    effects: Effects
