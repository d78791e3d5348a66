"""Istio's kinds: the rules of their CRDs and of Istio's own validation."""

from typing import Any

import pytest

from tests.resources.documents import NETWORKING, SECURITY, document, findings, resource

HTTP_PORT = {"number": 80, "name": "http", "protocol": "HTTP"}


def entry(**spec: Any) -> dict[str, Any]:
    """A ServiceEntry of one host."""
    return document(NETWORKING, "ServiceEntry", {"hosts": ["api.example.com"], "ports": [HTTP_PORT], **spec})


def policy(**spec: Any) -> dict[str, Any]:
    """An AuthorizationPolicy."""
    return document(SECURITY, "AuthorizationPolicy", spec)


def source(**fields: Any) -> dict[str, Any]:
    """An AuthorizationPolicy with one source."""
    return policy(rules=[{"from": [{"source": fields}]}])


def operation(**fields: Any) -> dict[str, Any]:
    """An AuthorizationPolicy with one operation."""
    return policy(rules=[{"to": [{"operation": fields}]}])


@pytest.mark.parametrize(
    "made",
    [
        entry(resolution="DNS"),
        entry(resolution="STATIC", endpoints=[{"address": "10.0.0.1", "ports": {"http": 8080}}]),
        entry(location="MESH_INTERNAL", resolution="STATIC", workloadSelector={"labels": {"app": "x"}}),
        entry(hosts=["*.example.com"], addresses=["10.0.0.0/8"]),
        document(NETWORKING, "WorkloadEntry", {"address": "10.0.0.1", "serviceAccount": "x", "weight": 2}),
        document("networking.istio.io/v1alpha3", "WorkloadEntry", {"address": "unix:///run/x.sock"}),
        document(SECURITY, "PeerAuthentication", {"mtls": {"mode": "STRICT"}}),
        document(
            "security.istio.io/v1beta1",
            "PeerAuthentication",
            {"selector": {"matchLabels": {"app": "x"}}, "portLevelMtls": {"8080": {"mode": "DISABLE"}}},
        ),
        policy(),
        policy(action="DENY", rules=[{}]),
        policy(action="CUSTOM", provider={"name": "oauth"}, rules=[{}]),
        source(principals=["cluster.local/ns/shop/sa/frontend"], notNamespaces=["x*"], ipBlocks=["10.0.0.0/8", "::1"]),
        operation(methods=["GET"], paths=["/a*", "*b", "/{*}/x/{**}"], ports=["8080"], notHosts=["*"]),
        policy(rules=[{"when": [{"key": "request.headers[X-Y]", "values": ["a"]}]}]),
        policy(rules=[{"when": [{"key": "request.auth.claims[a][b]", "notValues": ["a"]}]}]),
    ],
)
def test_right_objects(made: dict[str, Any]):
    """Objects as Istio's documentation shows them are accepted."""
    assert findings(made) == []


