"""What Istio accepts of a Sidecar, and what it refuses in which words."""

from typing import Any

import pytest

from plait.resources.registry import find
from tests.resources.documents import NETWORKING, Document, document, findings

HTTP = {"number": 9080, "protocol": "HTTP", "name": "http"}
UNIQUE = "sidecar: ports on IP bound listeners must be unique"
LAST = "sidecar: the egress listener with empty port should be the last listener in the list"


def sidecar(**spec: Any) -> Document:
    """A Sidecar."""
    return document(NETWORKING, "Sidecar", spec)


def egress(*hosts: str, **fields: Any) -> Document:
    """A Sidecar with one egress listener."""
    return sidecar(egress=[{"hosts": list(hosts), **fields}])


def ingress(**fields: Any) -> Document:
    """A Sidecar with one ingress listener at port 9080."""
    return sidecar(ingress=[{"port": HTTP, **fields}])


def test_it_acts():
    """Sidecar is a kind in force: it has no note that says otherwise."""
    kind = find("sidecars")
    assert kind is not None
    assert kind.effective
    assert kind.note == ""


@pytest.mark.parametrize(
    "made",
    [
        egress("prod-us1/*", "prod-apis/*", "istio-system/*"),
        egress("./*", "*/*", "~/*", "*/reviews.shop.svc.cluster.local", "prod/*.a.b", "~prod/secret.a.b", "~./a.b"),
        sidecar(egress=[{"port": HTTP, "hosts": ["prod-us1/*"]}, {"hosts": ["istio-system/*"]}]),
        egress("./*", port={"number": 0, "protocol": "HTTP"}, bind="unix:///var/run/someuds.sock", captureMode="NONE"),
        egress("./*", port=HTTP, bind="127.0.0.1"),
        sidecar(outboundTrafficPolicy={}),
        sidecar(inboundConnectionPool={"tcp": {"maxConnections": 3}}),
        sidecar(
            outboundTrafficPolicy={
                "mode": "ALLOW_ANY",
                "egressProxy": {"host": "out.istio-system.svc.cluster.local", "port": {"number": 80}},
            }
        ),
        ingress(),
        ingress(defaultEndpoint="127.0.0.1:8080", bind="0.0.0.0"),
        ingress(defaultEndpoint="[::1]:8080", captureMode="IPTABLES"),
        ingress(defaultEndpoint="unix:///var/run/someuds.sock"),
        ingress(defaultEndpoint="unix://@abstract"),
        ingress(port={"number": 443, "protocol": "HTTPS"}, tls={"mode": "SIMPLE", "serverCertificate": "/a"}),
        sidecar(workloadSelector={"labels": {"app": "a"}}, egress=[{"hosts": ["./*"]}]),
        sidecar(workloadSelector={}, egress=[{"hosts": ["./*"]}]),
    ],
)
def test_right(made: Document):
    """What Istio's documentation shows and its validation accepts is accepted."""
    assert findings(made) == []


@pytest.mark.parametrize(
    ("made", "path", "problem"),
    [
        (sidecar(), "spec", "sidecar: empty configuration provided"),
        (sidecar(workloadSelector={"labels": {"a": "b"}}), "spec", "sidecar: empty configuration provided"),
        (sidecar(egress=[{"hosts": []}]), "spec.egress[0].hosts", "Invalid value: should have at least 1 item"),
        (
            egress("reviews"),
            "spec.egress[0].hosts[0]",
            'Invalid value: "reviews": host must be of form namespace/dnsName',
        ),
        (
            egress("./reviews"),
            "spec.egress[0].hosts[0]",
            'Invalid value: "./reviews": short names (non FQDN) are not allowed',
        ),
        (
            egress("/*"),
            "spec.egress[0].hosts[0]",
            'Invalid value: "/*": config namespace and dnsName in host entry cannot be empty',
        ),
        (
            egress("a_b/*"),
            "spec.egress[0].hosts[0]",
            'Invalid value: "a_b/*": invalid namespace value "a_b" in sidecar',
        ),
        (
            egress("./rev*.a"),
            "spec.egress[0].hosts[0]",
            'Invalid value: "./rev*.a": partial wildcard "rev*.a" not allowed',
        ),
        (
            egress("./10.0.0.1"),
            "spec.egress[0].hosts[0]",
            'Invalid value: "./10.0.0.1": domain name "10.0.0.1" invalid',
        ),
        (sidecar(egress=[{"hosts": ["./*"]}, {"port": HTTP, "hosts": ["./*"]}]), "spec.egress[0]", LAST),
        (sidecar(egress=[{"port": HTTP, "hosts": ["./*"]}] * 2), "spec.egress[1].port", UNIQUE),
        (sidecar(ingress=[{"port": HTTP}] * 2), "spec.ingress[1].port.number", UNIQUE),
        (
            egress("./*", port={"number": 0}),
            "spec.egress[0].port.number",
            "sidecar: ports with 0 value must have a unix domain socket bind address",
        ),
        (
            egress("./*", port={"number": 0}, bind="unix://a"),
            "spec.egress[0].bind",
            "a is not an absolute path to a file",
        ),
        (egress("./*", port=HTTP, bind="localhost"), "spec.egress[0].bind", "localhost is not a valid IP"),
        (egress("./*", port={"number": 1, "protocol": "X"}), "spec.egress[0].port.protocol", "unsupported protocol: X"),
        (
            egress("./*", port={"number": 1, "targetPort": 2}),
            "spec.egress[0].port.targetPort",
            "targetPort has no impact on Sidecars",
        ),
        (ingress(port={}), "spec.ingress[0].port.number", "port number 0 must be in the range 1..65535"),
        (
            ingress(defaultEndpoint="10.0.0.1:80"),
            "spec.ingress[0].defaultEndpoint",
            "sidecar: defaultEndpoint must be of form 127.0.0.1:<port>,0.0.0.0:<port>,[::1]:port,[::]:port,"
            "unix://filepath or unset",
        ),
        (
            ingress(defaultEndpoint="127.0.0.1:http"),
            "spec.ingress[0].defaultEndpoint",
            "sidecar: defaultEndpoint port (http) is not a number from 1 to 65535",
        ),
        (
            ingress(tls={"mode": "SIMPLE"}),
            "spec.ingress[0].tls",
            "server cannot have TLS settings for non HTTPS/TLS ports",
        ),
        (
            ingress(port={"number": 1, "protocol": "TLS"}, tls={"mode": "ISTIO_MUTUAL"}),
            "spec.ingress[0].tls.mode",
            "configuration is invalid: cannot set mode to ISTIO_MUTUAL in sidecar ingress tls",
        ),
        (
            sidecar(outboundTrafficPolicy={"egressProxy": {"host": "a.b", "port": {"number": 1}}}),
            "spec.outboundTrafficPolicy.egressProxy",
            "sidecar: egress_proxy must be set only with ALLOW_ANY outbound_traffic_policy mode",
        ),
        (
            sidecar(outboundTrafficPolicy={"mode": "ALLOW_ANY", "egressProxy": {"host": "a.b"}}),
            "spec.outboundTrafficPolicy.egressProxy.port",
            "sidecar: egress_proxy port must be non-nil",
        ),
    ],
)
def test_wrong(made: Document, path: str, problem: str):
    """What Istio refuses is refused at its field, in Istio's words."""
    assert findings(made) == [(path, problem)]
