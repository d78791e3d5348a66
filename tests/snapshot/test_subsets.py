"""Subsets: which endpoints they have, when there is a cluster for one, and whose rule declares it."""

from dataclasses import replace

from plait.compiler.compile import compile_view
from plait.compiler.endpoints import of_cluster
from plait.envoy import types
from plait.envoy.references import missing_references
from plait.envoy.resource_set import ResourceSet
from plait.envoy.simulate import Call, Outcome, simulate
from plait.model.ids import ClusterKey
from plait.model.snapshot import Snapshot
from plait.model.traffic import Destination, Rule
from plait.model.view import View
from plait.resources.parse import Resource
from plait.snapshot.project import project
from tests.snapshot.resources_builders import destination_rule, name_of, service, service_entry, snapshot_of, workload

HOST = "reviews.default.svc.cluster.local"
V1, V2, V3 = ({"version": version} for version in ("v1", "v2", "v3"))
MESH = (
    service("reviews"),
    workload("reviews-1", "10.0.0.1", app="reviews", labels=V1),
    workload("reviews-2", "10.0.0.2", app="reviews", labels=V2),
    workload("client", "10.0.0.9", labels={"team": "a"}),
    workload("shop/client", "10.0.0.8"),
)


def leading(snapshot: Snapshot, *subsets: str, host: str = HOST, weights: tuple[int, ...] = ()) -> Snapshot:
    """The snapshot with a rule in front of the host's port 80 that leads to these subsets."""
    frontend = snapshot.frontends[host, 80]
    shares = tuple(
        Destination(cluster=replace(frontend.default, subset=subset), weight=weight)
        for subset, weight in zip(subsets, weights or (1,) * len(subsets), strict=True)
    )
    rules = (Rule(name="r", destinations=shares),)
    changed = replace(frontend, rules=rules, attached=True)
    return replace(snapshot, frontends={**snapshot.frontends, (host, 80): changed})


def seen_by(snapshot: Snapshot, caller: str = "client", host: str = HOST) -> View:
    return project(snapshot, name_of(caller), frozenset({host}))


def held(snapshot: Snapshot, view: View) -> ResourceSet:
    found = [
        of_cluster(item, snapshot.endpoints.get(item.key.whole, ()), node=view.node)
        for item in view.clusters
        if not item.missing
    ]
    return compile_view(view).replaced(types.ENDPOINT, {item.name: item for item in found})


def call(snapshot: Snapshot, caller: str = "client") -> Outcome:
    return simulate(held(snapshot, seen_by(snapshot, caller)), Call(address="240.240.0.1", authority="reviews"))


def subsets(view: View) -> dict[str, tuple[tuple[str, str], ...]]:
    return {item.key.subset: item.labels for item in view.clusters if not item.missing}


def declared(*rules: Resource) -> Snapshot:
    return snapshot_of(*MESH, *rules)


def test_a_subset_has_the_endpoints_with_its_labels() -> None:
    """And no others; its identities are the service's, so that a restart of one changes no trust."""
    snapshot = leading(declared(destination_rule("reviews", subsets={"v1": V1, "v2": V2})), "v1")

    outcome = call(snapshot)

    assert outcome.clusters == {f"{HOST}:80/v1": 1}
    assert outcome.endpoints == {f"{HOST}:80/v1": ("10.0.0.1:8080",)}
    (cluster,) = seen_by(snapshot).clusters
    assert cluster.identities == snapshot.identities[ClusterKey(service=name_of("reviews"), port=80)]


def test_there_is_a_cluster_only_for_subsets_that_a_rule_leads_to() -> None:
    """A DestinationRule alone makes none: trap 11."""
    snapshot = declared(destination_rule("reviews", subsets={"v1": V1, "v2": V2}))

    assert subsets(seen_by(snapshot)) == {"": ()}
    assert subsets(seen_by(leading(snapshot, "v2"))) == {"v2": (("version", "v2"),)}


def test_trap_11_a_subset_without_endpoints_is_503_and_a_missing_one_too() -> None:
    """No endpoint is healthy (UH) in the one case; in the other there is no cluster (NC), and nothing is refused."""
    snapshot = declared(destination_rule("reviews", subsets={"v3": V3}))
    empty, missing = call(leading(snapshot, "v3")), call(leading(snapshot, "v4"))

    assert (empty.status, empty.reason) == (503, "no endpoint is healthy")
    assert (missing.status, missing.reason) == (503, "no cluster of this route exists")
    view = seen_by(leading(snapshot, "v4"))
    assert [item.missing for item in view.clusters] == [True]
    assert f"{HOST}:80/v4" not in compile_view(view).of(types.CLUSTER)
    assert missing_references(held(snapshot, view)) == []


def test_trap_10_the_weight_of_a_single_destination_is_ignored() -> None:
    """Of several, each has its part of the sum, and one of weight 0 none."""
    snapshot = declared(destination_rule("reviews", subsets={"v1": V1, "v2": V2}))

    assert call(leading(snapshot, "v1", weights=(37,))).clusters == {f"{HOST}:80/v1": 1}
    both = call(leading(snapshot, "v1", "v2", weights=(37, 3)))
    assert both.clusters == {f"{HOST}:80/v1": 37, f"{HOST}:80/v2": 3}
    assert call(leading(snapshot, "v1", "v2", weights=(37, 0))).clusters.keys() == {f"{HOST}:80/v1"}


