"""Endpoints of clusters: from workloads and EndpointSlices, by readiness, with identities that stay."""

import pytest

from plait.model.services import Endpoint
from plait.model.snapshot import Snapshot
from plait.model.traffic import ClusterKey
from plait.resources.parse import Resource
from tests.snapshot.resources_builders import (
    Document,
    built,
    endpoint_slice,
    gateway_proxy,
    key_of,
    name_of,
    outsider,
    peer_authentication,
    resource,
    service,
    snapshot_of,
    workload,
)

REVIEWS = service("reviews")


def key(name: str = "reviews", port: int = 80) -> ClusterKey:
    return ClusterKey(service=name_of(name), port=port)


def behind(snapshot: Snapshot, name: str = "reviews", port: int = 80) -> list[str]:
    return [f"{item.address}:{item.port}" for item in snapshot.endpoints[key(name, port)]]


def spiffe(account: str, namespace: str = "default") -> str:
    return f"spiffe://cluster.local/ns/{namespace}/sa/{account}"


def test_selected_workloads():
    """Workloads of the Service's namespace with its labels are its endpoints, in order of their names."""
    snapshot = snapshot_of(
        REVIEWS,
        workload("reviews-2", "10.0.0.3", app="reviews"),
        workload("reviews-1", "10.0.0.2", app="reviews"),
        workload("ratings-1", "10.0.0.4", app="ratings"),
        workload("shop/reviews-1", "10.0.0.5", app="reviews"),
    )

    assert behind(snapshot) == ["10.0.0.2:8080", "10.0.0.3:8080"]


def test_what_an_endpoint_tells():
    """An endpoint carries all that callers on any machine need."""
    found = workload(
        "reviews-1",
        "10.0.0.2",
        app="reviews",
        account="reviews",
        node="one",
        machine_address="192.0.2.1",
        published="8080=31000",
    )

    assert snapshot_of(REVIEWS, found).endpoints[key()] == (
        Endpoint(
            address="10.0.0.2",
            port=8080,
            workload="default/reviews-1",
            node="one",
            machine_address="192.0.2.1",
            published=31000,
            identity=spiffe("reviews"),
            labels=(("app", "reviews"),),
        ),
    )


def test_registered_services():
    """`plait.dev/services` publishes a workload on a service's port beside what selectors choose, on that port only."""
    many = service("reviews", 80, 81)
    registered = workload("other", "10.0.0.7", app="other", services="reviews:80=9090,ratings:80=1234")
    snapshot = snapshot_of(many, registered, workload("reviews-1", "10.0.0.2", app="reviews"))

    assert behind(snapshot) == ["10.0.0.7:9090", "10.0.0.2:8080"]
    assert behind(snapshot, port=81) == ["10.0.0.2:8080"]


def test_a_registration_outranks_the_target_port():
    """A selected workload that registered another port for the service is called there."""
    snapshot = snapshot_of(REVIEWS, workload("reviews-1", "10.0.0.2", app="reviews", services="reviews:80=9090"))

    assert behind(snapshot) == ["10.0.0.2:9090"]


def test_named_target_ports():
    """A target port by name is each workload's own number; one without that name is no endpoint."""
    named = service("reviews", {"port": 80, "targetPort": "web"})
    snapshot = snapshot_of(
        named,
        workload("a", "10.0.0.1", app="reviews", ports={"web": 8001}),
        workload("b", "10.0.0.2", app="reviews", ports={"web": 8002}),
        workload("c", "10.0.0.3", app="reviews", ports={"admin": 8003}),
    )

    assert behind(snapshot) == ["10.0.0.1:8001", "10.0.0.2:8002"]


def test_explicit_capture_is_called_at_the_sidecars_port():
    """Where nothing redirects, callers dial the port on which the sidecar accepts."""
    explicit = workload("reviews-1", "127.0.0.1", app="reviews", capture="explicit", sidecar_ports="8080=34567")

    assert behind(snapshot_of(REVIEWS, explicit)) == ["127.0.0.1:34567"]


@pytest.mark.parametrize(
    ("notes", "published"),
    [
        ({}, True),
        ({"phase": "Running"}, True),
        ({"phase": "Running", "ready": "true"}, True),
        ({"phase": "Running", "ready": "false"}, False),
        ({"phase": "Pending"}, False),
        ({"phase": "Warming", "ready": "true"}, False),
        ({"phase": "Draining", "ready": "true"}, False),
        ({"phase": "Exited"}, False),
    ],
)
def test_only_ready_workloads_have_endpoints(notes: Document, published: bool):
    """Readiness and phase decide; the identity that callers trust does not follow them."""
    snapshot = snapshot_of(REVIEWS, workload("reviews-1", "10.0.0.2", app="reviews", account="reviews", **notes))

    assert behind(snapshot) == (["10.0.0.2:8080"] if published else [])
    assert snapshot.identities[key()] == (spiffe("reviews"),)


