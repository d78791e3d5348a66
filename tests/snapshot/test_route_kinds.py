"""Routes of every kind: GRPCRoute's precedence, which kind acts where, connections, and what their statuses say."""

import pytest

from plait.model.services import Protocol
from plait.model.traffic import Matching
from plait.snapshot.build import Builder
from plait.snapshot.services import service_host
from tests.snapshot.resources_builders import (
    backend,
    built,
    conditions,
    gateway,
    gateway_proxy,
    grant,
    grpc_route,
    headers,
    http_route,
    key_of,
    listener,
    method,
    name_of,
    rule,
    service,
    snapshot_of,
    tcp_route,
    tls_route,
    to_gateway,
    to_service,
)

ECHO = service("echo", {"port": 80}, {"port": 9000, "name": "tcp"}, {"port": 443, "name": "tls"})
V1 = service("v1", address="240.240.0.2")
V2 = service("v2", address="240.240.0.3")
OK = {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}


def of_route(builder: Builder, kind: str, name: str, index: int = 0) -> dict[str, tuple[str, str]]:
    return conditions(builder.statuses[kind, name_of(name)].parents[index].conditions)


def port_of(builder: Builder, number: int):
    return builder.snapshot.frontends[service_host(name_of("echo")), number]


def test_grpc_precedence_is_service_then_method_then_headers():
    """A longer service comes before a method, a method before headers, whatever the order written."""
    route = grpc_route(
        "r",
        [to_service("echo", port=80)],
        rule(backend("v1"), matches=[{"headers": headers(version="one")}], name="header"),
        rule(backend("v1"), matches=[method("", "VeryLongMethodName")], name="method"),
        rule(backend("v1"), matches=[method("a.B")], name="service"),
        rule(backend("v1"), matches=[method("a.B", "C")], name="whole"),
        rule(backend("v1"), name="every"),
    )

    rules = port_of(built(ECHO, V1, route), 80).rules

    assert [item.name.split("/")[2] for item in rules] == ["whole", "service", "method", "header", "every"]
    assert [(item.match.path.matching, item.match.path.value) for item in rules[:3]] == [
        (Matching.EXACT, "/a.B/C"),
        (Matching.PREFIX, "/a.B"),
        (Matching.REGEX, "/[^/]+/VeryLongMethodName"),
    ]


def test_a_route_makes_an_undeclared_port_speak_its_protocol():
    """GRPCRoute makes it gRPC, TCPRoute bytes, TLSRoute TLS."""
    protocols = {
        kind: port_of(built(ECHO, V1, route), 80).protocol
        for kind, route in (
            ("grpc", grpc_route("r", [to_service("echo", port=80)], rule(backend("v1")))),
            ("tcp", tcp_route("r", [to_service("echo", port=80)], backend("v1"))),
            ("tls", tls_route("r", [to_service("echo", port=80)], ["a.example"], backend("v1"))),
        )
    }

    assert protocols == {"grpc": Protocol.GRPC, "tcp": Protocol.TCP, "tls": Protocol.TLS}


def test_the_most_specific_kind_acts_at_a_port_of_a_service():
    """GRPCRoute wins over HTTPRoute and TCPRoute, whose conditions say so until it is gone."""
    parents = [to_service("echo", port=80)]
    grpc = grpc_route("g", parents, rule(backend("v1")))
    builder = built(
        ECHO, V1, V2, grpc, http_route("h", parents, rule(backend("v2"))), tcp_route("t", parents, backend("v2"))
    )

    assert of_route(builder, "GRPCRoute", "g") == OK
    assert of_route(builder, "HTTPRoute", "h")["Accepted"] == ("False", "Conflicted")
    assert of_route(builder, "TCPRoute", "t")["Accepted"] == ("False", "Conflicted")
    assert [item.name for item in port_of(builder, 80).rules] == ["default/g/rules[0]"]

    builder.update([], [key_of(grpc)])

    assert of_route(builder, "HTTPRoute", "h") == OK
    assert of_route(builder, "TCPRoute", "t")["Accepted"] == ("False", "Conflicted")
    assert [item.name for item in port_of(builder, 80).rules] == ["default/h/rules[0]"]


def test_consumer_routes_of_connections_are_for_their_namespace():
    """A TCPRoute in another namespace replaces the rules for callers there only."""
    producer = tcp_route("p", [to_service("echo", port=9000)], backend("v1"))
    consumer = tcp_route("other/c", [to_service("default/echo", port=9000)], backend("default/v2"))

    found = port_of(built(ECHO, V1, V2, producer, consumer), 9000)

    assert [item.name for item in found.l4_rules_for("default")[0]] == ["default/p/rules[0]"]
    assert [item.name for item in found.l4_rules_for("other")[0]] == ["other/c/rules[0]"]


def test_server_names_are_ordered_and_the_older_route_has_a_name_first():
    """Exact names before wildcards, the longer wildcard first; of one name the older route's rule stays."""
    parents = [to_service("echo", port=443)]
    young = tls_route("a", parents, ["x.example", "*.deep.example"], backend("v1"), created=9)
    old = tls_route("b", parents, ["x.example", "*.example"], backend("v2"), created=1)

    rules = port_of(built(ECHO, V1, V2, young, old), 443).l4_rules

    assert [(item.sni_hosts, item.name.split("/")[1]) for item in rules] == [
        (("x.example",), "b"),
        (("*.deep.example",), "a"),
        (("*.example",), "b"),
    ]