def test_one_missing_subset_takes_only_its_share() -> None:
    """The other shares are as they were."""
    outcome = call(leading(declared(destination_rule("reviews", subsets={"v1": V1})), "v1", "v4"))

    assert outcome.clusters == {f"{HOST}:80/v1": 1, f"{HOST}:80/v4": 1}
    assert outcome.status is None


def test_subsets_of_names_that_envoy_resolves() -> None:
    """The names with the subset's labels."""
    host = "api.example.com"
    entry = service_entry(
        "api",
        host,
        location="MESH_EXTERNAL",
        resolution="DNS",
        endpoints=[{"address": "eu.example.com", "labels": {"at": "eu"}}, {"address": "us.example.com"}],
        given={host: "240.240.0.7"},
    )
    snapshot = declared(entry, destination_rule("api", host, subsets={"eu": {"at": "eu"}}))

    (cluster,) = seen_by(leading(snapshot, "eu", host=host), host=host).clusters

    assert cluster.endpoints == (("eu.example.com", 80),)


def test_rules_for_one_host_merge() -> None:
    """The oldest one's subset keeps its name, others are added."""
    snapshot = declared(
        destination_rule("newer", HOST, subsets={"v1": V3, "v3": V3}, created=2),
        destination_rule("older", "reviews", subsets={"v1": V1}, created=1),
    )

    found = subsets(seen_by(leading(snapshot, "v1", "v3")))

    assert found == {"v1": (("version", "v1"),), "v3": (("version", "v3"),)}


def test_rules_with_other_selectors_or_exports_do_not_merge() -> None:
    """The caller follows the one whose selector chooses it, and that one alone."""
    snapshot = declared(
        destination_rule("all", "reviews", subsets={"v1": V1}),
        destination_rule("some", "reviews", subsets={"v2": V2}, selector={"team": "a"}, created=1),
    )

    chosen = {caller: seen_by(leading(snapshot, "v1", "v2"), caller) for caller in ("client", "reviews-1")}

    assert {caller: tuple(subsets(view)) for caller, view in chosen.items()} == {
        "client": ("v2",),
        "reviews-1": ("v1",),
    }


def test_trap_13_rules_are_looked_up_with_the_caller_the_service_and_the_root() -> None:
    """In this order of namespaces; the first with a rule for the host decides alone."""
    of_root = destination_rule("istio-system/r", HOST, subsets={"root": V1})
    of_service = destination_rule("s", HOST, subsets={"service": V1})
    of_client = destination_rule("shop/c", HOST, subsets={"client": V1})

    def chosen(*rules: Resource) -> tuple[str, ...]:
        return tuple(subsets(seen_by(leading(declared(*rules), "root", "service", "client"), "shop/client")))

    assert chosen(of_root) == ("root",)
    assert chosen(of_root, of_service) == ("service",)
    assert chosen(of_root, of_service, of_client) == ("client",)


def test_trap_13_export_to_bounds_who_follows_a_rule() -> None:
    """A dot is the rule's own namespace; a rule that is not for the caller is passed over."""

    def chosen(caller: str, *export_to: str) -> tuple[str, ...]:
        rule = destination_rule("s", HOST, subsets={"v1": V1}, exportTo=list(export_to))
        return tuple(subsets(seen_by(leading(declared(rule), "v1"), caller)))

    assert chosen("shop/client", ".") == ()
    assert chosen("client", ".") == ("v1",)
    assert chosen("shop/client", "shop") == ("v1",)
    assert chosen("client", "shop") == ()
    assert chosen("shop/client", "*") == chosen("shop/client") == ("v1",)


def test_short_names_are_in_the_rules_namespace() -> None:
    """Not in the caller's, nor in the service's."""
    snapshot = declared(destination_rule("shop/reviews", subsets={"v1": V1}))
    assert subsets(seen_by(leading(snapshot, "v1"), "shop/client")) == {}
    with_namespace = declared(destination_rule("shop/r", "reviews.default", subsets={"v1": V1}))
    assert list(subsets(seen_by(leading(with_namespace, "v1"), "shop/client"))) == ["v1"]


def test_wildcards_cover_hosts_that_no_rule_of_the_namespace_names() -> None:
    """The longest wins; a wildcard of the caller's namespace goes before a name of the service's."""
    everything = destination_rule("shop/a", "*", subsets={"any": V1})
    cluster = destination_rule("shop/b", "*.svc.cluster.local", subsets={"wild": V1})
    named = destination_rule("s", HOST, subsets={"named": V1})
    snapshot = leading(declared(everything, cluster, named), "any", "wild", "named")

    assert list(subsets(seen_by(snapshot, "shop/client"))) == ["wild"]
    assert list(subsets(seen_by(snapshot, "client"))) == ["named"]