def test_unready_addresses_can_be_published():
    """publishNotReadyAddresses counts what is not ready yet, never what is leaving."""
    eager = service("reviews", publishNotReadyAddresses=True)
    snapshot = snapshot_of(
        eager,
        workload("a", "10.0.0.1", app="reviews", phase="Warming"),
        workload("b", "10.0.0.2", app="reviews", phase="Draining"),
    )

    assert behind(snapshot) == ["10.0.0.1:8080"]


def test_outsiders_are_called_in_plaintext():
    """A WorkloadEntry without node and service account has no identity."""
    snapshot = snapshot_of(REVIEWS, outsider("vm", "192.0.2.8", app="reviews"))

    assert [item.identity for item in snapshot.endpoints[key()]] == [""]
    assert key() not in snapshot.identities


def test_identities_are_those_of_all_workloads():
    """Each service account behind a cluster is listed once, sorted."""
    snapshot = snapshot_of(
        REVIEWS,
        workload("a", "10.0.0.1", app="reviews", account="z"),
        workload("b", "10.0.0.2", app="reviews", account="a"),
        workload("c", "10.0.0.3", app="reviews", account="z"),
    )

    assert snapshot.identities[key()] == (spiffe("a"), spiffe("z"))


def test_endpoint_slices():
    """Slices of a Service add endpoints on the port that bears the service port's name."""
    snapshot = snapshot_of(
        service("reviews", {"port": 80, "name": "web"}, {"port": 81, "name": "admin"}, selector={}),
        endpoint_slice("reviews-a", "reviews", "192.0.2.1", "192.0.2.2", ports=[{"name": "web", "port": 8080}]),
        endpoint_slice("reviews-b", "reviews", "192.0.2.3", ports=[{"name": "admin", "port": 9090}]),
    )

    assert behind(snapshot) == ["192.0.2.1:8080", "192.0.2.2:8080"]
    assert behind(snapshot, port=81) == ["192.0.2.3:9090"]


@pytest.mark.parametrize("state", [{"ready": False}, {"ready": True, "terminating": True}])
def test_slices_tell_readiness(state: dict[str, bool]):
    """An endpoint that is not ready or is ending is left out."""
    snapshot = snapshot_of(REVIEWS, endpoint_slice("a", "reviews", "192.0.2.1", conditions=state))

    assert behind(snapshot) == []


def test_a_slice_that_lists_a_workload_is_that_workload():
    """An address of a workload of the mesh has its identity and its readiness, and counts once."""
    listed = endpoint_slice("a", "reviews", "10.0.0.2")
    running = workload("reviews-1", "10.0.0.2", app="else", account="reviews")
    builder = built(service("reviews", selector={}), listed, running)

    assert [item.identity for item in builder.snapshot.endpoints[key()]] == [spiffe("reviews")]
    assert builder.snapshot.identities[key()] == (spiffe("reviews"),)

    builder.update([workload("reviews-1", "10.0.0.2", app="else", account="reviews", ready="false")])
    assert behind(builder.snapshot) == []

    builder.update([], [key_of(running)])
    assert [item.identity for item in builder.snapshot.endpoints[key()]] == [""]


def test_locality_of_the_machine():
    """A workload without locality has its machine's; when the machine's labels change, so does it."""
    labels = {"topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": "a"}
    own = workload("a", "10.0.0.1", app="reviews", node="one")
    builder = built(REVIEWS, own, resource("v1", "Node", "one", labels=labels, spec={}))
    assert [item.locality for item in builder.snapshot.endpoints[key()]] == ["eu/a"]

    builder.update([resource("v1", "Node", "one", labels={}, spec={})])
    assert [item.locality for item in builder.snapshot.endpoints[key()]] == [""]


def test_one_changed_endpoint_touches_its_cluster_only():
    """The other endpoints stay the same objects, and neither hosts nor policies are touched."""
    builder = built(
        REVIEWS,
        service("ratings", address="240.240.0.2"),
        workload("reviews-1", "10.0.0.2", app="reviews", account="r"),
        workload("reviews-2", "10.0.0.3", app="reviews", account="r"),
        workload("ratings-1", "10.0.0.4", app="ratings"),
    )
    before = builder.snapshot

    update = builder.update([workload("reviews-2", "10.0.0.3", app="reviews", account="r", ready="false")])

    assert update.touched.clusters == {key()}
    assert (update.touched.hosts, update.touched.names, update.touched.policies) == (set(), set(), set())
    assert update.touched.workloads == {name_of("reviews-2")}
    assert update.work == {"translated": 1, "services": 1, "clusters": 1}
    assert update.snapshot.endpoints[key()] == before.endpoints[key()][:1]
    assert update.snapshot.endpoints[key()][0] is before.endpoints[key()][0]
    assert update.snapshot.endpoints[key("ratings")] is before.endpoints[key("ratings")]
    assert update.snapshot.frontends is before.frontends


