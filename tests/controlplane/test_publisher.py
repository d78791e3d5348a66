"""The publisher redoes only what a change touched."""

import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass, field

from envoy.config.cluster.v3 import cluster_pb2

from plait.controlplane.publisher import NOTHING, Publisher
from plait.envoy.resource_set import ResourceSet
from plait.envoy.types import CLUSTER, ENDPOINT, NAME, ROUTE, SCOPE
from plait.resources.parse import Resource
from plait.snapshot.build import Builder
from plait.snapshot.names import callable_hosts
from tests.controlplane.meshes import MACHINE, entry, resource, shop

REVIEWS = "reviews.shop.svc.cluster.local"
PAYMENTS = "payments.shop.svc.cluster.local"


@dataclass
class Mesh:
    """A builder and a publisher, and what was sent."""

    builder: Builder = field(default_factory=Builder)
    sent: list[tuple[str, ResourceSet, frozenset[str]]] = field(
        default_factory=list[tuple[str, ResourceSet, frozenset[str]]]
    )

    def __post_init__(self) -> None:
        built = self.builder.update(shop())
        self.publisher = Publisher(self._send, built.snapshot)

    def _send(self, proxy: str, resources: ResourceSet, demand: frozenset[str]) -> None:
        self.sent.append((proxy, resources, demand))

    def change(self, *resources: Resource) -> None:
        """Apply changes; forgets what was sent and counted before."""
        self._update(resources)

    def remove(self, item: Resource) -> None:
        """Delete an object; forgets what was sent and counted before."""
        self._update((), item)

    def _update(self, upserts: Sequence[Resource], *deletes: Resource) -> None:
        self.sent.clear()
        self.publisher.work.clear()
        keys = [(item.kind.group, item.kind.kind, item.namespace, item.name) for item in deletes]
        built = self.builder.update(upserts, keys)
        self.publisher.update(built.snapshot, built.touched, revision=7)


def frontend_mesh() -> Mesh:
    """A mesh in which the frontend has asked for reviews."""
    mesh = Mesh()
    mesh.publisher.connect("shop/frontend", "one")
    mesh.publisher.demand("shop/frontend", frozenset([REVIEWS]))
    mesh.publisher.connect("shop/orders", "one")
    mesh.publisher.demand("shop/orders", frozenset([PAYMENTS]))
    return mesh


def test_a_proxy_gets_what_it_asked_for():
    """Demand brings the clusters of the route, their endpoints, the route and the name; a key for every service."""
    mesh = frontend_mesh()
    _, resources, demand = next(item for item in reversed(mesh.sent) if item[0] == "shop/frontend")

    assert demand == {REVIEWS}
    assert set(resources.of(NAME)) == {REVIEWS}
    assert f"{REVIEWS}:80" in resources.of(ROUTE)
    assert {name for name in resources.of(CLUSTER) if name.startswith("reviews")} == {
        "reviews-v1.shop.svc.cluster.local:80",
        "reviews-v2.shop.svc.cluster.local:80",
    }
    assert set(resources.of(ENDPOINT)) == {name for name in resources.of(CLUSTER) if name.startswith("reviews")}
    assert len(resources.of(SCOPE)) == 7


def test_an_endpoint_change_compiles_nothing():
    """Only the callers of that cluster are sent its endpoints; no view is projected, nothing compiled."""
    mesh = frontend_mesh()

    mesh.change(resource(entry("reviews-v1", 9085, app="reviews", ready="false")))

    assert [proxy for proxy, _, _ in mesh.sent] == ["shop/frontend"]
    assert mesh.publisher.work["compile"] == 0
    assert mesh.publisher.work["endpoint set"] == 1


def test_what_nobody_sees_sends_nothing():
    """A change of a service that no proxy calls reaches no proxy."""
    mesh = frontend_mesh()

    mesh.change(resource(entry("catalogue", 9082, app="catalogue")))

    assert mesh.sent == []
    assert mesh.publisher.work["compile"] == 0


def test_who_needed_a_revision_is_known():
    """`apply --wait` waits for the proxies that were sent something for that revision, and for no other."""
    mesh = frontend_mesh()

    mesh.change(resource(entry("reviews-v1", 9085, app="reviews", ready="false")))

    assert mesh.publisher.sent_since(7) == {"shop/frontend"}


def test_a_name_that_does_not_exist_is_sent_when_it_comes():
    """What a workload asked for in vain arrives as soon as the service is made."""
    mesh = frontend_mesh()
    late = "late.shop.svc.cluster.local"
    mesh.publisher.demand("shop/frontend", frozenset([REVIEWS, late]))
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "late", "namespace": "shop"},
        "spec": {"clusterIP": "240.240.9.9", "ports": [{"name": "http", "port": 80}]},
    }

    mesh.change(resource(service))

    newest = next(resources for proxy, resources, _ in reversed(mesh.sent) if proxy == "shop/frontend")
    assert late in newest.of(NAME)


