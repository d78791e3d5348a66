"""The builder as a whole: any sequence of changes equals a fresh build, and says what it touched."""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from plait.model.ids import ObjectName
from plait.model.services import Capture
from plait.model.snapshot import Snapshot, Status
from plait.model.traffic import Rule
from plait.model.view import View
from plait.resources.parse import Resource
from plait.snapshot.build import Builder, Built
from plait.snapshot.links import StatusKey
from plait.snapshot.names import name_of, scope_keys
from plait.snapshot.project import project
from tests.snapshot.pool import OBJECTS
from tests.snapshot.resources_builders import backend, built, http_route, key_of, rule, service, to_service, workload

Key = tuple[str, str, str, str]
Change = tuple[int, bool]
"""An object's place in the pool, and whether it is set or deleted."""
CHANGES = st.lists(st.tuples(st.integers(0, len(OBJECTS) - 1), st.sampled_from((True, True, True, False))), max_size=12)
BATCHES = st.lists(CHANGES, min_size=1, max_size=5)
SOME_HOSTS = frozenset(
    {"a.default.svc.cluster.local", "b.default.svc.cluster.local", "a.shop.svc.cluster.local", "a.corp", "b.corp"}
    | {"10.0.0.1", "a-1.a.default.svc.cluster.local"}
)


def applied(batch: list[Change], objects: dict[Key, Resource]) -> tuple[list[Resource], list[Key]]:
    """The last word on each object of a batch; keeps `objects` current."""
    last = {key_of(OBJECTS[place]): (OBJECTS[place], present) for place, present in batch}
    upserts = [item for item, present in last.values() if present]
    deletes = [key for key, (_, present) in last.items() if not present]
    for key in deletes:
        objects.pop(key, None)
    objects.update({key_of(item): item for item in upserts})
    return upserts, deletes


def same(left: Snapshot, right: Snapshot) -> bool:
    return replace(left, revision=0) == replace(right, revision=0)


def views(snapshot: Snapshot, demand: frozenset[str] = SOME_HOSTS) -> dict[ObjectName, View]:
    return {name: project(snapshot, name, demand, servers=lambda _key: ()) for name in snapshot.workloads}


@settings(max_examples=80, deadline=None)
@given(BATCHES, st.randoms())
def test_any_sequence_equals_a_fresh_build(batches: list[list[Change]], random: Random):
    """After each batch, snapshot and statuses equal those of a builder that got the final set at once, in any order."""
    builder = Builder()
    objects: dict[Key, Resource] = {}
    for batch in batches:
        builder.update(*applied(batch, objects))
        fresh = Builder()
        shuffled = list(objects.values())
        random.shuffle(shuffled)
        fresh.update(shuffled)

        assert same(builder.snapshot, fresh.snapshot)
        assert builder.statuses == fresh.statuses


@settings(max_examples=100, deadline=None)
@given(BATCHES)
def test_statuses_come_when_they_change(batches: list[list[Change]]):
    """Who keeps the statuses that updates return, for objects that exist, holds what the builder holds."""
    builder = Builder()
    objects: dict[Key, Resource] = {}
    kept: dict[StatusKey, Status] = {}
    for batch in batches:
        update = builder.update(*applied(batch, objects))
        kept |= {(status.kind, status.name): status for status in update.statuses}

        assert builder.statuses.items() <= kept.items()


def concerned(update: Built, name: ObjectName, before: View | None, demand: frozenset[str]) -> bool:
    """Whether a publisher that follows `touched` projects the workload anew."""
    held = {cluster.host for cluster in before.clusters} if before else set[str]()
    workload_ = update.snapshot.workloads[name]
    return (
        update.touched.concerns(workload_, demand | held) or update.snapshot.root_namespace in update.touched.policies
    )


@settings(max_examples=100, deadline=None)
@given(BATCHES, st.sampled_from((SOME_HOSTS, frozenset[str]())))
def test_touched_concerns_every_changed_view(batches: list[list[Change]], demand: frozenset[str]):
    """A view that differs from the one before is always announced, by what it demands or by what it is."""
    builder = Builder()
    objects: dict[Key, Resource] = {}
    old = views(builder.snapshot, demand)
    for batch in batches:
        update = builder.update(*applied(batch, objects))
        new = views(update.snapshot, demand)

        changed = {name for name in new if new[name] != old.get(name)}
        assert changed <= {name for name in new if concerned(update, name, old.get(name), demand)}
        old = new


