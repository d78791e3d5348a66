"""Certificates of clients: whom HTTPS listeners let in, what a Gateway shows to backends, and what is said of both."""

from typing import Any

import pytest

from plait.model.gateways import ClientCertificates, GatewayListener
from plait.resources.parse import Resource
from plait.snapshot.build import Builder
from plait.snapshot.project import project
from tests.envoy import certificates
from tests.snapshot.certificates import tls_secret
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
    listener,
    name_of,
    resource,
    rule,
    service,
    to_gateway,
)

EDGE = name_of("edge")
AUTHORITY = certificates.shared().bundle.decode()
OTHER = certificates.authority().bundle.decode()
CA = resource("v1", "ConfigMap", "ca", data={"ca.crt": AUTHORITY})
PROXY = gateway_proxy("edge-1", serves="edge")


def reference(name: str, *, kind: str = "ConfigMap", **fields: str) -> Document:
    """A reference to an object with authorities."""
    return {"group": "", "kind": kind, "name": name, **fields}


def validation(*references: Document, mode: str = "AllowValidOnly") -> Document:
    """TLS towards clients that asks for their certificates."""
    return {"validation": {"mode": mode, "caCertificateRefs": list(references)}}


def edge(frontend: Document | None = None, *, backend_ref: Document | None = None) -> Resource:
    """A Gateway with HTTPS on two ports and HTTP on one."""
    tls: dict[str, Any] = {"frontend": frontend} if frontend else {}
    if backend_ref:
        tls["backend"] = {"clientCertificateRef": backend_ref}
    ends = {"tls": {"certificateRefs": [{"name": "tls"}]}}
    return gateway(
        "edge", listener("a", 443, "HTTPS", **ends), listener("b", 8443, "HTTPS", **ends), listener("c"), tls=tls
    )


def served(builder: Builder) -> dict[str, GatewayListener]:
    """The listeners that are served, by name."""
    return {item.name: item for item in builder.snapshot.gateways[EDGE].listeners}


def told(builder: Builder, of: str = "") -> dict[str, tuple[str, str]]:
    """Conditions of the Gateway, or of a listener."""
    status = builder.statuses["Gateway", EDGE]
    if not of:
        return conditions(status.conditions)
    return conditions(next(item.conditions for item in status.listeners if item.name == of))


def test_the_default_holds_for_every_https_listener_but_for_ports_of_their_own() -> None:
    """A port may ask otherwise, or not at all; HTTP asks nothing. A fallback is told at the Gateway."""
    lenient = {"port": 8443, "tls": validation(reference("ca"), mode="AllowInsecureFallback")}
    builder = built(CA, tls_secret("tls"), PROXY, edge({"default": validation(reference("ca")), "perPort": [lenient]}))

    found = {name: item.terms.clients for name, item in served(builder).items()}
    expected = (ClientCertificates.REQUIRED, ClientCertificates.UNVERIFIED, ClientCertificates.UNASKED)
    assert found == dict(zip("abc", expected, strict=True))
    assert served(builder)["a"].terms.authorities.decode() == AUTHORITY
    assert told(builder)["InsecureFrontendValidationMode"] == ("True", "ConfigurationChanged")

    builder.update([edge({"default": validation(reference("ca")), "perPort": [{"port": 8443, "tls": {}}]})])
    assert served(builder)["b"].terms.clients is ClientCertificates.UNASKED
    assert "InsecureFrontendValidationMode" not in told(builder)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (reference("nobody"), "InvalidCACertificateRef"),
        (reference("empty"), "InvalidCACertificateRef"),
        (reference("ca", kind="Service"), "InvalidCACertificateKind"),
        (reference("ca", namespace="vault"), "RefNotPermitted"),
    ],
)
def test_a_listener_without_any_authority_is_not_served(broken: Document, reason: str) -> None:
    """Nobody could be told from a stranger; with one authority that is left it is served, and the rest is told."""
    empty = resource("v1", "ConfigMap", "empty", data={"ca.crt": "none"})
    elsewhere = resource("v1", "ConfigMap", "vault/ca", data={"ca.crt": AUTHORITY})
    builder = built(CA, empty, elsewhere, tls_secret("tls"), PROXY, edge({"default": validation(broken)}))

    assert list(served(builder)) == ["c"]
    assert told(builder, "a")["ResolvedRefs"] == ("False", reason)
    assert told(builder, "a")["Accepted"] == ("False", "NoValidCACertificate")
    assert told(builder, "a")["Programmed"][0] == "False"
    assert told(builder)["ResolvedRefs"] == ("False", "ListenersNotResolved")

    builder.update([edge({"default": validation(broken, reference("ca"))})])
    assert served(builder)["a"].terms.authorities.decode() == AUTHORITY
    assert told(builder, "a")["ResolvedRefs"] == ("False", reason)
    assert told(builder, "a")["Accepted"] == ("True", "Accepted")


def test_authorities_follow_their_object() -> None:
    """What a ConfigMap holds is in force as soon as it changes, also after a grant for another namespace's."""
    vault = resource("v1", "ConfigMap", "vault/ca", data={"ca.crt": AUTHORITY})
    asked = validation(reference("ca", namespace="vault"))
    builder = built(vault, tls_secret("tls"), PROXY, edge({"default": asked}))
    assert list(served(builder)) == ["c"]

    builder.update([grant("vault/g", source=("Gateway", "default"), target=("ConfigMap", "ca"))])
    assert served(builder)["a"].terms.authorities.decode() == AUTHORITY

    update = builder.update([resource("v1", "ConfigMap", "vault/ca", data={"ca.crt": OTHER})])
    assert served(builder)["a"].terms.authorities.decode() == OTHER
    assert EDGE in update.touched.gateways


POLICY = resource(
    GATEWAY_API,
    "BackendTLSPolicy",
    "bank",
    spec={
        "targetRefs": [{"group": "", "kind": "Service", "name": "bank"}],
        "validation": {"wellKnownCACertificates": "System", "hostname": "bank.example"},
    },
)


def test_what_a_gateway_shows_to_backends() -> None:
    """Clusters of backends that end TLS themselves have the certificate, and the proxy holds it."""
    route = http_route("r", [to_gateway("edge")], rule(backend("bank"), backend("plain")))
    shown = {"name": "own"}
    more = (service("bank"), service("plain"), POLICY, route, tls_secret("tls"), tls_secret("own"), PROXY)
    builder = built(*more, edge(backend_ref=shown))

    view = project(builder.snapshot, name_of("edge-1"), frozenset())
    proving = {item.key.service.name: item.backend_tls and item.backend_tls.certificate for item in view.clusters}
    assert proving == {"bank": name_of("own"), "plain": None}
    assert name_of("own") in {item.name for item in view.certificates}
    assert told(builder)["ResolvedRefs"] == ("True", "ResolvedRefs")


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        ({"name": "nobody"}, "InvalidClientCertificateRef"),
        ({"name": "tls", "kind": "ConfigMap"}, "InvalidClientCertificateRef"),
        ({"name": "tls", "namespace": "vault"}, "RefNotPermitted"),
    ],
)
def test_a_certificate_for_backends_that_cannot_be_had(shown: Document, reason: str) -> None:
    """The Gateway serves, says so, and shows none."""
    builder = built(tls_secret("tls"), tls_secret("vault/tls"), PROXY, edge(backend_ref=shown))

    assert told(builder)["ResolvedRefs"] == ("False", reason)
    assert told(builder)["Accepted"] == ("True", "Accepted")
    assert builder.snapshot.gateways[EDGE].client_certificate is None