@pytest.mark.parametrize(
    ("made", "path", "problem"),
    [
        (entry(hosts=["*"]), "spec.hosts[0]", "hostname cannot be wildcard"),
        (entry(hosts=["a b"]), "spec.hosts[0]", 'Invalid value: "a b": must be a DNS name'),
        (
            entry(resolution="STATIC", endpoints=[{"address": "1.2.3.4"}], workloadSelector={"labels": {"a": "b"}}),
            "spec.endpoints",
            "only one of WorkloadSelector or Endpoints can be set",
        ),
        (
            entry(resolution="DNS", addresses=["10.0.0.0/8"]),
            "spec.addresses",
            "CIDR addresses are allowed only for NONE/STATIC resolution types",
        ),
        (entry(endpoints=[{"address": "1.2.3.4"}]), "spec.endpoints", "NONE mode cannot set endpoints"),
        (
            entry(resolution="DNS_ROUND_ROBIN", endpoints=[{"address": "a"}, {"address": "b"}]),
            "spec.endpoints",
            "DNS_ROUND_ROBIN mode cannot have multiple endpoints",
        ),
        (
            entry(ports=[HTTP_PORT, {**HTTP_PORT, "name": "b"}]),
            "spec.ports[1].number",
            "port number cannot be duplicated",
        ),
        (entry(ports=[{"number": 80}]), "spec.ports[0].name", "Required value"),
        (document(NETWORKING, "WorkloadEntry", {}), "spec.address", "Address is required"),
        (
            document(NETWORKING, "WorkloadEntry", {"address": "unix://x"}),
            "spec.address",
            "UDS must be an absolute path or abstract socket",
        ),
        (
            document(NETWORKING, "WorkloadEntry", {"address": "1.2.3.4", "ports": {"a_b": 1}}),
            "spec.ports.a_b",
            "port name must be valid",
        ),
        (
            document(SECURITY, "PeerAuthentication", {"portLevelMtls": {"80": {"mode": "STRICT"}}}),
            "spec.portLevelMtls",
            "portLevelMtls requires selector",
        ),
        (
            document(
                SECURITY,
                "PeerAuthentication",
                {"selector": {"matchLabels": {"a": "b"}}, "portLevelMtls": {"http": {"mode": "STRICT"}}},
            ),
            "spec.portLevelMtls.http",
            "port must be between 1-65535",
        ),
        (
            document(SECURITY, "PeerAuthentication", {"mtls": {"mode": "strict"}}),
            "spec.mtls.mode",
            'Unsupported value: "strict": supported values: "UNSET", "DISABLE", "PERMISSIVE", "STRICT"',
        ),
        (
            policy(selector={"matchLabels": {"app": "x*"}}),
            "spec.selector.matchLabels.app",
            "wildcard not allowed in label value match",
        ),
        (policy(action="CUSTOM"), "spec.provider", "`action` is `CUSTOM`, `provider` must be set"),
        (policy(provider={"name": "x"}), "spec.provider", "`provider` must be with `CUSTOM` action"),
        (
            policy(selector={}, targetRefs=[{"kind": "Service", "name": "x"}]),
            "spec",
            "only one of targetRefs or selector can be set",
        ),
        (
            source(serviceAccounts=["a"], namespaces=["b"]),
            "spec.rules[0].from[0].source",
            "Cannot set serviceAccounts with namespaces or principals",
        ),
        (
            source(ipBlocks=["10.0.0.0/33"]),
            "spec.rules[0].from[0].source.ipBlocks[0]",
            'Invalid value: "10.0.0.0/33": must be an IP address or a range in CIDR notation',
        ),
        (
            operation(ports=["http"]),
            "spec.rules[0].to[0].operation.ports[0]",
            'Invalid value: "http": port must be between 1-65535',
        ),
        (
            operation(ports=[8080]),
            "spec.rules[0].to[0].operation.ports[0]",
            "must be of type string, not integer (8080)",
        ),
        (
            operation(paths=["/{**}/a/{*}"]),
            "spec.rules[0].to[0].operation.paths[0]",
            'Invalid value: "/{**}/a/{*}": {**} must be the last operator',
        ),
        (
            operation(paths=["/a{*}"]),
            "spec.rules[0].to[0].operation.paths[0]",
            'Invalid value: "/a{*}": {*} and {**} must stand between slashes',
        ),
        (
            policy(rules=[{"when": [{"key": "request.header[x]", "values": ["a"]}]}]),
            "spec.rules[0].when[0].key",
            'Invalid value: "request.header[x]": unknown attribute',
        ),
        (
            policy(rules=[{"when": [{"key": "source.ip"}]}]),
            "spec.rules[0].when[0]",
            "at least one of values or not_values must be set",
        ),
        (policy(rules=[{"from": [{}]}]), "spec.rules[0].from[0].source", "Required value"),
    ],
)
def test_wrong_objects(made: dict[str, Any], path: str, problem: str):
    """Each rule is told at its field, in the CRD's words."""
    assert findings(made) == [(path, problem)]


def test_no_rules_is_not_an_empty_rule():
    """`spec: {}` has no rule, `rules: [{}]` has one that matches everything."""
    assert resource(policy()).spec.rules == ()
    assert len(resource(policy(rules=[{}])).spec.rules) == 1
