"""Kinds that are checked and stored already, but do not act yet."""

from typing import Any

import pytest

from plait.resources.later_kinds import LATER_KINDS
from tests.resources.documents import GATEWAY_API, NETWORKING, SECURITY, document, findings, resource

BACKEND = {"name": "reviews-v1", "port": 9080}
PARENT = {"group": "", "kind": "Service", "name": "reviews"}
TELEMETRY = "telemetry.istio.io/v1"


def grpc_route(**rule: Any) -> dict[str, Any]:
    """A GRPCRoute with one rule."""
    return document(GATEWAY_API, "GRPCRoute", {"parentRefs": [PARENT], "rules": [rule]})


def virtual_service(**http: Any) -> dict[str, Any]:
    """A VirtualService with one HTTP rule."""
    rule = {"route": [{"destination": {"host": "reviews"}}], **http}
    return document(NETWORKING, "VirtualService", {"hosts": ["reviews"], "http": [rule]})


def destination_rule(**policy: Any) -> dict[str, Any]:
    """A DestinationRule with a traffic policy."""
    return document(NETWORKING, "DestinationRule", {"host": "reviews", "trafficPolicy": policy})


def jwt(**rule: Any) -> dict[str, Any]:
    """A RequestAuthentication with one issuer."""
    return document(SECURITY, "RequestAuthentication", {"jwtRules": [{"issuer": "https://a.b", **rule}]})


def backend_tls(**validation: Any) -> dict[str, Any]:
    """A BackendTLSPolicy for one Service."""
    target = {"group": "", "kind": "Service", "name": "x"}
    spec = {"targetRefs": [target], "validation": {"hostname": "a.b", **validation}}
    return document(GATEWAY_API, "BackendTLSPolicy", spec)


def test_they_say_that_they_do_not_act():
    """Every one has a model, does not count as effective, and has a note for whoever applies one."""
    for kind in LATER_KINDS:
        assert kind.model is not None
        assert not kind.effective
        assert "do not act yet" in kind.note
    assert "do not act yet" in resource(jwt()).kind.note


RIGHT: list[dict[str, Any]] = [
    grpc_route(matches=[{"method": {"service": "a.B", "method": "Get"}}], backendRefs=[BACKEND]),
    grpc_route(matches=[{"method": {"type": "RegularExpression", "service": "a.*"}}]),
    document(GATEWAY_API, "TLSRoute", {"hostnames": ["a.b"], "rules": [{"backendRefs": [BACKEND]}]}),
    document("gateway.networking.k8s.io/v1alpha2", "TCPRoute", {"rules": [{"backendRefs": [BACKEND]}]}),
    backend_tls(wellKnownCACertificates="System"),
    backend_tls(
        caCertificateRefs=[{"group": "", "kind": "ConfigMap", "name": "ca"}],
        subjectAltNames=[{"type": "URI", "uri": "spiffe://a/b"}],
    ),
    virtual_service(
        match=[{"uri": {"prefix": "/v1"}, "headers": {"end-user": {"exact": "jason"}, "x": {}}, "port": 80}],
        route=[
            {"destination": {"host": "reviews", "subset": "v2", "port": {"number": 80}}, "weight": 25},
            {
                "destination": {"host": "reviews", "subset": "v1"},
                "weight": 75,
                "headers": {"response": {"remove": ["a"]}},
            },
        ],
        timeout="1.5s",
        retries={"attempts": 3, "perTryTimeout": "2s", "retryOn": "gateway-error,connect-failure,503"},
        fault={"delay": {"fixedDelay": "5s", "percentage": {"value": 0.1}}, "abort": {"httpStatus": 400}},
        mirror={"host": "shadow"},
        mirrorPercentage={"value": 100},
        rewrite={"uriRegexRewrite": {"match": "^/a/(.*)", "rewrite": "/\\1"}},
        corsPolicy={"allowOrigins": [{"exact": "https://a.b"}], "maxAge": "24h"},
    ),
    virtual_service(route=[], redirect={"uri": "/x", "authority": "y", "redirectCode": 302}),
    virtual_service(route=[], directResponse={"status": 503, "body": {"string": "no"}}),
    document(
        NETWORKING,
        "VirtualService",
        {
            "hosts": ["a.b"],
            "tls": [{"match": [{"sniHosts": ["a.b"], "port": 443}], "route": [{"destination": {"host": "a.b"}}]}],
            "tcp": [{"match": [{"port": 27017}], "route": [{"destination": {"host": "mongo"}}]}],
        },
    ),
    destination_rule(
        loadBalancer={"consistentHash": {"httpCookie": {"name": "user", "ttl": "0s"}}},
        connectionPool={"tcp": {"maxConnections": 100, "connectTimeout": "30ms"}, "http": {"http2MaxRequests": 9}},
        outlierDetection={"consecutive5xxErrors": 7, "interval": "5m", "maxEjectionPercent": 100},
        tls={"mode": "MUTUAL", "clientCertificate": "/a", "privateKey": "/b"},
        portLevelSettings=[{"port": {"number": 80}, "loadBalancer": {"simple": "LEAST_REQUEST"}}],
    ),
    destination_rule(
        loadBalancer={"localityLbSetting": {"distribute": [{"from": "a/*", "to": {"a/*": 80, "b/*": 20}}]}}
    ),
    document(NETWORKING, "DestinationRule", {"host": "a", "subsets": [{"name": "v1", "labels": {"version": "v1"}}]}),
    jwt(jwksUri="https://a.b/keys", fromHeaders=[{"name": "x", "prefix": "Bearer "}], timeout="3s"),
    jwt(jwks='{"keys": []}', outputClaimToHeaders=[{"header": "x-sub", "claim": "sub"}]),
    document(
        TELEMETRY,
        "Telemetry",
        {
            "tracing": [{"randomSamplingPercentage": 10, "customTags": {"a": {"literal": {"value": "b"}}}}],
            "metrics": [
                {"overrides": [{"match": {"metric": "REQUEST_COUNT"}, "tagOverrides": {"x": {"operation": "REMOVE"}}}]}
            ],
            "accessLogging": [{"providers": [{"name": "envoy"}], "filter": {"expression": "response.code >= 400"}}],
        },
    ),
]


