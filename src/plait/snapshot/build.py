"""Builds the snapshot, one set of changes at a time. `Builder.update` lists the steps.

    apply            resources into tables; what means the same as before ends here
    settle           which service owns each host
    link policies    those in force in each marked namespace; the same for Sidecars and DestinationRules
    follow           from what changed to what depends on it
    resolve, link    services, routes, frontends, gateways: only what was marked
    write statuses   conditions for the users
    snapshot         the former one, with the mappings that changed

A mistaken object never stops the others: it gets a condition and the rest goes on. The same set of objects gives an
equal snapshot, whatever the order and grouping of the changes that led to it. The Builder is the only state; it is not
for several threads.
"""

import gc
from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from plait.model.ids import Origin
from plait.model.snapshot import Snapshot, Status
from plait.resources import paths
from plait.resources.parse import Resource
from plait.snapshot.dirty import Dirty
from plait.snapshot.follow import follow_routes, follow_services, follow_workloads
from plait.snapshot.follow_security import follow_security
from plait.snapshot.link_backend_tls import link_backend_tls
from plait.snapshot.link_destinations import link_destinations
from plait.snapshot.link_edges import follow_edges, link_edges
from plait.snapshot.link_gateways import link_gateways
from plait.snapshot.link_policies import link_policies
from plait.snapshot.link_routes import link_frontends, resolve_routes
from plait.snapshot.link_services import link_services
from plait.snapshot.link_sidecars import follow_reaches, link_sidecars
from plait.snapshot.link_virtual_services import follow_virtual_services
from plait.snapshot.links import Effects, Links, Stage, StatusKey
from plait.snapshot.service_statuses import withdraws, write_service_statuses
from plait.snapshot.services import host_of
from plait.snapshot.statuses import write_statuses
from plait.snapshot.tables import Key, Tables
from plait.snapshot.touched import Touched