def test_a_closed_stream_is_forgotten():
    """Nothing is computed for a proxy that is gone."""
    mesh = frontend_mesh()
    mesh.publisher.disconnect("shop/frontend")

    mesh.change(resource(entry("reviews-v1", 9085, app="reviews", ready="false")))

    assert mesh.sent == []


def test_what_a_closed_stream_was_sent_says_nothing_of_its_next_one():
    """A proxy that came back has not been sent what the stream before had got."""
    mesh = frontend_mesh()
    mesh.change(resource(entry("reviews-v1", 9085, app="reviews", ready="false")))

    mesh.publisher.disconnect("shop/frontend")
    mesh.builder.update([], [("networking.istio.io", "WorkloadEntry", "shop", "frontend")])
    mesh.publisher.snapshot = mesh.builder.snapshot
    mesh.publisher.connect("shop/frontend", "one")

    assert mesh.publisher.sent_since(7) == frozenset()


def test_names_asked_for_no_longer_leave_nothing():
    """A workload that looks up ever other names does not make control grow."""
    mesh = frontend_mesh()
    tracemalloc.start()
    try:
        for number in range(1000):
            mesh.publisher.demand("shop/frontend", frozenset([REVIEWS, f"{number}.example.com"]))
        mesh.sent.clear()
        callable_hosts.cache_clear()  # remembers so many names at most, whoever asked for them
        own = [tracemalloc.Filter(inclusive=True, filename_pattern="*/controlplane/publisher.py")]
        held = sum(item.size for item in tracemalloc.take_snapshot().filter_traces(own).statistics("filename"))
    finally:
        tracemalloc.stop()
    assert held < 100_000


PLACE = "10.60.0.87:9085"


def dialling_mesh() -> Mesh:
    """A mesh in which the frontend has called reviews-v1 at its own address, and orders at somebody's."""
    mesh = frontend_mesh()
    mesh.change(resource(MACHINE))
    mesh.publisher.demand("shop/frontend", frozenset([PLACE]))
    mesh.publisher.demand("shop/orders", frozenset(["10.60.0.200:80"]))
    return mesh


def held(mesh: Mesh, proxy: str = "shop/frontend") -> ResourceSet:
    found = mesh.publisher.held_by(proxy)
    assert found is not None
    return found


def cluster(mesh: Mesh, place: str = PLACE, proxy: str = "shop/frontend") -> cluster_pb2.Cluster:
    return cluster_pb2.Cluster.FromString(held(mesh, proxy).of(CLUSTER)[f"direct/{place}"].body)


def test_a_dialled_address_is_answered_with_its_cluster_and_a_name():
    """What the relay waits for comes with the name; where nobody is, there is a cluster too, without identity."""
    mesh = dialling_mesh()

    assert set(held(mesh).of(NAME)) == {PLACE}
    assert cluster(mesh).HasField("transport_socket")
    nobody = cluster(mesh, "10.60.0.200:80", "shop/orders")
    assert (nobody.type, nobody.HasField("transport_socket")) == (cluster_pb2.Cluster.ORIGINAL_DST, False)


def test_a_dialled_address_follows_its_workload():
    """A workload that goes leaves no cluster that trusts it, one that comes is trusted by what it proves then."""
    mesh = dialling_mesh()
    original = entry("reviews-v1", 9085, app="reviews")
    mesh.remove(resource(original))
    assert [proxy for proxy, _, _ in mesh.sent] == ["shop/frontend"]
    assert not cluster(mesh).HasField("transport_socket")

    mesh.change(resource(entry("reviews-v1", 9085, app="reviews", account="other")))
    assert [proxy for proxy, _, _ in mesh.sent] == ["shop/frontend"]
    assert b"sa/other" in held(mesh).of(CLUSTER)[f"direct/{PLACE}"].body


def test_a_first_workload_at_a_dialled_address_is_noticed():
    """Who called an address before anybody had it calls the workload there with mutual TLS from then on."""
    mesh = dialling_mesh()
    mesh.publisher.demand("shop/orders", frozenset(["10.60.0.200:9198"]))
    assert not cluster(mesh, "10.60.0.200:9198", "shop/orders").HasField("transport_socket")

    mesh.change(resource(entry("late", 9198, app="late")))
    assert [proxy for proxy, _, _ in mesh.sent] == ["shop/orders"]
    assert cluster(mesh, "10.60.0.200:9198", "shop/orders").HasField("transport_socket")
    assert "direct/10.60.0.200:80" not in held(mesh, "shop/orders").of(CLUSTER)


def test_an_address_demanded_no_longer_is_forgotten():
    """Nothing is projected for a workload whose address nobody asks for any more."""
    mesh = dialling_mesh()
    mesh.publisher.demand("shop/frontend", NOTHING)
    assert f"direct/{PLACE}" not in held(mesh).of(CLUSTER)

    mesh.change(resource(entry("reviews-v1", 9085, app="reviews", account="other")))
    assert [proxy for proxy, _, _ in mesh.sent] == []