@pytest.mark.parametrize("made", RIGHT, ids=lambda made: made["kind"])
def test_right_objects(made: dict[str, Any]):
    """Objects as the standards' documentation shows them are accepted."""
    assert findings(made) == []


@pytest.mark.parametrize("value", [-1, 2**31, 2**63])
def test_limits_are_numbers_that_envoy_can_take(value: int):
    """A limit of connections or requests that is negative, or more than the standard's int32, is refused."""
    found = findings(destination_rule(connectionPool={"http": {"http2MaxRequests": value}}))
    assert [path for path, _ in found] == ["spec.trafficPolicy.connectionPool.http.http2MaxRequests"]


RULE = "spec.http[0]"
WRONG: list[tuple[dict[str, Any], str, str]] = [
    (
        grpc_route(matches=[{"method": {}}]),
        "spec.rules[0].matches[0].method",
        "One or both of 'service' or 'method' must be specified",
    ),
    (
        grpc_route(matches=[{"method": {"method": "a.b"}}]),
        "spec.rules[0].matches[0].method.method",
        "method must only contain valid characters (matching ^[A-Za-z_][A-Za-z_0-9]*$)",
    ),
    (
        document(GATEWAY_API, "TLSRoute", {"hostnames": ["10.0.0.1"], "rules": [{"backendRefs": [BACKEND]}]}),
        "spec.hostnames[0]",
        "Hostnames cannot contain an IP",
    ),
    (
        document(GATEWAY_API, "TCPRoute", {"rules": [{"backendRefs": []}]}),
        "spec.rules[0].backendRefs",
        "Invalid value: should have at least 1 item",
    ),
    (backend_tls(), "spec.validation", "must specify either CACertificateRefs or WellKnownCACertificates"),
    (
        virtual_service(redirect={"uri": "/"}),
        f"{RULE}.redirect",
        "HTTP route cannot contain both route and redirect",
    ),
    (virtual_service(route=[]), RULE, "HTTP route, redirect or direct_response is required"),
    (
        virtual_service(match=[{"uri": {"exact": "/", "prefix": "/"}}]),
        f"{RULE}.match[0].uri.prefix",
        "only one of exact, prefix, regex can be set",
    ),
    (
        virtual_service(match=[{"uri": {"regex": "a(?=b)"}}]),
        f"{RULE}.match[0].uri.regex",
        "Invalid value: 'a(?=b)': must be a regular expression (RE2): (?= is lookahead, which RE2 does not have",
    ),
    (
        virtual_service(timeout="soon"),
        f"{RULE}.timeout",
        'Invalid value: "soon": must be a valid duration greater than 1ms, such as 5s or 250ms',
    ),
    (
        virtual_service(retries={"attempts": 1, "retryOn": "5xx,gateway-eror"}),
        f"{RULE}.retries.retryOn",
        'Invalid value: "gateway-eror": unknown retry condition; did you mean "gateway-error"?',
    ),
    (
        virtual_service(route=[{"destination": {"host": "a"}}, {"destination": {"host": "b"}}]),
        f"{RULE}.route",
        "total destination weight = 0",
    ),
    (
        document(NETWORKING, "VirtualService", {"hosts": ["a"]}),
        "spec",
        "http, tcp or tls must be provided in virtual service",
    ),
    (
        destination_rule(loadBalancer={"simple": "RANDOM", "consistentHash": {"useSourceIp": True}}),
        "spec.trafficPolicy.loadBalancer.consistentHash",
        "only one of simple, consistentHash can be set",
    ),
    (
        destination_rule(loadBalancer={"localityLbSetting": {"distribute": [{"from": "a", "to": {"a": 80}}]}}),
        "spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to",
        "total locality weight must be 100",
    ),
    (
        destination_rule(tls={"mode": "MUTUAL", "privateKey": "/b"}),
        "spec.trafficPolicy.tls.clientCertificate",
        "Required value for mode MUTUAL",
    ),
    (
        document(NETWORKING, "DestinationRule", {"host": "a", "subsets": [{"name": "v1"}, {"name": "v1"}]}),
        "spec.subsets[1].name",
        'Duplicate value: "v1"',
    ),
    (
        jwt(jwksUri="ftp://a", jwks='{"keys": []}'),
        "spec.jwtRules[0].jwks",
        "only one of jwksUri, jwks_uri, jwks can be set",
    ),
    (jwt(jwks="{"), "spec.jwtRules[0].jwks", "must be a JSON Web Key Set"),
    (
        document(TELEMETRY, "Telemetry", {"tracing": [{"randomSamplingPercentage": 101}]}),
        "spec.tracing[0].randomSamplingPercentage",
        "Invalid value: 101: should be less than or equal to 100",
    ),
]


@pytest.mark.parametrize(("made", "path", "problem"), WRONG)
def test_wrong_objects(made: dict[str, Any], path: str, problem: str):
    """Rules of the CRDs and of Istio's own validation are told at their field."""
    assert findings(made)[0] == (path, problem)
