"""Gateways: listeners, attachment of routes, certificates, addresses, and the conditions of all."""

import pytest

from plait.model.gateways import ClientAddresses
from plait.model.snapshot import ListenerStatus, Status
from plait.snapshot.build import Builder
from plait.snapshot.gateways import SUPPORTED_FEATURES
from tests.snapshot.resources_builders import (
    GATEWAY_API,
    Document,
    backend,
    built,
    conditions,
    gateway,
    gateway_proxy,
    http_route,
    key_of,
    listener,
    name_of,
    path,
    resource,
    rule,
    service,
    to_gateway,
)

V1 = service("v1")
EDGE = name_of("edge")
FINE = {
    "Accepted": ("True", "Accepted"),
    "ResolvedRefs": ("True", "ResolvedRefs"),
    "Conflicted": ("False", "NoConflicts"),
    "Programmed": ("True", "Programmed"),
}


def status(builder: Builder) -> Status:
    return builder.statuses["Gateway", EDGE]


def of_listener(builder: Builder, name: str) -> ListenerStatus:
    return next(item for item in status(builder).listeners if item.name == name)


def route_conditions(builder: Builder, name: str, index: int = 0) -> dict[str, tuple[str, str]]:
    return conditions(builder.statuses["HTTPRoute", name_of(name)].parents[index].conditions)


def test_a_gateway_with_a_route_and_a_proxy():
    """Everything is accepted and programmed, and the proxy's address is the Gateway's."""
    route = http_route("r", [to_gateway("edge")], rule(backend("v1")))
    builder = built(V1, gateway("edge"), gateway_proxy("edge-1", serves="edge"), route)

    found = status(builder)
    assert conditions(found.conditions) == {
        "Accepted": ("True", "Accepted"),
        "Programmed": ("True", "Programmed"),
        "ResolvedRefs": ("True", "ResolvedRefs"),
    }
    assert found.addresses == ("10.0.0.99",)
    (one,) = found.listeners
    assert (one.name, one.attached_routes, one.supported_kinds) == (
        "http",
        1,
        (("gateway.networking.k8s.io", "HTTPRoute"), ("gateway.networking.k8s.io", "GRPCRoute")),
    )
    assert conditions(one.conditions) == FINE
    (served,) = builder.snapshot.gateways[EDGE].listeners
    assert (served.port, served.tls, [item.name for item in served.rules]) == (80, False, ["default/r/rules[0]"])


def test_without_a_proxy_it_is_not_programmed():
    """The message tells the command that starts one; a proxy that is not ready does not count."""
    builder = built(gateway("edge"), gateway_proxy("edge-1", serves="edge", ready="false"))

    condition = status(builder).conditions[1]
    assert (condition.status, condition.reason) == ("False", "AddressNotAssigned")
    assert condition.message == "no proxy serves the Gateway; start one: plait gateway edge -n default"
    assert conditions(of_listener(builder, "http").conditions)["Programmed"] == ("False", "Pending")

    builder.update([gateway_proxy("edge-1", serves="edge")])
    assert conditions(status(builder).conditions)["Programmed"] == ("True", "Programmed")


@pytest.mark.parametrize(
    ("wanted", "accepted", "programmed"),
    [
        ({"value": "10.0.0.99"}, ("True", "Accepted"), ("True", "Programmed")),
        ({"value": ""}, ("True", "Accepted"), ("True", "Programmed")),
        ({"value": "192.0.2.1"}, ("True", "Accepted"), ("False", "AddressNotUsable")),
        ({"type": "Hostname", "value": "a.com"}, ("False", "UnsupportedAddress"), ("False", "Invalid")),
    ],
)
def test_wanted_addresses(wanted: dict[str, str], accepted: tuple[str, str], programmed: tuple[str, str]):
    """An address is the proxy's or it is not usable; only IP addresses can be asked for."""
    wanted = {key: value for key, value in wanted.items() if value}
    builder = built(gateway("edge", addresses=[wanted]), gateway_proxy("edge-1", serves="edge"))

    found = conditions(status(builder).conditions)
    assert (found["Accepted"], found["Programmed"]) == (accepted, programmed)


def gateway_class(name: str, controller: str, **spec: object):
    return resource(GATEWAY_API, "GatewayClass", name, spec={"controllerName": controller, **spec})