def test_a_label_change_moves_the_endpoint():
    """A workload that changes its labels leaves one service and joins the other."""
    builder = built(REVIEWS, service("ratings", address="240.240.0.2"), workload("w", "10.0.0.2", app="reviews"))

    update = builder.update([workload("w", "10.0.0.2", app="ratings")])

    assert (behind(update.snapshot), behind(update.snapshot, "ratings")) == ([], ["10.0.0.2:8080"])
    assert update.touched.clusters == {key(), key("ratings")}
    assert update.snapshot.serving == {name_of("w"): ("ratings.default.svc.cluster.local",)}


def test_removing_a_service_removes_its_clusters():
    """Nothing of a deleted Service stays behind."""
    builder = built(REVIEWS, workload("reviews-1", "10.0.0.2", app="reviews", account="r"))

    update = builder.update([], [key_of(REVIEWS)])

    snapshot = update.snapshot
    assert (snapshot.services, snapshot.frontends, snapshot.endpoints, snapshot.identities, snapshot.serving) == (
        {},
        {},
        {},
        {},
        {},
    )
    assert update.touched.hosts == {"reviews.default.svc.cluster.local"}
    assert update.touched.scopes


def of_reviews(*resources: Resource) -> tuple[list[str], tuple[str, ...]]:
    """The identities of the endpoints of reviews, and those that callers are configured with."""
    snapshot = snapshot_of(REVIEWS, workload("reviews-1", app="reviews", account="reviews"), *resources)
    return [item.identity for item in snapshot.endpoints[key()]], snapshot.identities.get(key(), ())


REVIEWS_ONLY = {"app": "reviews"}


@pytest.mark.parametrize(
    ("policy", "identity"),
    [
        (peer_authentication("p", "STRICT"), spiffe("reviews")),
        (peer_authentication("p", "DISABLE"), ""),
        (peer_authentication("shop/p", "DISABLE"), spiffe("reviews")),
        (peer_authentication("istio-system/p", "DISABLE"), ""),
        (peer_authentication("p", "STRICT", selector=REVIEWS_ONLY, ports={8080: "DISABLE"}), ""),
        (peer_authentication("p", "STRICT", selector=REVIEWS_ONLY, ports={9090: "DISABLE"}), spiffe("reviews")),
        (peer_authentication("p", "DISABLE", selector=REVIEWS_ONLY, ports={8080: "PERMISSIVE"}), spiffe("reviews")),
    ],
)
def test_ports_that_take_plaintext_only_have_no_identity(policy: Resource, identity: str):
    """A port whose mutual TLS is DISABLEd is called in plaintext, since it takes nothing else."""
    assert of_reviews(policy) == ([identity], (identity,) if identity else ())


def test_disabling_mutual_tls_touches_its_callers_only():
    """The policy's coming and going changes the services behind it, and no other."""
    others = (service("ratings"), workload("ratings-1", "10.0.0.3", app="ratings"))
    builder = built(REVIEWS, workload("reviews-1", app="reviews"), *others)
    policy = peer_authentication("p", "DISABLE", selector=REVIEWS_ONLY)
    for update in (builder.update([policy]), builder.update([], [key_of(policy)])):
        assert update.touched.hosts == {"reviews.default.svc.cluster.local", "10.0.0.1"}
        assert update.touched.clusters == {key()}
    assert [item.identity for item in builder.snapshot.endpoints[key()]] == [spiffe("default")]


def test_labels_decide_anew_whether_a_workload_takes_plaintext_only():
    """A workload that comes under a policy, or leaves it, changes as if the policy had."""
    policy = peer_authentication("p", "DISABLE", selector={"tls": "off"})
    builder = built(REVIEWS, policy, workload("reviews-1", app="reviews"))
    for labels, identity in (({"tls": "off"}, ""), ({}, spiffe("default"))):
        builder.update([workload("reviews-1", app="reviews", labels=labels)])
        assert [item.identity for item in builder.snapshot.endpoints[key()]] == [identity]


def test_a_service_before_a_gateway_is_called_in_plaintext():
    """The proxy of a Gateway serves callers without identity, whoever they are."""
    snapshot = snapshot_of(REVIEWS, gateway_proxy("edge", serves="edge", app="reviews"))

    assert [item.identity for item in snapshot.endpoints[key()]] == [""]
    assert key() not in snapshot.identities