@settings(max_examples=100, deadline=None)
@given(BATCHES)
def test_touched_names_everything_that_is_shared(batches: list[list[Change]]):
    """Changed endpoints are named exactly, changed DNS answers and scope keys at least."""
    builder = Builder()
    objects: dict[Key, Resource] = {}
    before = builder.snapshot
    for batch in batches:
        update = builder.update(*applied(batch, objects))
        after = update.snapshot

        keys = before.endpoints.keys() | after.endpoints.keys()
        assert {key for key in keys if before.endpoints.get(key) != after.endpoints.get(key)} == update.touched.clusters
        hosts = before.services.keys() | after.services.keys() | SOME_HOSTS
        assert {host for host in hosts if name_of(before, host) != name_of(after, host)} <= update.touched.names
        for capture in Capture:
            old, new = (scope_keys(snapshot, capture, namespace="default") for snapshot in (before, after))
            assert old == new or update.touched.scopes
        before = after


@settings(max_examples=100, deadline=None)
@given(BATCHES)
def test_nothing_changes_twice(batches: list[list[Change]]):
    """Applying what is there already touches nothing and keeps every mapping as it is."""
    builder = Builder()
    objects: dict[Key, Resource] = {}
    for batch in batches:
        builder.update(*applied(batch, objects))
    before = builder.snapshot

    update = builder.update(list(objects.values()))

    assert not update.touched
    assert update.statuses == ()
    assert update.snapshot.endpoints is before.endpoints
    assert update.snapshot.frontends is before.frontends
    assert set(update.work) <= {"translated"}


def rules_of(snapshot: Snapshot) -> Iterator[Rule]:
    for frontend in snapshot.frontends.values():
        yield from frontend.rules
        for _, rules in frontend.consumer_rules:
            yield from rules
    for gateway in snapshot.gateways.values():
        for listener in gateway.listeners:
            yield from listener.rules


@settings(max_examples=100, deadline=None)
@given(CHANGES)
def test_a_snapshot_refers_only_to_what_it_holds(changes: list[Change]):
    """Every cluster that a rule names exists, every rule answers in exactly one way, and views are complete."""
    builder = Builder()
    upserts, _ = applied(changes, {})
    snapshot = builder.update(upserts).snapshot

    for found in rules_of(snapshot):
        assert [found.redirect is not None, found.status is not None, bool(found.destinations)].count(True) == 1
        named = {item.cluster for item in found.destinations} | {mirror.cluster for mirror in found.mirrors}
        assert named - {None} <= snapshot.endpoints.keys()
    assert snapshot.identities.keys() <= snapshot.endpoints.keys()
    assert {host for host, _ in snapshot.frontends} <= snapshot.services.keys()
    for view in views(snapshot).values():
        held = {cluster.key for cluster in view.clusters}
        wanted = {
            item.cluster for frontend in view.frontends for found in frontend.rules for item in found.destinations
        }
        assert wanted - {None} <= held


def mesh(services: int, endpoints: int) -> list[Resource]:
    """Services s0, s1, ... with so many workloads each, every fourth with a route to the next one."""
    found: list[Resource] = []
    for index in range(services):
        found.append(service(f"s{index}", address=f"240.240.{index // 250}.{index % 250 + 1}"))
        for number in range(endpoints):
            address = f"10.{index // 250}.{index % 250}.{number + 1}"
            found.append(workload(f"s{index}-{number}", address, app=f"s{index}", account=f"s{index}"))
    for index in range(0, services, 4):
        split = rule(backend(f"s{index}", 90), backend(f"s{(index + 1) % services}", 10))
        found.append(http_route(f"r{index}", [to_service(f"s{index}")], split))
    return found


def test_a_full_build_looks_at_each_object_once():
    """Services, clusters, routes and frontends are each linked once, however many there are."""
    objects = mesh(100, 5)

    update = Builder().update(objects)

    assert update.work == {"translated": 625, "services": 100, "clusters": 100, "routes": 25, "frontends": 100}


def test_the_work_of_a_change_does_not_grow_with_the_mesh():
    """An endpoint, a route or a service costs what depends on it, in a mesh of 10 services as in one of 100."""
    changes: list[tuple[Resource, dict[str, int]]] = [
        (
            workload("s5-1", "10.0.5.2", app="s5", account="s5", ready="false"),
            {"translated": 1, "services": 1, "clusters": 1},
        ),
        (
            http_route("r4", [to_service("s4")], rule(backend("s5"))),
            {"translated": 1, "routes": 1, "services": 1, "clusters": 1, "frontends": 1},
        ),
        (
            service("s5", 80, 81, address="240.240.0.6"),
            {"translated": 1, "routes": 1, "services": 1, "clusters": 2, "frontends": 2},
        ),
    ]
    for size in (10, 100):
        builder = built(*mesh(size, 3))
        for resource, work in changes:
            assert builder.update([resource]).work == work


def test_routes_of_others_do_not_cost():
    """Changing a backend's ports resolves the routes that send there and no others."""
    builder = built(*mesh(20, 1))

    update = builder.update([service("s1", 80, 90, address="240.240.0.2")])

    assert update.work["routes"] == 1
    assert update.touched.hosts == {"s1.default.svc.cluster.local"}
