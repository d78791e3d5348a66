"""What an update must look at again.

Tables add to it while changes are applied, steps while they follow a change to what depends on it. Everything that is
not in here keeps its former value, as the same object.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from plait.model.ids import ObjectName
from plait.snapshot.declared import DeclaredWorkload, Reference
from plait.snapshot.declared_routes import RouteKey


@dataclass(slots=True, kw_only=True)
class Dirty:
    """The parts of the mesh that an update touches, by what must be done with them."""

    owners: set[str] = field(default_factory=set[str])
    """Hosts whose owner is chosen again."""
    hosts: set[str] = field(default_factory=set[str])
    """Hosts whose service, endpoints and identities are linked again."""
    shapes: set[ObjectName] = field(default_factory=set[ObjectName])
    """Services that came, went, or have other ports: what refers to them is resolved again."""
    frontends: set[str] = field(default_factory=set[str])
    """Hosts whose rules are put together again."""
    former: dict[ObjectName, DeclaredWorkload | None] = field(default_factory=dict[ObjectName, DeclaredWorkload | None])
    """Changed workloads, as they were."""
    routes: set[RouteKey] = field(default_factory=set[RouteKey])
    """Routes that are resolved again."""
    parents: set[Reference] = field(default_factory=set[Reference])
    """What routes were attached to or now are."""
    answers: set[RouteKey] = field(default_factory=set[RouteKey])
    """Routes whose status is written again."""
    gateways: set[ObjectName] = field(default_factory=set[ObjectName])
    """Gateways that are linked again."""
    classes: set[str] = field(default_factory=set[str])
    """GatewayClasses whose status is written again."""
    entries: set[ObjectName] = field(default_factory=set[ObjectName])
    """ServiceEntries whose status is written again."""
    peers: set[str] = field(default_factory=set[str])
    """Namespaces whose PeerAuthentications are put in order again."""
    authorization: set[str] = field(default_factory=set[str])
    """Namespaces whose AuthorizationPolicies are put in order again."""
    sidecars: set[str] = field(default_factory=set[str])
    """Namespaces whose Sidecars are put in order again."""
    destinations: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """Namespaces whose DestinationRules are merged again, with the hosts of those that changed."""
    secrets: set[ObjectName] = field(default_factory=set[ObjectName])
    """Secrets that came, went or hold something else."""
    addresses: set[str] = field(default_factory=set[str])
    """Workload addresses whose holder is looked up again."""
    subsets: set[str] = field(default_factory=set[str])
    """Hosts and wildcards whose subsets may be others."""
    virtual: set[ObjectName] = field(default_factory=set[ObjectName])
    """VirtualServices whose rules are linked and whose status is written again."""
    virtual_hosts: set[str] = field(default_factory=set[str])
    """Hosts and wildcards of VirtualServices whose frontends are put together again."""
    edges: set[ObjectName] = field(default_factory=set[ObjectName])
    """Istio's Gateways that came, went or changed, or whose Secrets did."""
    backend_tls: set[Reference] = field(default_factory=set[Reference])
    """Objects whose BackendTLSPolicies are chosen again."""
    backend_tls_statuses: set[ObjectName] = field(default_factory=set[ObjectName])
    """BackendTLSPolicies whose status is written again."""
    ranges: bool = False
    """Whether the address ranges of machines changed."""

    def add_routes(self, routes: Iterable[RouteKey]) -> None:
        """Resolve these routes and write their status again."""
        found = tuple(routes)
        self.routes.update(found)
        self.answers.update(found)