def test_classes():
    """The classes `plait` and `istio` and every class of our controller are ours; others are left alone."""
    others = [gateway_class("acme", "acme.com/gw"), gateway_class("edge", "plait.dev/gateway")]
    builder = built(
        *others,
        gateway("a"),
        gateway("b", class_name="acme"),
        gateway("c", class_name="edge"),
        gateway("d", class_name="no"),
        gateway("e", class_name="istio"),
    )

    assert sorted(name.name for name in builder.snapshot.gateways) == ["a", "c", "e"]
    assert sorted(name.name for kind, name in builder.statuses if kind == "Gateway") == ["a", "c", "e"]
    found = builder.statuses["GatewayClass", name_of("edge").__class__(namespace="", name="edge")]
    assert conditions(found.conditions) == {"Accepted": ("True", "Accepted")}
    assert found.supported_features == SUPPORTED_FEATURES == tuple(sorted(SUPPORTED_FEATURES))
    assert len([kind for kind, _ in builder.statuses if kind == "GatewayClass"]) == 1

    builder.update([gateway_class("acme", "plait.dev/gateway")])
    assert name_of("b") in builder.snapshot.gateways


def test_class_parameters_are_refused():
    """Parameters that we do not have make a class invalid."""
    parameters = {"group": "", "kind": "ConfigMap", "name": "c"}
    builder = built(gateway_class("edge", "plait.dev/gateway", parametersRef=parameters))

    (found,) = builder.statuses.values()
    assert conditions(found.conditions) == {"Accepted": ("False", "InvalidParameters")}


ANYWHERE = {"namespaces": {"from": "All"}}


@pytest.mark.parametrize(
    ("allowed", "labels", "reason"),
    [
        ({}, {}, "NotAllowedByListeners"),
        (ANYWHERE, {}, "Accepted"),
        ({"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}}, {"team": "a"}, "Accepted"),
        (
            {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}},
            {"team": "b"},
            "NotAllowedByListeners",
        ),
        (
            {
                "namespaces": {
                    "from": "Selector",
                    "selector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}},
                }
            },
            {},
            "Accepted",
        ),
        (
            {
                "namespaces": {
                    "from": "Selector",
                    "selector": {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["b"]}]},
                }
            },
            {"team": "b"},
            "NotAllowedByListeners",
        ),
        (
            {
                "namespaces": {
                    "from": "Selector",
                    "selector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]},
                }
            },
            {"team": "b"},
            "Accepted",
        ),
        ({"namespaces": {"from": "Selector"}}, {"team": "b"}, "NotAllowedByListeners"),
        ({**ANYWHERE, "kinds": [{"kind": "GRPCRoute"}]}, {}, "NotAllowedByListeners"),
    ],
)
def test_allowed_routes(allowed: Document, labels: dict[str, str], reason: str):
    """Namespaces are allowed by name or label, kinds by name; what is not allowed does not count as attached."""
    namespace = resource("v1", "Namespace", "shop", labels=labels)
    route = http_route("shop/r", [to_gateway("default/edge")], rule(matches=[path("/")]))
    builder = built(gateway("edge", listener(allowedRoutes=allowed)), namespace, route)

    assert route_conditions(builder, "shop/r")["Accepted"] == ("True" if reason == "Accepted" else "False", reason)
    assert of_listener(builder, "http").attached_routes == (reason == "Accepted")