def test_a_broken_backend_of_connections_keeps_its_share():
    """The share stays without a cluster; at weight 0 it is left out."""
    route = tcp_route("r", [to_service("echo", port=9000)], backend("v1", 3), backend("no", 1), backend("never", 0))
    builder = built(ECHO, V1, route)

    (found,) = port_of(builder, 9000).l4_rules

    assert [(item.cluster is not None, item.weight) for item in found.destinations] == [(True, 3), (False, 1)]
    assert of_route(builder, "TCPRoute", "r")["ResolvedRefs"] == ("False", "BackendNotFound")


@pytest.mark.parametrize("port", [9000, 443])
def test_requests_cannot_be_routed_where_bytes_are_declared(port: int):
    """An HTTPRoute at a port declared TCP or TLS has no parent there."""
    builder = built(ECHO, V1, http_route("h", [to_service("echo", port=port)], rule(backend("v1"))))

    assert of_route(builder, "HTTPRoute", "h")["Accepted"] == ("False", "NoMatchingParent")


EDGE = gateway(
    "edge",
    listener("web"),
    listener("raw", 9000, "TCP"),
    listener("pass", 443, "TLS", hostname="*.example", tls={"mode": "Passthrough"}),
)


def test_listeners_take_the_routes_that_fit_their_protocol():
    """Each route attaches to the listeners of its kind, counts there, and is refused elsewhere."""
    builder = built(
        EDGE,
        V1,
        gateway_proxy("edge-1", serves="edge"),
        tcp_route("t", [to_gateway("edge")], backend("v1")),
        tls_route("s", [to_gateway("edge")], ["a.example", "a.test"], backend("v1")),
        tcp_route("no", [to_gateway("edge", sectionName="web")], backend("v1")),
        tls_route("none", [to_gateway("edge")], ["a.test"], backend("v1")),
    )

    found = builder.statuses["Gateway", name_of("edge")].listeners
    kinds = {item.name: [kind for _, kind in item.supported_kinds] for item in found}
    assert kinds == {"web": ["HTTPRoute", "GRPCRoute"], "raw": ["TCPRoute"], "pass": ["TLSRoute"]}
    assert {item.name: item.attached_routes for item in found} == {"web": 0, "raw": 1, "pass": 1}
    assert of_route(builder, "TCPRoute", "no")["Accepted"] == ("False", "NotAllowedByListeners")
    assert of_route(builder, "TLSRoute", "none")["Accepted"] == ("False", "NoMatchingListenerHostname")
    served = {item.name: item for item in builder.snapshot.gateways[name_of("edge")].listeners}
    assert [item.sni_hosts for item in served["pass"].l4_rules] == [("a.example",)]
    assert [item.name for item in served["raw"].l4_rules] == ["default/t/rules[0]"]


@pytest.mark.parametrize(("grpc_age", "winner"), [(1, "GRPCRoute"), (9, "HTTPRoute")])
def test_of_both_kinds_for_requests_the_older_has_a_hostname(grpc_age: int, winner: str):
    """At one hostname of a listener HTTPRoute and GRPCRoute exclude each other; at others they do not."""
    parents = [to_gateway("edge")]
    builder = built(
        EDGE,
        V1,
        grpc_route("g", parents, rule(backend("v1")), hostnames=["*.example"], created=grpc_age),
        http_route("h", parents, rule(backend("v1")), hostnames=["a.example"], created=5),
        http_route("apart", parents, rule(backend("v1")), hostnames=["a.test"], created=7),
    )

    states = {
        kind: of_route(builder, kind, name)["Accepted"] for kind, name in (("GRPCRoute", "g"), ("HTTPRoute", "h"))
    }
    loser = "HTTPRoute" if winner == "GRPCRoute" else "GRPCRoute"
    assert states == {winner: ("True", "Accepted"), loser: ("False", "Conflicted")}
    assert of_route(builder, "HTTPRoute", "apart")["Accepted"] == ("True", "Accepted")


def test_grants_are_by_the_kind_of_route():
    """A ReferenceGrant for HTTPRoute lets no TCPRoute of a Gateway cross namespaces."""
    crossing = tcp_route("t", [to_gateway("edge")], backend("other/v9"))
    target = service("other/v9", address="240.240.0.9")
    for kind, expected in (("HTTPRoute", ("False", "RefNotPermitted")), ("TCPRoute", ("True", "ResolvedRefs"))):
        builder = built(
            EDGE,
            target,
            crossing,
            grant("other/g", source=(kind, "default"), target=("Service", "")),
        )
        assert of_route(builder, "TCPRoute", "t")["ResolvedRefs"] == expected


def test_tls_and_https_listeners_share_a_port_by_hostname():
    """TLS and HTTPS stand together on a port where their hostnames differ; with TCP they conflict."""
    through = {"tls": {"mode": "Passthrough"}}
    builder = built(
        gateway(
            "edge",
            listener("one", 443, "TLS", hostname="a.example", **through),
            listener("two", 443, "HTTPS", hostname="b.example", tls={"certificateRefs": [{"name": "none"}]}),
            listener("three", 9000, "TLS", **through),
            listener("four", 9000, "TCP"),
        )
    )

    found = {
        item.name: conditions(item.conditions)["Conflicted"]
        for item in builder.statuses["Gateway", name_of("edge")].listeners
    }
    assert found == {
        "one": ("False", "NoConflicts"),
        "two": ("False", "NoConflicts"),
        "three": ("True", "ProtocolConflict"),
        "four": ("True", "ProtocolConflict"),
    }


def test_without_routes_a_tcp_port_goes_to_its_service():
    """No rule, not closed."""
    assert snapshot_of(ECHO).frontends[service_host(name_of("echo")), 9000].l4_rules_for("default") == ((), False)
