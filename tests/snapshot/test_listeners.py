"""Listeners of Gateways: certificates, conflicts, protocols and kinds, each with its conditions."""

import pytest

from plait.model.snapshot import ListenerStatus, Status
from plait.resources.parse import Resource
from plait.snapshot.build import Builder
from tests.snapshot.certificates import pair, tls_secret
from tests.snapshot.resources_builders import (
    Document,
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
    rule,
    to_gateway,
)

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


def https(*secrets: Document, name: str = "https", port: int = 443, **fields: object) -> Document:
    return listener(name, port, "HTTPS", tls={"certificateRefs": list(secrets)}, **fields)


def test_https_with_its_certificate():
    """A listener that ends TLS has the certificate of its Secret, and the snapshot holds it once."""
    builder = built(gateway("edge", https({"name": "tls"})), gateway_proxy("edge-1", serves="edge"), tls_secret("tls"))

    (served,) = builder.snapshot.gateways[EDGE].listeners
    assert (served.tls, served.certificates) == (True, (name_of("tls"),))
    assert builder.snapshot.certificates[name_of("tls")].chain == pair("tls")[0]
    assert conditions(of_listener(builder, "https").conditions) == FINE
    assert "PRIVATE" not in repr(builder.snapshot)


def test_hosts_that_several_tls_listeners_have_are_told():
    """Every listener that shares hosts of its port with another one says so, and no other does."""
    builder = built(
        gateway(
            "edge",
            https({"name": "tls"}, name="exact", hostname="foo.example.com"),
            https({"name": "tls"}, name="other", hostname="foo.example.org"),
            https({"name": "tls"}, name="wild", hostname="*.example.com"),
            https({"name": "tls"}, name="elsewhere", port=8443),
        ),
        gateway_proxy("edge-1", serves="edge"),
        tls_secret("tls"),
    )

    found = {
        name: conditions(of_listener(builder, name).conditions) for name in ("exact", "other", "wild", "elsewhere")
    }
    overlapping = {name: told.get("OverlappingTLSConfig") for name, told in found.items()}
    expected = ("True", "OverlappingHostnames")
    assert overlapping == {"exact": expected, "wild": expected, "other": None, "elsewhere": None}


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


@pytest.mark.parametrize("protocol", ["UDP", "acme.com/own"])
def test_unsupported_protocols(protocol: str):
    """A protocol that is not served is told, with no kinds of routes."""
    builder = built(gateway("edge", listener("raw", 9000, protocol)))

    found = of_listener(builder, "raw")
    assert conditions(found.conditions)["Accepted"] == ("False", "UnsupportedProtocol")
    assert found.supported_kinds == ()
    assert conditions(status(builder).conditions)["Accepted"] == ("False", "ListenersNotValid")


@pytest.mark.parametrize(
    ("kinds", "supported"),
    [([{"kind": "TCPRoute"}], 0), ([{"kind": "TLSRoute"}, {"kind": "HTTPRoute"}], 1)],
)
def test_kinds_of_routes(kinds: list[Document], supported: int):
    """Kinds that cannot attach are InvalidRouteKinds; those that can stay."""
    builder = built(gateway("edge", listener(allowedRoutes={"kinds": kinds})))

    found = of_listener(builder, "http")
    assert conditions(found.conditions)["ResolvedRefs"] == ("False", "InvalidRouteKinds")
    assert len(found.supported_kinds) == supported


def test_attached_routes_count_although_the_listener_is_broken():
    """The count follows allowedRoutes and parentRefs alone."""
    builder = built(
        gateway("edge", https({"name": "tls"})), http_route("r", [to_gateway("edge")], rule(matches=[path("/")]))
    )

    assert of_listener(builder, "https").attached_routes == 1
