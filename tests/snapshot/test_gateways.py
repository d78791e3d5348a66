"""Gateways: listeners, attachment of routes, certificates, addresses, and the conditions of all."""

import pytest

from plait.model.snapshot import ListenerStatus, Status
from plait.resources.parse import Resource
from plait.snapshot.build import Builder
from plait.snapshot.gateways import SUPPORTED_FEATURES
from tests.snapshot.certificates import pair, tls_secret
from tests.snapshot.resources_builders import (
    GATEWAY_API,
    Document,
    backend,
    built,
    conditions,
    gateway,
    gateway_proxy,
    grant,
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


def https(*secrets: Document, name: str = "https", port: int = 443, **fields: object) -> Document:
    return listener(name, port, "HTTPS", tls={"certificateRefs": list(secrets)}, **fields)


def test_a_gateway_with_a_route_and_a_proxy():
    """Everything is accepted and programmed, and the proxy's address is the Gateway's."""
    route = http_route("r", [to_gateway("edge")], rule(backend("v1")))
    builder = built(V1, gateway("edge"), gateway_proxy("edge-1", serves="edge"), route)

    found = status(builder)
    assert conditions(found.conditions) == {"Accepted": ("True", "Accepted"), "Programmed": ("True", "Programmed")}
    assert found.addresses == ("10.0.0.99",)
    (one,) = found.listeners
    assert (one.name, one.attached_routes, one.supported_kinds) == (
        "http",
        1,
        (("gateway.networking.k8s.io", "HTTPRoute"),),
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

    assert conditions(status(builder).conditions) == {"Accepted": accepted, "Programmed": programmed}


def gateway_class(name: str, controller: str, **spec: object):
    return resource(GATEWAY_API, "GatewayClass", name, spec={"controllerName": controller, **spec})


def test_classes():
    """Class `plait` and every class of our controller are ours; others are left alone."""
    others = [gateway_class("acme", "acme.com/gw"), gateway_class("edge", "plait.dev/gateway")]
    builder = built(
        *others,
        gateway("a"),
        gateway("b", class_name="acme"),
        gateway("c", class_name="edge"),
        gateway("d", class_name="no"),
    )

    assert sorted(name.name for name in builder.snapshot.gateways) == ["a", "c"]
    assert sorted(name.name for kind, name in builder.statuses if kind == "Gateway") == ["a", "c"]
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


def test_https_with_its_certificate():
    """A listener that ends TLS has the certificate of its Secret, and the snapshot holds it once."""
    builder = built(gateway("edge", https({"name": "tls"})), gateway_proxy("edge-1", serves="edge"), tls_secret("tls"))

    (served,) = builder.snapshot.gateways[EDGE].listeners
    assert (served.tls, served.certificates) == (True, (name_of("tls"),))
    assert builder.snapshot.certificates[name_of("tls")].chain == pair("tls")[0]
    assert conditions(of_listener(builder, "https").conditions) == FINE
    assert "PRIVATE" not in repr(builder.snapshot)


@pytest.mark.parametrize(
    ("secret", "reason", "sentence"),
    [
        (None, "InvalidCertificateRef", "does not exist"),
        (tls_secret("tls", chain=b"nonsense"), "InvalidCertificateRef", "has no PEM certificate in tls.crt"),
        (tls_secret("tls", key=b"nonsense"), "InvalidCertificateRef", "has no PEM private key"),
        (tls_secret("tls", key=pair("other")[1]), "InvalidCertificateRef", "does not belong to its tls.crt"),
        (tls_secret("tls", kind="Opaque"), "InvalidCertificateRef", "is of type Opaque"),
    ],
)
def test_bad_certificates(secret: Resource | None, reason: str, sentence: str):
    """A listener without a usable certificate is not served and says why; others go on."""
    rest = [secret] if secret else []
    builder = built(gateway("edge", https({"name": "tls"}), listener()), gateway_proxy("edge-1", serves="edge"), *rest)

    condition = of_listener(builder, "https").conditions[1]
    assert (condition.type, condition.status, condition.reason) == ("ResolvedRefs", "False", reason)
    assert sentence in condition.message
    assert conditions(of_listener(builder, "https").conditions)["Programmed"] == ("False", "Invalid")
    assert conditions(of_listener(builder, "http").conditions) == FINE
    assert [item.name for item in builder.snapshot.gateways[EDGE].listeners] == ["http"]
    assert conditions(status(builder).conditions)["Accepted"] == ("True", "ListenersNotValid")


def test_a_certificate_that_comes_later_opens_the_listener():
    """A Secret that is made, changed or removed is followed."""
    builder = built(gateway("edge", https({"name": "tls"})), gateway_proxy("edge-1", serves="edge"))
    assert conditions(status(builder).conditions)["Accepted"] == ("False", "ListenersNotValid")

    first = builder.update([tls_secret("tls")])
    assert first.touched.gateways == {EDGE}
    assert len(first.snapshot.gateways[EDGE].listeners) == 1

    rotated = tls_secret("tls", chain=pair("new")[0], key=pair("new")[1])
    second = builder.update([rotated])
    assert second.touched.gateways == {EDGE}
    assert second.snapshot.certificates[name_of("tls")].chain == pair("new")[0]

    third = builder.update([], [key_of(rotated)])
    assert (third.snapshot.gateways[EDGE].listeners, dict(third.snapshot.certificates)) == ((), {})


def test_secrets_of_other_namespaces_need_a_grant():
    """Without a grant the reason is RefNotPermitted and tells nothing of the Secret; with one it works."""
    builder = built(gateway("edge", https({"name": "tls", "namespace": "vault"})), tls_secret("vault/tls"))
    condition = of_listener(builder, "https").conditions[1]
    assert (condition.status, condition.reason) == ("False", "RefNotPermitted")

    builder.update([grant("vault/g", source=("Gateway", "default"), target=("Secret", "tls"))])
    assert conditions(of_listener(builder, "https").conditions)["ResolvedRefs"] == ("True", "ResolvedRefs")


def test_client_certificates_are_not_skipped():
    """Checking clients' certificates is not supported, so HTTPS is refused rather than served without it."""
    validation = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]}
    tls = {"frontend": {"default": {"validation": validation}}}
    builder = built(gateway("edge", https({"name": "tls"}), listener(), tls=tls), tls_secret("tls"))

    assert conditions(of_listener(builder, "https").conditions)["Accepted"] == ("False", "UnsupportedValue")
    assert [item.name for item in builder.snapshot.gateways[EDGE].listeners] == ["http"]


