"""Brings every connected proxy to the newest snapshot, redoing only what a change can have touched.

For each proxy the publisher keeps its demand, its view and what was compiled from it, and two reverse indexes: from
host to the proxies whose view holds it, from cluster to the proxies that balance over it. A changed host projects its
proxies anew; an equal view ends there; an endpoint's change replaces endpoints and compiles nothing. Endpoints (by
cluster and machine) and scopes (by capture mode) are built once and shared. With `turns`, proxies are worked off there.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from plait.compiler.compile import compile_view
from plait.compiler.names import name_entry
from plait.controlplane.servers import Servers
from plait.controlplane.shared import Shared
from plait.controlplane.turns import Turn, Turns
from plait.envoy.overlaid import Overlaid
from plait.envoy.resource_set import Entry, ResourceSet
from plait.envoy.resource_set import entry as make_entry
from plait.envoy.types import ENDPOINT, NAME, SCOPE
from plait.model.ids import ObjectName
from plait.model.services import Workload
from plait.model.snapshot import Snapshot
from plait.model.traffic import ClusterKey
from plait.model.view import View
from plait.snapshot.bounds import Bounds
from plait.snapshot.build import Touched
from plait.snapshot.names import DIALLED, callable_hosts, name_of
from plait.snapshot.project import project

Key = TypeVar("Key")
Send = Callable[[str, ResourceSet, frozenset[str]], object]
"""(proxy, resources, the demand that they were made for)."""
NOTHING: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Proxy:
    """What is known of one connected proxy."""

    name: ObjectName
    node: str
    demand: frozenset[str] = NOTHING
    view: View | None = None
    compiled: ResourceSet = field(default_factory=ResourceSet)
    published: ResourceSet = field(default_factory=ResourceSet)


def parse_proxy(proxy: str) -> ObjectName:
    """The workload of a proxy's id."""
    namespace, _, name = proxy.partition("/")
    return ObjectName(namespace=namespace, name=name)


