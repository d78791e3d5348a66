"""HTTPRoutes at Services: rules of frontends, broken references, consumer routes, statuses."""

import pytest

from plait.model.ids import ObjectName
from plait.model.snapshot import ParentStatus, Snapshot
from plait.model.traffic import ClusterKey, Frontend, Rule
from plait.snapshot.build import Builder
from plait.snapshot.services import service_host
from tests.snapshot.resources_builders import (
    Document,
    backend,
    built,
    conditions,
    headers,
    http_route,
    name_of,
    path,
    rule,
    service,
    snapshot_of,
    to_service,
)

ECHO = service("echo", 80, 8080)
V1 = service("v1", address="240.240.0.2")
OK = {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
V2 = service("v2", address="240.240.0.3")


def frontend(snapshot: Snapshot, name: str, port: int = 80) -> Frontend:
    return snapshot.frontends[service_host(name_of(name)), port]


def split(found: Rule) -> dict[str, int]:
    return {item.cluster.service.name if item.cluster else "broken": item.weight for item in found.destinations}


def parent(builder: Builder, route: str, index: int = 0) -> ParentStatus:
    return builder.statuses["HTTPRoute", name_of(route)].parents[index]


def accepted(builder: Builder, route: str, index: int = 0) -> dict[str, tuple[str, str]]:
    return conditions(parent(builder, route, index).conditions)


def test_without_a_route_everything_goes_to_the_service():
    """A frontend that no route names is open and has its own cluster as default."""
    found = frontend(snapshot_of(ECHO), "echo")

    assert found.rules_for("default") == ((), False)
    assert found.default == ClusterKey(service=ObjectName(namespace="default", name="echo"), port=80)
    assert found.address == "240.240.0.1"


def test_a_split_keeps_its_weights():
    """Two backends become two destinations with the weights as written, and the frontend is closed."""
    route = http_route("split", [to_service("echo")], rule(backend("v1", 90), backend("v2", 10)))
    builder = built(ECHO, V1, V2, route)

    rules, closed = frontend(builder.snapshot, "echo").rules_for("default")

    assert (split(rules[0]), closed) == ({"v1": 90, "v2": 10}, True)
    assert accepted(builder, "split") == OK
    assert parent(builder, "split").parent == (("group", ""), ("kind", "Service"), ("name", "echo"))


def test_the_most_specific_match_of_all_routes_is_first():
    """The rules of several routes are merged into one list by precedence, whatever route they come from."""
    first = http_route(
        "a", [to_service("echo")], rule(backend("v1"), matches=[path("/"), {"headers": headers(version="one")}])
    )
    second = http_route("b", [to_service("echo")], rule(backend("v2"), matches=[path("/v2"), path("/", method="GET")]))

    rules = frontend(snapshot_of(ECHO, V1, V2, second, first), "echo").rules

    assert [item.name for item in rules] == [
        "default/b/rules[0]/matches[0]",
        "default/b/rules[0]/matches[1]",
        "default/a/rules[0]/matches[1]",
        "default/a/rules[0]/matches[0]",
    ]


def test_a_named_rule_keeps_its_name():
    """The user's name for a rule is in the rule's name, its place in its origin."""
    route = http_route("r", [to_service("echo")], rule(backend("v1"), name="canary", matches=[path("/a"), path("/b")]))

    rules = frontend(snapshot_of(ECHO, V1, route), "echo").rules

    assert [item.name for item in rules] == ["default/r/canary/matches[0]", "default/r/canary/matches[1]"]
    assert rules[1].origin is not None
    assert rules[1].origin.path == "spec.rules[0].matches[1]"


def test_hostnames_mean_nothing_at_a_service():
    """The address decides, never Host: hostnames do not keep a route from attaching, nor get into its rules."""
    route = http_route("r", [to_service("echo")], rule(backend("v1")), hostnames=["elsewhere.example.com"])

    assert [item.hostnames for item in frontend(snapshot_of(ECHO, V1, route), "echo").rules] == [()]


def test_parent_port_limits_the_route():
    """With a port only that port's frontend gets the rules; the other stays open."""
    snapshot = snapshot_of(ECHO, V1, http_route("r", [to_service("echo", port=80)], rule(backend("v1"))))

    assert frontend(snapshot, "echo", 80).attached
    assert not frontend(snapshot, "echo", 8080).attached


def test_parent_section_is_a_ports_name():
    """sectionName names a port of the Service."""
    snapshot = snapshot_of(ECHO, V1, http_route("r", [to_service("echo", sectionName="p1")], rule(backend("v1"))))

    assert not frontend(snapshot, "echo", 80).attached
    assert frontend(snapshot, "echo", 8080).attached


def test_a_route_makes_undeclared_ports_http():
    """A known TCP port without declaration speaks HTTP once a route is attached, a declared one stays TCP."""
    database = service("db", 5432, {"port": 3306, "name": "tcp-a"})
    route = http_route("r", [to_service("db")], rule(backend("v1")))

    assert frontend(snapshot_of(database), "db", 5432).protocol == "tcp"
    snapshot = snapshot_of(database, V1, route)
    assert (frontend(snapshot, "db", 5432).protocol, frontend(snapshot, "db", 5432).attached) == ("http", True)
    assert (frontend(snapshot, "db", 3306).protocol, frontend(snapshot, "db", 3306).attached) == ("tcp", False)


CONSUMER = http_route("consumer/r", [to_service("default/echo")], rule(backend("default/v2")))
PRODUCER = http_route("r", [to_service("echo")], rule(backend("v1")))


def test_a_consumer_route_replaces_the_producers_for_its_namespace():
    """Callers of the consumer's namespace get its rules alone, all others the producer's."""
    builder = built(ECHO, V1, V2, PRODUCER, CONSUMER)
    found = frontend(builder.snapshot, "echo")

    rules, closed = found.rules_for("consumer")
    assert ([split(item) for item in rules], closed) == ([{"v2": 1}], True)
    assert [split(item) for item in found.rules_for("other")[0]] == [{"v1": 1}]
    assert accepted(builder, "consumer/r") == OK


def test_a_consumer_route_alone_leaves_others_open():
    """Without a producer route only callers of the consumer's namespace are confined."""
    found = frontend(snapshot_of(ECHO, V2, CONSUMER), "echo")

    assert found.rules_for("consumer")[1]
    assert found.rules_for("default") == ((), False)


def test_mesh_routes_need_no_grant():
    """A route at a Service may send to another namespace without a ReferenceGrant (GEP-1426)."""
    route = http_route("r", [to_service("echo")], rule(backend("shop/v1")))

    assert accepted(built(ECHO, service("shop/v1"), route), "r") == OK


def test_a_broken_share_answers_500_and_the_rest_works():
    """A missing backend gets its share of 500s; the route says which one is missing."""
    route = http_route("r", [to_service("echo")], rule(backend("v1", 3), backend("nowhere", 1)))
    builder = built(ECHO, V1, route)

    (found,) = frontend(builder.snapshot, "echo").rules

    assert split(found) == {"v1": 3, "broken": 1}
    assert [item.status for item in found.destinations if item.cluster is None] == [500]
    assert accepted(builder, "r")["ResolvedRefs"] == ("False", "BackendNotFound")
    assert accepted(builder, "r")["Accepted"] == ("True", "Accepted")
    message = parent(builder, "r").conditions[1].message
    assert message == "spec.rules[0].backendRefs[1]: Service default/nowhere does not exist"


@pytest.mark.parametrize(
    "rules",
    [
        [rule(backend("nowhere"))],
        [rule(backend("nowhere", 1), backend("v1", 0))],
        [rule(backend("v1", 0))],
        [rule(matches=[path("/")])],
    ],
    ids=["all broken", "only a broken one has weight", "no weight", "no backend"],
)
def test_no_usable_backend_is_500(rules: list[Document]):
    """A rule that can send nowhere answers 500 itself."""
    (found,) = frontend(snapshot_of(ECHO, V1, http_route("r", [to_service("echo")], *rules)), "echo").rules

    assert (found.status, found.destinations) == (500, ())


def test_a_missing_backend_at_weight_0_does_no_harm():
    """It gets no share of 500s; a real one at weight 0 stays, so that its cluster is there before a shift."""
    route = http_route("r", [to_service("echo")], rule(backend("v1", 7), backend("v2", 0), backend("nowhere", 0)))
    builder = built(ECHO, V1, V2, route)

    assert split(frontend(builder.snapshot, "echo").rules[0]) == {"v1": 7, "v2": 0}
    assert accepted(builder, "r")["ResolvedRefs"] == ("False", "BackendNotFound")


def test_an_empty_service_is_not_broken():
    """A Service without endpoints keeps its cluster (which is empty: 503) and the route is fine."""
    builder = built(ECHO, V1, http_route("r", [to_service("echo")], rule(backend("v1"))))

    assert split(frontend(builder.snapshot, "echo").rules[0]) == {"v1": 1}
    assert builder.snapshot.endpoints[ClusterKey(service=name_of("v1"), port=80)] == ()
    assert accepted(builder, "r") == OK