ROOT_NAMESPACE = "istio-system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """An update: the snapshot, the statuses that changed, what was touched, and how much work it was."""

    snapshot: Snapshot
    statuses: tuple[Status, ...] = ()
    touched: Touched = field(default_factory=Touched)
    work: Mapping[str, int] = field(default_factory=dict[str, int])


class Builder:
    """Keeps what the last update knew, so that the next one redoes only what changed."""

    def __init__(self, *, trust_domain: str = "cluster.local", root_namespace: str = ROOT_NAMESPACE) -> None:
        self._tables = Tables(trust_domain)
        self._links = Links()
        self._asking: set[tuple[str, int]] = set()
        """Frontends with a rule that has an authorizer."""
        self._sources: dict[tuple[str, str, str], tuple[str, Mapping[str, int]]] = {}
        self._snapshot = Snapshot(revision=0, trust_domain=trust_domain, root_namespace=root_namespace)

    @property
    def snapshot(self) -> Snapshot:
        """The latest snapshot."""
        return self._snapshot

    @property
    def statuses(self) -> Mapping[StatusKey, Status]:
        """The status of every object that has one; not those that only take back what was said of a Service."""
        written = self._links.statuses.values()
        return {key: status for key, status in written.items() if not withdraws(status)}

    def update(self, upserts: Iterable[Resource], deletes: Iterable[Key] = ()) -> Built:
        """The mesh after deleting and then setting these objects."""
        with _uncollected():
            return self._update(upserts, deletes)

    def _update(self, upserts: Iterable[Resource], deletes: Iterable[Key]) -> Built:
        stage = Stage(tables=self._tables, links=self._links, effects=Effects())
        dirty = Dirty()
        self._apply(stage, dirty, upserts=upserts, deletes=deletes)
        self._tables.services.settle(dirty)
        link_policies(stage, dirty, root_namespace=self._snapshot.root_namespace)
        link_sidecars(stage, dirty)
        link_destinations(stage, dirty)
        follow_workloads(stage, dirty)
        follow_reaches(stage, dirty, root_namespace=self._snapshot.root_namespace)
        follow_security(stage, dirty, root_namespace=self._snapshot.root_namespace)
        follow_edges(stage, dirty)
        follow_services(stage, dirty)
        follow_virtual_services(stage, dirty)
        follow_routes(stage, dirty)
        resolve_routes(stage, dirty)
        link_services(stage, dirty)
        link_frontends(stage, dirty)
        link_gateways(stage, dirty)
        link_edges(stage, dirty)
        link_backend_tls(stage, dirty)
        write_statuses(stage, dirty)
        write_service_statuses(stage, dirty)
        return self._built(stage, dirty)

    def located(self, origin: Origin) -> Origin:
        """The origin with the file and line where its object was last applied from."""
        file, lines = self._sources.get((origin.kind, origin.namespace, origin.name), ("", {}))
        return replace(origin, file=file, line=paths.line_of(origin.path, lines)) if file else origin

    def _apply(self, stage: Stage, dirty: Dirty, *, upserts: Iterable[Resource], deletes: Iterable[Key]) -> None:
        for key in deletes:
            if self._tables.knows(key[0], key[1]):
                self._sources.pop(key[1:], None)
                self._tables.drop(key, dirty)
        for resource in upserts:
            kind = resource.kind
            if not self._tables.knows(kind.group, kind.kind):
                continue
            stage.effects.work["translated"] += 1
            self._tables.put(resource, dirty)
            self._remember(resource)

    def _remember(self, resource: Resource) -> None:
        key = resource.kind.kind, resource.namespace, resource.name
        file, lines = resource.source
        if file:
            self._sources[key] = file, lines
        else:
            self._sources.pop(key, None)

    def _built(self, stage: Stage, dirty: Dirty) -> Built:
        links = self._links
        changed = links.statuses.changed
        written = (links.statuses.get(key) for key in sorted(changed))
        statuses = tuple(status for status in written if status is not None)
        touched = _touched(stage, dirty, self._snapshot)
        authorizers = self._authorizers()
        if authorizers != self._snapshot.authorizers:
            touched = replace(touched, everyone=True)
        self._snapshot = replace(self._frozen(touched), authorizers=authorizers)
        return Built(snapshot=self._snapshot, statuses=statuses, touched=touched, work=Counter(stage.effects.work))

    def _authorizers(self) -> bool:
        """Whether any rule has an authorizer: then every proxy must be ready to ask one."""
        frontends = self._links.frontends
        for key in frontends.changed:
            frontend = frontends.get(key)
            (self._asking.add if frontend is not None and frontend.asks_authorizers else self._asking.discard)(key)
        return bool(self._asking)

    def _frozen(self, touched: Touched) -> Snapshot:
        links, former = self._links, self._snapshot
        for helper in (links.statuses, links.mesh_routes, links.gateway_routes):
            helper.freeze()
        return Snapshot(
            revision=former.revision + bool(touched),
            trust_domain=former.trust_domain,
            root_namespace=former.root_namespace,
            services=links.services.freeze(),
            dialled=links.dialled.freeze(),
            exported=links.exported.freeze(),
            workloads=links.workloads.freeze(),
            frontends=links.frontends.freeze(),
            endpoints=links.endpoints.freeze(),
            identities=links.identities.freeze(),
            behind=links.behind.freeze(),
            peer_authentications=links.peers.freeze(),
            authorization=links.authorization.freeze(),
            destinations=links.destinations.freeze(),
            credentials=links.credentials.freeze(),
            sidecars=links.sidecars.freeze(),
            reaches=links.reaches.freeze(),
            gateways=links.gateways.freeze(),
            edges=links.edges.freeze(),
            addresses=links.addresses.freeze(),
            serving=links.serving.freeze(),
            certificates=links.certificates.freeze(),
            backend_tls=links.backend_tls.freeze(),
            workload_addresses=self._tables.workloads.ranges() if touched.everyone else former.workload_addresses,
        )


@contextmanager
def _uncollected() -> Generator[None]:
    """No cyclic garbage collection meanwhile: an update makes no cycles, and a collection walks the whole mesh."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _touched(stage: Stage, dirty: Dirty, former: Snapshot) -> Touched:
    links, effects = stage.links, stage.effects
    removed = {host_of(key.service) for key in links.identities.changed}
    certificates = {
        name
        for name, gateway in links.gateways.values().items()
        for listener in gateway.listeners
        if not links.certificates.changed.isdisjoint(listener.certificates)
    }
    return Touched(
        clusters=frozenset(links.endpoints.changed),
        servers=frozenset(links.behind.changed),
        hosts=frozenset(effects.hosts | removed),
        names=frozenset(effects.names),
        workloads=frozenset(effects.workloads),
        policies=frozenset(links.peers.changed | links.authorization.changed),
        reaches=frozenset(links.reaches.changed),
        gateways=frozenset(links.gateways.changed | certificates),
        scopes=effects.scopes,
        everyone=dirty.ranges and stage.tables.workloads.ranges() != former.workload_addresses,
    )
