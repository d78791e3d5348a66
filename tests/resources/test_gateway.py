"""Gateway, GatewayClass and ReferenceGrant: the rules of their CRDs."""

from typing import Any

import pytest

from tests.resources.documents import GATEWAY_API, document, findings, gateway, listener

TLS = {"certificateRefs": [{"name": "cert"}]}


def test_gateways_with_tls_are_right():
    """HTTP, HTTPS and TLS listeners side by side."""
    https = listener(name="https", port=443, protocol="HTTPS", tls=TLS, hostname="*.example.com")
    passed = listener(name="tls", port=8443, protocol="TLS", tls={"mode": "Passthrough"})

    assert findings(gateway(listener(), https, passed)) == []


@pytest.mark.parametrize(
    ("listeners", "path", "problem"),
    [
        (
            [listener(tls=TLS)],
            "spec.listeners[0].tls",
            "tls must not be specified for protocols ['HTTP', 'TCP', 'UDP']",
        ),
        (
            [listener(protocol="HTTPS", tls={"mode": "Passthrough"})],
            "spec.listeners[0].tls.mode",
            "tls mode must be Terminate for protocol HTTPS",
        ),
        ([listener(protocol="TLS")], "spec.listeners[0].tls.mode", "tls mode must be set for protocol TLS"),
        (
            [listener(protocol="TCP", hostname="a.b")],
            "spec.listeners[0].hostname",
            "hostname must not be specified for protocols ['TCP', 'UDP']",
        ),
        (
            [listener(), listener(port=81)],
            "spec.listeners[1].name",
            "Listener name must be unique within the Gateway",
        ),
        (
            [listener(), listener(name="again")],
            "spec.listeners[1]",
            "Combination of port, protocol and hostname must be unique for each listener",
        ),
        (
            [listener(protocol="HTTPS", tls={})],
            "spec.listeners[0].tls",
            "certificateRefs or options must be specified when mode is Terminate",
        ),
        ([], "spec.listeners", "Invalid value: should have at least 1 item"),
        (
            [listener(port=0)],
            "spec.listeners[0].port",
            "Invalid value: 0: should be greater than or equal to 1",
        ),
        (
            [listener(hostname="Example.com")],
            "spec.listeners[0].hostname",
            'Invalid value: "Example.com": '
            "a hostname is a lowercase DNS name, with '*.' in front for all its subdomains",
        ),
    ],
)
def test_rules_of_listeners(listeners: list[Any], path: str, problem: str):
    """Each rule of the CRD is told at its field, in its words."""
    assert findings(gateway(*listeners)) == [(path, problem)]


def test_rules_of_the_rest_of_a_gateway():
    """Addresses fit their type and are unique, keys of labels are keys, required fields are required."""
    assert findings(document(GATEWAY_API, "Gateway", {"listeners": [listener()]})) == [
        ("spec.gatewayClassName", "Required value")
    ]
    assert findings(gateway(listener(), addresses=[{"value": "10.0.0.300"}])) == [
        ("spec.addresses[0].value", "must be a valid IPv4 or IPv6 address")
    ]
    twice = [{"value": "10.0.0.1"}, {"value": "10.0.0.1"}]
    assert findings(gateway(listener(), addresses=twice)) == [
        ("spec.addresses[1].value", "IPAddress values must be unique")
    ]
    (found,) = findings(gateway(listener(), infrastructure={"labels": {"a b": "c"}}))
    assert found[1].startswith("Label keys must be in the form of an optional DNS subdomain prefix")


def test_gateway_classes_and_grants():
    """Controllers are domain/path; grants say from whom and to what."""
    assert findings(document(GATEWAY_API, "GatewayClass", {"controllerName": "plait.dev/gateway"})) == []
    assert findings(document(GATEWAY_API, "GatewayClass", {"controllerName": "plait"})) == [
        (
            "spec.controllerName",
            "Invalid value: \"plait\": a controller name is a domain, '/' and a path, like plait.dev/gateway",
        )
    ]
    origin = {"group": GATEWAY_API.split("/", maxsplit=1)[0], "kind": "HTTPRoute", "namespace": "shop"}
    grant = {"from": [origin], "to": [{"group": "", "kind": "Service"}]}
    assert findings(document("gateway.networking.k8s.io/v1beta1", "ReferenceGrant", grant)) == []
    assert findings(document(GATEWAY_API, "ReferenceGrant", {"from": [], "to": [{"group": ""}]})) == [
        ("spec.from", "Invalid value: should have at least 1 item"),
        ("spec.to[0].kind", "Required value"),
    ]
