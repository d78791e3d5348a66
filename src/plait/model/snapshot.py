"""The snapshot: the whole mesh at one revision, shared structurally from one revision to the next."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from plait.model.backend_tls import BackendTls
from plait.model.destinations import NamespaceRules
from plait.model.gateways import Credential, Gateway, GatewayListener, TlsCertificate
from plait.model.ids import ObjectName
from plait.model.reach import Reach
from plait.model.security import AuthorizationPolicy, MutualTlsMode
from plait.model.services import Endpoint, Labels, Service, Workload
from plait.model.traffic import ClusterKey, Frontend


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAuthentication:
    """A PeerAuthentication: `selector` empty for the whole namespace; `ports` are workload ports."""

    name: ObjectName
    selector: Labels
    mode: MutualTlsMode | None
    ports: tuple[tuple[int, MutualTlsMode], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedPolicy:
    """An authorization policy with the labels of the workloads it applies to (empty: all of its namespace).

    With `gateways` it applies to the proxies of these Gateways of its namespace and to nothing else.
    """

    policy: AuthorizationPolicy
    selector: Labels
    gateways: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectedReach:
    """What a Sidecar lets workloads call, with the labels of those it is for (None: all of its namespace)."""

    selector: Labels | None
    reach: Reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One status condition; `status` is True, False or Unknown as Kubernetes writes it."""

    type: str
    status: str
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentStatus:
    """The conditions of a route at one parent, as Gateway API reports them; `parent` is the parentRef as written."""

    parent: tuple[tuple[str, str | int], ...]
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerStatus:
    """The state of one Gateway listener."""

    name: str
    attached_routes: int
    supported_kinds: tuple[tuple[str, str], ...]
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the mesh says of one object. Only the parts that its kind has are filled."""

    kind: str
    name: ObjectName
    generation: int
    conditions: tuple[Condition, ...] = ()
    parents: tuple[ParentStatus, ...] = ()
    ancestors: tuple[ParentStatus, ...] = ()
    """For policies: the conditions at each object through which it acts."""
    listeners: tuple[ListenerStatus, ...] = ()
    addresses: tuple[str, ...] = ()
    supported_features: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The mesh at one revision. Mappings are never changed after construction.

    `services` is by host; `dialled` those of them that are called by addresses of their own, whether asked for or not,
    `exported` the namespaces that see those which not all see;
    `frontends` by (host, port); `endpoints` by cluster;
    `identities` by cluster, the SPIFFE IDs of its endpoints.
    `behind` the workloads of the mesh behind a cluster, ready or not, and the port of each.
    `edges` are the listeners that Istio's Gateways give to a gateway's proxy.
    `addresses` gives the workload that has an address of its own; `serving` the hosts of the services that a workload
    is behind; `workload_addresses` are the CIDR ranges of workloads' own addresses. `destinations` are DestinationRules
    and `sidecars` Sidecars by namespace, those that are asked first in front; `reaches` is what they let each workload
    call that has one.
    """

    revision: int
    trust_domain: str
    root_namespace: str = "istio-system"
    services: Mapping[str, Service] = field(default_factory=dict[str, Service])
    dialled: Mapping[str, Service] = field(default_factory=dict[str, Service])
    exported: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    workloads: Mapping[ObjectName, Workload] = field(default_factory=dict[ObjectName, Workload])
    frontends: Mapping[tuple[str, int], Frontend] = field(default_factory=dict[tuple[str, int], Frontend])
    endpoints: Mapping[ClusterKey, tuple[Endpoint, ...]] = field(default_factory=dict[ClusterKey, tuple[Endpoint, ...]])
    identities: Mapping[ClusterKey, tuple[str, ...]] = field(default_factory=dict[ClusterKey, tuple[str, ...]])
    behind: Mapping[ClusterKey, tuple[tuple[ObjectName, int], ...]] = field(
        default_factory=dict[ClusterKey, tuple[tuple[ObjectName, int], ...]]
    )
    peer_authentications: Mapping[str, tuple[PeerAuthentication, ...]] = field(
        default_factory=dict[str, tuple[PeerAuthentication, ...]]
    )
    authorization: Mapping[str, tuple[SelectedPolicy, ...]] = field(
        default_factory=dict[str, tuple[SelectedPolicy, ...]]
    )
    destinations: Mapping[str, NamespaceRules] = field(default_factory=dict[str, NamespaceRules])
    sidecars: Mapping[str, tuple[SelectedReach, ...]] = field(default_factory=dict[str, tuple[SelectedReach, ...]])
    reaches: Mapping[ObjectName, Reach] = field(default_factory=dict[ObjectName, Reach])
    gateways: Mapping[ObjectName, Gateway] = field(default_factory=dict[ObjectName, Gateway])
    addresses: Mapping[str, ObjectName] = field(default_factory=dict[str, ObjectName])
    serving: Mapping[ObjectName, tuple[str, ...]] = field(default_factory=dict[ObjectName, tuple[str, ...]])
    workload_addresses: tuple[str, ...] = ()
    edges: Mapping[ObjectName, tuple[GatewayListener, ...]] = field(
        default_factory=dict[ObjectName, tuple[GatewayListener, ...]]
    )
    backend_tls: Mapping[tuple[ObjectName, int], BackendTls] = field(
        default_factory=dict[tuple[ObjectName, int], BackendTls]
    )
    """By Service and port, how backends that end TLS prove themselves."""
    certificates: Mapping[ObjectName, TlsCertificate] = field(default_factory=dict[ObjectName, TlsCertificate])
    credentials: Mapping[ObjectName, Credential] = field(default_factory=dict[ObjectName, Credential])
    """Secrets that DestinationRules name."""
    authorizers: bool = False
    """Whether a rule of any frontend has an authorizer."""