class Publisher:
    """Computes and sends what each proxy holds. `work` counts what was done, for tests and `plait doctor`."""

    def __init__(
        self, send: Send, snapshot: Snapshot, turns: Turns | None = None, servers: Servers | None = None
    ) -> None:
        """With `turns`, what follows from a change is done when they are taken (`take_turn`); without, at once.

        `servers` says when callers follow a change of the servers that they call; without, at once.
        """
        self.snapshot = snapshot
        self._servers = servers or Servers()
        self._servers.released = self._renew
        self.turns = turns or Turns()
        self._at_once = turns is None
        self.work: Counter[str] = Counter()
        self.revision = 0
        self._sent: dict[str, int] = {}
        self._send = send
        self._proxies: dict[str, _Proxy] = {}
        self._by_host: dict[str, set[str]] = {}
        self._by_cluster: dict[ClusterKey, set[str]] = {}
        self._shared = Shared(self.work)

    def connect(self, proxy: str, node: str) -> None:
        """A proxy's stream opened."""
        self._proxies[proxy] = _Proxy(parse_proxy(proxy), node)
        self.turns.project(proxy, self.revision, force=False)
        self._finish()

    def disconnect(self, proxy: str) -> None:
        """A proxy's stream closed."""
        known = self._proxies.pop(proxy, None)
        self.turns.drop(proxy)
        self._sent.pop(proxy, None)
        if known is not None:
            self._index(known, view=None, demand=NOTHING)

    def demand(self, proxy: str, hosts: frozenset[str]) -> None:
        """A proxy asks for these names, as it spells them."""
        known = self._proxies.get(proxy)
        if known is None or known.demand == hosts:
            return
        self._index(known, view=known.view, demand=hosts)
        if known.view is None and not self._at_once:
            self.turns.project(proxy, self.revision, force=True)
            return
        self.turns.drop(proxy)
        self._refresh(proxy, force=True)

    def demands(self) -> Mapping[str, tuple[str, frozenset[str]]]:
        """The machine of each connected proxy, and what it asks for."""
        return {proxy: (known.node, known.demand) for proxy, known in self._proxies.items()}

    def view_of(self, workload: Workload, extra: Iterable[str] = ()) -> View:
        """The view of a workload, connected or not, or only thought of, with more hosts demanded."""
        known = self._proxies.get(workload.proxy)
        demand = (known.demand if known else NOTHING) | frozenset(extra)
        snapshot = self.snapshot
        if workload.name not in snapshot.workloads:
            snapshot = replace(snapshot, workloads={**snapshot.workloads, workload.name: workload})
        hosts = self._hosts(Bounds.named(snapshot, workload.name), demand)
        return project(snapshot, workload.name, hosts, servers=lambda _key: ())

    def resources_for(self, view: View) -> ResourceSet:
        """Everything that a proxy with this view holds, but the names."""
        compiled = compile_view(view)
        endpoints = self._shared.endpoints(self.snapshot, view)
        scopes = Overlaid(self._shared.scopes(self.snapshot, view), compiled.of(SCOPE))
        return ResourceSet({**compiled.types, ENDPOINT: endpoints, SCOPE: scopes})

    def held_by(self, proxy: str) -> ResourceSet | None:
        """What a connected proxy was last sent."""
        known = self._proxies.get(proxy)
        return known.published if known else None

    def view_held(self, proxy: str) -> View | None:
        """The view that a connected proxy's configuration was made of."""
        known = self._proxies.get(proxy)
        return known.view if known else None

    def sent_since(self, revision: int) -> frozenset[str]:
        """The connected proxies that were sent something for that revision of the store or a later one."""
        return frozenset(proxy for proxy in self._proxies if self._sent.get(proxy, -1) >= revision)

    def update(self, snapshot: Snapshot, touched: Touched, *, revision: int) -> None:
        """Move on to a new snapshot, made of the store at that revision."""
        self.snapshot, self.revision = snapshot, revision
        self._shared.forget(touched)
        for proxy in self._stale(touched):
            self.turns.project(proxy, revision, force=touched.scopes or parse_proxy(proxy) in touched.reaches)
        lighter = {proxy for cluster in touched.clusters for proxy in self._by_cluster.get(cluster, ())}
        lighter |= {proxy for host in touched.names for proxy in self._by_host.get(host, ())}
        for proxy in lighter:
            self.turns.balance(proxy, revision)
        self._finish()
        self._servers.update(snapshot, touched, used=lambda cluster: bool(self._by_cluster.get(cluster)))

    def _renew(self, clusters: Iterable[ClusterKey]) -> None:
        """Callers of these clusters are to know more of their servers."""
        for proxy in {proxy for cluster in clusters for proxy in self._by_cluster.get(cluster, ())}:
            self.turns.project(proxy, self.revision, force=False)
        self._finish()

    async def done(self, revision: int) -> None:
        """Return once everybody has been sent what that revision of the store has for them."""
        await self.turns.done(revision)
        await self._servers.followed()
        await self.turns.done(self.revision)

    def take_turn(self, turn: Turn) -> None:
        """Do what is to be done for a proxy."""
        if turn.proxy not in self._proxies:
            return
        if turn.project:
            self._refresh(turn.proxy, force=turn.force)
        else:
            self._replace_endpoints(turn.proxy)

    def _finish(self) -> None:
        while self._at_once and (turn := self.turns.take()) is not None:
            self.take_turn(turn)

    def _stale(self, touched: Touched) -> set[str]:
        if touched.everyone or touched.scopes:
            return set(self._proxies)
        stale = {proxy for host in touched.hosts for proxy in self._by_host.get(host, ())}
        stale |= {str(name) for name in touched.workloads | touched.reaches}
        if touched.policies or touched.gateways:
            stale |= {proxy for proxy, known in self._proxies.items() if self._is_governed(known, touched)}
        return stale & self._proxies.keys()

    def _is_governed(self, known: _Proxy, touched: Touched) -> bool:
        if not touched.policies.isdisjoint((known.name.namespace, self.snapshot.root_namespace)):
            return True
        return known.view is not None and known.view.gateway in touched.gateways

    def _hosts(self, bounds: Bounds, demand: frozenset[str]) -> frozenset[str]:
        return frozenset(bounds.resolve(spelling) or spelling for spelling in demand)

    def _refresh(self, proxy: str, *, force: bool = False) -> None:
        known = self._proxies[proxy]
        if known.name not in self.snapshot.workloads:
            return
        hosts = self._hosts(Bounds.named(self.snapshot, known.name), known.demand)
        view = project(self.snapshot, known.name, hosts, servers=partial(self._servers.behind, self.snapshot))
        self.work["project"] += 1
        if view == known.view and not force:
            self._replace_endpoints(proxy)
            return
        if view != known.view:
            self.work["compile"] += 1
            known.compiled = compile_view(view)
            self._index(known, view=view, demand=known.demand)
        self._publish(known, proxy)

    def _publish(self, known: _Proxy, proxy: str) -> None:
        if known.view is None:
            return
        shared: dict[str, Mapping[str, Entry]] = {
            ENDPOINT: self._shared.endpoints(self.snapshot, known.view),
            SCOPE: Overlaid(self._shared.scopes(self.snapshot, known.view), known.compiled.of(SCOPE)),
            NAME: self._names_of(known),
        }
        known.published = ResourceSet({**known.compiled.types, **shared})
        self._deliver(proxy, known)

    def _deliver(self, proxy: str, known: _Proxy) -> None:
        self._sent[proxy] = self.revision
        self._send(proxy, known.published, known.demand)

    def _replace_endpoints(self, proxy: str) -> None:
        known = self._proxies[proxy]
        if known.view is None:
            return
        endpoints = self._shared.endpoints(self.snapshot, known.view)
        names_held = self._names_of(known)
        if endpoints != known.published.of(ENDPOINT) or names_held != known.published.of(NAME):
            self.work["endpoints"] += 1
            known.published = known.published.replaced(ENDPOINT, endpoints).replaced(NAME, names_held)
            self._deliver(proxy, known)

    def _names_of(self, known: _Proxy) -> Mapping[str, Entry]:
        found: dict[str, Entry] = {}
        bounds = Bounds.named(self.snapshot, known.name)
        for spelling in known.demand:
            host = bounds.resolve(spelling)
            record = name_of(self.snapshot, host) if host else None
            if record is not None:
                entry = name_entry(record)
                found[spelling] = entry if entry.name == spelling else _renamed(entry, spelling)
        return found

    def _index(self, known: _Proxy, *, view: View | None, demand: frozenset[str]) -> None:
        """Make the reverse indexes say that a proxy has this view and demand, which it then has."""
        proxy, namespace = str(known.name), known.name.namespace
        _move(self._by_cluster, proxy, _clusters(known.view), _clusters(view))
        spelled = self._spelled(namespace, demand)
        before = _hosts_in(known.view) | (spelled if demand is known.demand else self._spelled(namespace, known.demand))
        after = _hosts_in(view) | spelled
        _move(self._by_host, proxy, before, after)
        known.view, known.demand = view, demand

    def _spelled(self, namespace: str, demand: frozenset[str]) -> frozenset[str]:
        """Every host that a demanded name may stand for, so that one that comes later is noticed."""
        return frozenset(host for name in demand for host in (name, *callable_hosts(name, namespace)))


def _renamed(entry: Entry, name: str) -> Entry:
    return make_entry(name, NAME, entry.body)


def _clusters(view: View | None) -> frozenset[ClusterKey]:
    return frozenset(cluster.key.whole for cluster in view.clusters) if view else frozenset()


def _hosts_in(view: View | None) -> frozenset[str]:
    if view is None:
        return NOTHING
    hosts = [cluster.host for cluster in view.clusters] + [frontend.host for frontend in view.frontends]
    return frozenset([*hosts, DIALLED])


def _move(index: dict[Key, set[str]], proxy: str, before: frozenset[Key], after: frozenset[Key]) -> None:
    for key in before - after:
        proxies = index.get(key, set())
        proxies.discard(proxy)
        if not proxies:
            index.pop(key, None)
    for key in after - before:
        index.setdefault(key, set()).add(proxy)
