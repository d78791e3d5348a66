"""What many proxies hold alike and is made once: the endpoints of clusters, and the scope keys."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from plait.compiler.endpoints import of_cluster
from plait.compiler.scopes import scope_entry
from plait.envoy.resource_set import Entry
from plait.model.placement import Placement
from plait.model.reach import Reach
from plait.model.services import Capture, Labels, Resolution
from plait.model.snapshot import Snapshot
from plait.model.traffic import ClusterKey
from plait.model.view import ScopeKey, View
from plait.snapshot.bounds import Bounds
from plait.snapshot.touched import Touched

ELSEWHERE: Final = ""
"""Any machine that has none of a cluster's endpoints."""
_Viewpoint = tuple[str, Labels, str, Placement | None]
"""Subset, its labels, the caller's machine, and which localities it prefers."""


class Shared:
    """Endpoints by cluster and machine, scopes by capture mode, namespace and Sidecar; `work` counts what was made."""

    def __init__(self, work: Counter[str]) -> None:
        self._work = work
        self._endpoints: dict[ClusterKey, dict[_Viewpoint, Entry]] = {}
        self._machines: dict[ClusterKey, frozenset[str]] = {}
        self._scopes: dict[tuple[Capture, str, Reach | None], Mapping[str, Entry]] = {}
        self._keys: dict[ScopeKey, Entry] = {}

    def forget(self, touched: Touched) -> None:
        """Make anew what an update changed."""
        for cluster in touched.clusters:
            self._machines.pop(cluster, None)
            self._endpoints.pop(cluster, None)
        if touched.scopes:
            self._scopes.clear()
            self._keys.clear()
        if touched.reaches:
            self._scopes = {key: scopes for key, scopes in self._scopes.items() if key[-1] is None}

    def endpoints(self, snapshot: Snapshot, view: View) -> Mapping[str, Entry]:
        """The endpoints of a view's clusters, as callers on its machine reach them."""
        found: dict[str, Entry] = {}
        for cluster in view.clusters:
            if cluster.resolution in (Resolution.NONE, Resolution.DYNAMIC) or cluster.endpoints or cluster.missing:
                continue
            whole = cluster.key.whole
            node = view.node if view.node in self._machines_of(snapshot, whole) else ELSEWHERE
            known = self._endpoints.setdefault(whole, {})
            viewpoint = (cluster.key.subset, cluster.labels, node, cluster.placement)
            entry = known.get(viewpoint)
            if entry is None:
                self._work["endpoint set"] += 1
                entry = known[viewpoint] = of_cluster(cluster, snapshot.endpoints.get(whole, ()), node=node)
            found[entry.name] = entry
        return found

    def _machines_of(self, snapshot: Snapshot, cluster: ClusterKey) -> frozenset[str]:
        """The machines of a cluster's endpoints: callers on all others reach them alike."""
        found = self._machines.get(cluster)
        if found is None:
            found = frozenset(endpoint.node for endpoint in snapshot.endpoints.get(cluster, ()))
            self._machines[cluster] = found
        return found

    def scopes(self, snapshot: Snapshot, view: View) -> Mapping[str, Entry]:
        """The scopes of the whole mesh: by address, or (explicit capture) by the names that the namespace may use.

        A workload with a Sidecar gets those of what it may call.
        """
        bounds = Bounds.named(snapshot, view.name)
        key = (view.capture, view.name.namespace if bounds.particular(view.capture) else "", bounds.reach)
        scopes = self._scopes.get(key)
        if scopes is None:
            self._work["scopes"] += 1
            entries = (self._scope(item) for item in bounds.scope_keys(view.capture))
            scopes = self._scopes[key] = {entry.name: entry for entry in entries}
        return scopes

    def _scope(self, key: ScopeKey) -> Entry:
        """The scope of a key: one for all Sidecars that let it."""
        found = self._keys.get(key)
        if found is None:
            found = self._keys[key] = scope_entry(key, on_demand=True)
        return found