@pytest.mark.parametrize(
    ("listeners", "refused"),
    [
        (
            [listener("a", 80), https({"name": "tls"}, name="b", port=80)],
            {"a": "ProtocolConflict", "b": "ProtocolConflict"},
        ),
        ([listener("a", 80, hostname="x.com"), listener("b", 80, hostname="y.com")], {}),
        ([listener("a", 80), listener("b", 80, hostname="y.com"), listener("c", 8080)], {}),
    ],
)
def test_listeners_that_cannot_be_told_apart(listeners: list[Document], refused: dict[str, str]):
    """Conflicting listeners are refused together, the others are served."""
    builder = built(gateway("edge", *listeners), tls_secret("tls"))

    for item in status(builder).listeners:
        found = conditions(item.conditions)
        reason = refused.get(item.name)
        assert found["Conflicted"] == (("True", reason) if reason else ("False", "NoConflicts"))
        assert found["Accepted"][0] == ("False" if reason else "True")
    served = [item.name for item in builder.snapshot.gateways[EDGE].listeners]
    assert served == [item["name"] for item in listeners if item["name"] not in refused]


@pytest.mark.parametrize("protocol", ["TCP", "UDP", "acme.com/own"])
def test_unsupported_protocols(protocol: str):
    """A protocol that is not served is told, with no kinds of routes."""
    builder = built(gateway("edge", listener("raw", 9000, protocol)))

    found = of_listener(builder, "raw")
    assert conditions(found.conditions)["Accepted"] == ("False", "UnsupportedProtocol")
    assert found.supported_kinds == ()
    assert conditions(status(builder).conditions)["Accepted"] == ("False", "ListenersNotValid")


@pytest.mark.parametrize(
    ("kinds", "supported"),
    [([{"kind": "GRPCRoute"}], 0), ([{"kind": "GRPCRoute"}, {"kind": "HTTPRoute"}], 1)],
)
def test_kinds_of_routes(kinds: list[Document], supported: int):
    """Kinds that cannot attach are InvalidRouteKinds; those that can stay."""
    builder = built(gateway("edge", listener(allowedRoutes={"kinds": kinds})))

    found = of_listener(builder, "http")
    assert conditions(found.conditions)["ResolvedRefs"] == ("False", "InvalidRouteKinds")
    assert len(found.supported_kinds) == supported


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


def test_attached_routes_count_although_the_listener_is_broken():
    """The count follows allowedRoutes and parentRefs alone."""
    builder = built(
        gateway("edge", https({"name": "tls"})), http_route("r", [to_gateway("edge")], rule(matches=[path("/")]))
    )

    assert of_listener(builder, "https").attached_routes == 1


def test_deleting_the_gateway():
    """Nothing of it stays, and its routes are told."""
    edge = gateway("edge")
    builder = built(edge, http_route("r", [to_gateway("edge")], rule(matches=[path("/")])))

    update = builder.update([], [key_of(edge)])

    assert dict(update.snapshot.gateways) == {}
    assert route_conditions(builder, "r")["Accepted"] == ("False", "NoMatchingParent")
    assert ("Gateway", EDGE) not in builder.statuses