def test_labels_of_namespaces_are_followed():
    """A namespace that gets the label lets its routes in."""
    selector = {"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}}
    route = http_route("shop/r", [to_gateway("default/edge")], rule(matches=[path("/")]))
    builder = built(gateway("edge", listener(allowedRoutes=selector)), route)
    assert route_conditions(builder, "shop/r")["Accepted"][0] == "False"

    builder.update([resource("v1", "Namespace", "shop", labels={"team": "a"})])
    assert route_conditions(builder, "shop/r")["Accepted"][0] == "True"


LISTENERS = (
    listener("any", 80, allowedRoutes=ANYWHERE),
    listener("shop", 8080, hostname="shop.example.com"),
    listener("wild", 8080, hostname="*.example.com"),
)


@pytest.mark.parametrize(
    ("parent", "hostnames", "attached", "reason"),
    [
        ({}, None, ["any", "shop", "wild"], "Accepted"),
        ({"sectionName": "shop"}, None, ["shop"], "Accepted"),
        ({"port": 8080}, None, ["shop", "wild"], "Accepted"),
        ({"port": 80, "sectionName": "shop"}, None, [], "NoMatchingParent"),
        ({"sectionName": "missing"}, None, [], "NoMatchingParent"),
        ({"port": 81}, None, [], "NoMatchingParent"),
        ({"port": 8080}, ["a.example.com"], ["wild"], "Accepted"),
        ({"port": 8080}, ["example.org"], [], "NoMatchingListenerHostname"),
        ({}, ["example.org"], ["any"], "Accepted"),
    ],
)
def test_which_listeners_a_route_attaches_to(
    parent: Document, hostnames: list[str] | None, attached: list[str], reason: str
):
    """sectionName and port choose among listeners, hostnames must meet; each failure has its own reason."""
    route = http_route("r", [to_gateway("edge", **parent)], rule(matches=[path("/")]), hostnames=hostnames)
    builder = built(gateway("edge", *LISTENERS), route)

    assert [item.name for item in status(builder).listeners if item.attached_routes] == attached
    assert route_conditions(builder, "r")["Accepted"][1] == reason


def test_rules_have_the_shared_hostnames_the_most_specific_first():
    """Rules of a listener are ordered by hostname, then by precedence, and carry the hosts they are for."""
    wild = http_route(
        "wild", [to_gateway("edge", sectionName="wild")], rule(backend("v1"), matches=[path("/a", "Exact")])
    )
    precise = http_route(
        "precise",
        [to_gateway("edge", sectionName="wild")],
        rule(backend("v1")),
        hostnames=["b.example.com", "*.a.example.com", "other.org"],
    )
    builder = built(V1, gateway("edge", *LISTENERS), wild, precise)

    found = next(item for item in builder.snapshot.gateways[EDGE].listeners if item.name == "wild")
    assert [(item.name, item.hostnames) for item in found.rules] == [
        ("default/precise/rules[0]", ("b.example.com",)),
        ("default/precise/rules[0]", ("*.a.example.com",)),
        ("default/wild/rules[0]", ("*.example.com",)),
    ]


def test_two_references_to_one_gateway_count_once_a_listener():
    """A route that names two listeners has two parent statuses and is attached to each once."""
    parents = [to_gateway("edge", sectionName="any"), to_gateway("edge", sectionName="missing")]
    builder = built(gateway("edge", *LISTENERS), http_route("r", parents, rule(matches=[path("/")])))

    assert of_listener(builder, "any").attached_routes == 1
    assert [route_conditions(builder, "r", index)["Accepted"][0] for index in (0, 1)] == ["True", "False"]


def test_routes_at_gateways_of_others_are_left_alone():
    """A route whose only parent is served by another controller has no conditions of ours."""
    builder = built(
        gateway("edge", class_name="acme"), http_route("r", [to_gateway("edge")], rule(matches=[path("/")]))
    )

    assert builder.statuses["HTTPRoute", name_of("r")].parents == ()


def test_deleting_the_gateway():
    """Nothing of it stays, and its routes are told."""
    edge = gateway("edge")
    builder = built(edge, http_route("r", [to_gateway("edge")], rule(matches=[path("/")])))

    update = builder.update([], [key_of(edge)])

    assert dict(update.snapshot.gateways) == {}
    assert route_conditions(builder, "r")["Accepted"] == ("False", "NoMatchingParent")
    assert ("Gateway", EDGE) not in builder.statuses


@pytest.mark.parametrize("where", ["metadata", "infrastructure"])
def test_who_clients_are_behind_other_proxies(where: str):
    """Istio's annotation says it, on the Gateway or for what is made for it; one that is no YAML is told."""
    good = {"proxy.istio.io/config": "gatewayTopology: {numTrustedProxies: 2, proxyProtocol: {}}"}
    bad = {"proxy.istio.io/config": "gatewayTopology: {numTrustedProxies: many}"}

    def made(annotations: dict[str, str]) -> Builder:
        if where == "infrastructure":
            return built(gateway("edge", infrastructure={"annotations": annotations}))
        spec = {"gatewayClassName": "plait", "listeners": [listener()]}
        return built(resource(GATEWAY_API, "Gateway", "edge", spec=spec, annotations=annotations))

    served = made(good).snapshot.gateways[EDGE].listeners
    assert [item.clients for item in served] == [ClientAddresses(trusted_proxies=2, proxy_protocol=True)]
    wrong = made(bad)
    assert [item.clients for item in wrong.snapshot.gateways[EDGE].listeners] == [ClientAddresses()]
    accepted = next(item for item in status(wrong).conditions if item.type == "Accepted")
    assert accepted.status == "True"
    assert "numTrustedProxies must be a number" in accepted.message
