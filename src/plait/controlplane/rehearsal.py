"""What a commit would do to the mesh, worked out beside it: the same build, the same views, the same compiler.

A second builder takes every stored object, a second publisher every connected proxy with what it asks for; then both
take the commit as the running ones would. Hosts that nobody asks for yet are compiled for an imagined workload of
their namespace, so that a mistake does not wait for the first call.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plait.controlplane.publisher import Publisher
from plait.controlplane.reconcile import resource_of
from plait.envoy.resource_set import Entry, ResourceSet, resource_set
from plait.envoy.types import ENVOY_TYPES
from plait.model.ids import Identity, ObjectName, Origin
from plait.model.services import Workload
from plait.model.snapshot import Condition, Snapshot, Status
from plait.resources.parse import Resource
from plait.snapshot.build import Builder
from plait.store.store import Document, Write

Demands = Mapping[str, tuple[str, frozenset[str]]]
"""The machine of each connected proxy, and what it asks for."""
_BAD: Mapping[str, str] = {"PartiallyInvalid": "True", "Conflicted": "True"}
"""Conditions that tell of a mistake by another status than False."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A proxy that would be sent something else: what it holds, and what it would hold."""

    proxy: str
    before: ResourceSet
    after: ResourceSet
    imagined: bool = False

    def fresh(self) -> ResourceSet:
        """What would be new or another, of what Envoy knows."""
        return resource_set(
            (url, item)
            for url in ENVOY_TYPES
            for name, item in self.after.of(url).items()
            if not _same(self.before.of(url).get(name), item)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BadCondition:
    """A condition that would turn bad, of which object, and `at` which parent or listener."""

    origin: Origin
    at: str
    condition: Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """The mesh as it would be, and how it differs. `proxies` counts those that it was compiled for."""

    snapshot: Snapshot
    located: Callable[[Origin], Origin]
    proxies: int
    differences: tuple[Difference, ...]
    conditions: tuple[BadCondition, ...]


def rehearse(stored: Iterable[Document], writes: Sequence[Write], demands: Demands, *, trust_domain: str) -> Rehearsed:
    """The mesh of these objects after the writes, for the proxies that ask for this."""
    builder = Builder(trust_domain=trust_domain)
    builder.update(_resources(stored))
    sent: dict[str, ResourceSet] = {}
    publisher = Publisher(lambda proxy, resources, _demand: sent.__setitem__(proxy, resources), builder.snapshot)
    for proxy, (node, demand) in demands.items():
        publisher.connect(proxy, node)
        publisher.demand(proxy, demand)
    before, told = dict(sent), dict(_bad(builder.statuses.values()))
    gone = [(key.group, key.kind, key.namespace, key.name) for key in (w.key for w in writes if w.document is None)]
    built = builder.update(_resources(w.document for w in writes if w.document is not None), gone)
    publisher.update(built.snapshot, built.touched, revision=1)
    changed = [
        Difference(proxy=proxy, before=before.get(proxy, ResourceSet()), after=after)
        for proxy, after in sorted(sent.items())
        if proxy not in before or not _equal(before[proxy], after)
    ]
    return Rehearsed(
        snapshot=built.snapshot,
        located=builder.located,
        proxies=len(demands),
        differences=(*changed, *_unasked(publisher, built.touched.hosts, demands)),
        conditions=tuple(bad for key, bad in sorted(_bad(builder.statuses.values())) if key not in told),
    )


def demands_of(publisher: Publisher, answers: Iterable[Mapping[str, Any]]) -> Demands:
    """What all proxies ask for: those connected here, and those that the other controls told of."""
    found = dict(publisher.demands())
    for answer in answers:
        for proxy, node, hosts in answer["demands"]:
            found.setdefault(proxy, (node, frozenset(hosts)))
    return found


def _resources(documents: Iterable[Document]) -> list[Resource]:
    return [found for document in documents if (found := resource_of(document)) is not None]


def _unasked(publisher: Publisher, hosts: frozenset[str], demands: Demands) -> Iterator[Difference]:
    snapshot = publisher.snapshot
    asked = {host for _, wanted in demands.values() for host in wanted}
    spaces: dict[str, set[str]] = {}
    for host in sorted(hosts - asked):
        if (service := snapshot.services.get(host)) is not None:
            spaces.setdefault(service.name.namespace, set()).add(host)
    for namespace, wanted in spaces.items():
        name = ObjectName(namespace=namespace, name="(any workload)")
        identity = Identity(trust_domain=snapshot.trust_domain, namespace=namespace, service_account="default")
        workload = Workload(name=name, node="", address="10.0.0.1", machine_address="", identity=identity)
        alone = publisher.resources_for(publisher.view_of(workload))
        after = publisher.resources_for(publisher.view_of(workload, wanted))
        yield Difference(proxy=str(name), before=alone, after=after, imagined=True)


def _bad(statuses: Iterable[Status]) -> Iterator[tuple[tuple[str, ...], BadCondition]]:
    for status in statuses:
        origin = Origin(kind=status.kind, namespace=status.name.namespace, name=status.name.name)
        for at, condition in _conditions(status):
            if condition.status == _BAD.get(condition.type, "False"):
                key = (origin.kind, origin.namespace, origin.name, at, condition.type)
                yield key, BadCondition(origin=origin, at=at, condition=condition)


def _conditions(status: Status) -> Iterator[tuple[str, Condition]]:
    yield from (("", condition) for condition in status.conditions)
    for parent in (*status.parents, *status.ancestors):
        words = dict(parent.parent)
        section = f" {words['sectionName']}" if "sectionName" in words else ""
        where = f"{words.get('kind', 'Gateway')} {words.get('name', '')}{section}"
        yield from ((where, condition) for condition in parent.conditions)
    for listener in status.listeners:
        yield from ((f"listener {listener.name}", condition) for condition in listener.conditions)


def _same(one: Entry | None, other: Entry) -> bool:
    return one is not None and one.version == other.version


def _equal(one: ResourceSet, other: ResourceSet) -> bool:
    return one.types.keys() == other.types.keys() and all(one.of(url) == other.of(url) for url in one.types)


def counted(difference: Difference) -> tuple[int, int, int]:
    """How many resources would come, change and go, the names that a proxy knows included."""
    urls = difference.before.types.keys() | difference.after.types.keys()
    added = changed = removed = 0
    for url in urls:
        old, new = difference.before.of(url), difference.after.of(url)
        added += len(new.keys() - old.keys())
        removed += len(old.keys() - new.keys())
        changed += sum(not _same(old.get(name), item) for name, item in new.items() if name in old)
    return added, changed, removed
