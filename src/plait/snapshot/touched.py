"""What an update changed, in the terms of whoever must act on it.

An endpoint change names only clusters: their endpoints are sent again and nothing is compiled. Everything else names
hosts, workloads, namespaces or Gateways, and `concerns` tells whether a proxy's view may differ by it.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from plait.model.ids import ObjectName
from plait.model.services import Workload
from plait.model.traffic import ClusterKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """The parts of a snapshot that differ from the one before."""

    clusters: frozenset[ClusterKey] = frozenset()
    """Clusters with other endpoints."""
    servers: frozenset[ClusterKey] = frozenset()
    """Clusters with other workloads of the mesh behind them, ready or not."""
    hosts: frozenset[str] = frozenset()
    """Hosts whose service, rules, or what callers are configured with changed; also new and removed ones."""
    names: frozenset[str] = frozenset()
    """Hosts whose DNS answer may differ."""
    workloads: frozenset[ObjectName] = frozenset()
    """Workloads that changed themselves, or whose inbound ports may differ."""
    policies: frozenset[str] = frozenset()
    """Namespaces whose policies changed; the root namespace's are everybody's."""
    reaches: frozenset[ObjectName] = frozenset()
    """Workloads whose Sidecar lets them call something else: their scopes and names may differ where views do not."""
    gateways: frozenset[ObjectName] = frozenset()
    """Gateways whose listeners, rules or certificates changed."""
    scopes: bool = False
    """Whether the scope keys differ."""
    everyone: bool = False
    """Whether something changed that is in every view."""

    def __bool__(self) -> bool:
        return bool(
            self.clusters
            or self.servers
            or self.hosts
            or self.names
            or self.workloads
            or self.policies
            or self.reaches
            or self.gateways
            or self.scopes
            or self.everyone
        )

    def concerns(self, workload: Workload, hosts: AbstractSet[str]) -> bool:
        """Whether the view of a workload may differ; `hosts` are those it demands and those its view refers to."""
        return (
            self.everyone
            or workload.name in self.workloads
            or workload.name in self.reaches
            or workload.name.namespace in self.policies
            or not self.hosts.isdisjoint(hosts)
            or (workload.gateway is not None and workload.gateway in self.gateways)
        )
