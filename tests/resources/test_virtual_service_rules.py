"""VirtualServices that Istio refuses, or that Envoy would: all is said before anything is sent."""

from typing import Any

import pytest

from tests.resources.documents import NETWORKING, Document, document, resource, violations

ROUTE = [{"destination": {"host": "reviews"}}]


def http(**rule: Any) -> Document:
    """A VirtualService with one HTTP rule."""
    return document(NETWORKING, "VirtualService", {"hosts": ["reviews"], "http": [{"route": ROUTE, **rule}]})


def whole(**spec: Any) -> Document:
    """A VirtualService with whatever is given."""
    return document(NETWORKING, "VirtualService", {"hosts": ["reviews"], **spec})


def tls(*sni_hosts: str, **match: Any) -> Document:
    """A VirtualService with one rule for TLS."""
    return whole(hosts=["*.example"], tls=[{"match": [{"sniHosts": list(sni_hosts), **match}], "route": ROUTE}])


def rewritten(match: str, rewrite: str) -> Document:
    """A VirtualService with a rewrite by expression."""
    return http(rewrite={"uriRegexRewrite": {"match": match, "rewrite": rewrite}})


WRONG: list[tuple[Document, str, str]] = [
    (http(match=[{}]), "spec.http[0].match[0]", "can not be empty"),
    (http(match=[{"name": "x"}]), "spec.http[0].match[0]", "can not be empty"),
    (http(match=[{"headers": {"bad name": {}}}]), "spec.http[0].match[0].headers", "a header name"),
    (http(match=[{"withoutHeaders": {"a:b": {}}}]), "spec.http[0].match[0].withoutHeaders", "a header name"),
    (http(match=[{"queryParams": {"": {}}}]), "spec.http[0].match[0].queryParams", "needs a name"),
    (http(match=[{"authority": {"regex": "("}}]), "spec.http[0].match[0].authority.regex", "RE2"),
    (http(headers={"request": {"set": {"a b": "c"}}}), "spec.http[0].headers.request.set", "a header name"),
    (http(headers={"response": {"add": {"a": "b\r\nc: d"}}}), "spec.http[0].headers.response.add.a", "line breaks"),
    (http(headers={"request": {"remove": [":path"]}}), "spec.http[0].headers.request.remove", "a header name"),
    (http(rewrite={"uri": "/a\nb"}), "spec.http[0].rewrite.uri", "line breaks"),
    (http(rewrite={"authority": "a\0b"}), "spec.http[0].rewrite.authority", "line breaks"),
    (http(route=[], redirect={"uri": "/\r"}), "spec.http[0].redirect.uri", "line breaks"),
    (http(route=[], redirect={"redirectCode": 200}), "spec.http[0].redirect.redirectCode", "300"),
    (rewritten("^/(.*)$", "/\\2"), "spec.http[0].rewrite.uriRegexRewrite.rewrite", "a group"),
    (rewritten("^/(?:a|\\(b)[(]$", "/\\1"), "spec.http[0].rewrite.uriRegexRewrite.rewrite", "a group"),
    (rewritten("^/(.*)$", "/\\x"), "spec.http[0].rewrite.uriRegexRewrite.rewrite", "a group"),
    (rewritten("", "/"), "spec.http[0].rewrite.uriRegexRewrite.match", "can not be empty"),
    (http(route=[], directResponse={"status": 700}), "spec.http[0].directResponse.status", "599"),
    (
        http(route=[], directResponse={"status": 200, "body": {"bytes": "%%"}}),
        "spec.http[0].directResponse.body.bytes",
        "must be base64",
    ),
    (
        http(route=[], directResponse={"status": 200, "body": {"string": "x" * 1_100_000}}),
        "spec.http[0].directResponse.body",
        "under 1MB",
    ),
    (http(fault={"abort": {"grpcStatus": "SAD"}}), "spec.http[0].fault.abort.grpcStatus", "unknown gRPC status"),
    (http(fault={"abort": {"httpStatus": 99}}), "spec.http[0].fault.abort.httpStatus", "200"),
    (
        http(fault={"delay": {"fixedDelay": "1s", "percentage": {"value": 101}}}),
        "spec.http[0].fault.delay.percentage.value",
        "100",
    ),
    (http(fault={"delay": {"fixedDelay": "-1s"}}), "spec.http[0].fault.delay.fixedDelay", "duration"),
    (http(timeout="1us"), "spec.http[0].timeout", "greater than 1ms"),
    (http(retries={"attempts": 1, "retryOn": "700"}), "spec.http[0].retries.retryOn", "unknown retry condition"),
    (http(retries={"attempts": 0, "retryOn": "5xx"}), "spec.http[0].retries.attempts", "attempts are set to 0"),
    (http(mirror={"host": "a"}, mirrorPercent=101), "spec.http[0].mirrorPercent", "0..100"),
    (http(delegate={"name": "x"}), "spec.http[0].delegate", "cannot contain both delegate and route"),
    (http(corsPolicy={"allowHeaders": ["a b"]}), "spec.http[0].corsPolicy.allowHeaders", "a header name"),
    (whole(hosts=["*"], http=[{"route": ROUTE}]), "spec.hosts[0]", "bound to the mesh"),
    (whole(hosts=["a b"], http=[{"route": ROUTE}]), "spec.hosts[0]", "must be a DNS name"),
    (whole(hosts=["a.*.b"], http=[{"route": ROUTE}]), "spec.hosts[0]", "must be a DNS name"),
    (tls("other.com"), "spec.tls[0].match[0].sniHosts[0]", "not a compatible subset"),
    (tls("a.example", destinationSubnets=["10.0.0.0/40"]), "spec.tls[0].match[0].destinationSubnets[0]", "CIDR range"),
    (
        whole(tcp=[{"match": [{"destinationSubnets": ["here"]}], "route": ROUTE}]),
        "spec.tcp[0].match[0].destinationSubnets[0]",
        "CIDR range",
    ),
    (
        http(route=[{"destination": {"host": "a"}, "weight": 2**32 - 1}, {"destination": {"host": "b"}, "weight": 1}]),
        "spec.http[0].route",
        "greater than 4294967295",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("made", "path", "problem"), WRONG, ids=lambda value: value if isinstance(value, str) else "")
def test_mistakes_are_told_at_their_place(made: Document, path: str, problem: str):
    """Each with the field and what is wrong with it."""
    found = [(item.path, item.problem) for item in violations(made)]

    assert any(place == path and problem in text for place, text in found), found


@pytest.mark.parametrize("match", [{}, {"name": "only"}, {"statPrefix": "x"}])
def test_trap_06_an_empty_match_is_refused(match: Document):
    """A match must say something; a rule for all requests has none."""
    assert [item.path for item in violations(http(match=[match]))] == ["spec.http[0].match[0]"]


RIGHT: list[Document] = [
    http(headers={"request": {"set": {"Host": "a.b", ":authority": "c.d"}}}),
    rewritten("^/(?P<a>[^/]+)/(b)$", "/\\2/\\1\\\\"),
    http(fault={"abort": {"grpcStatus": "UNAVAILABLE", "percentage": {"value": 0.01}}}),
    http(fault={"abort": {"grpcStatus": "14"}}),
    whole(hosts=["*"], gateways=["edge"], http=[{"route": ROUTE}]),
    whole(hosts=["10.1.2.3", "*.svc.cluster.local"], http=[{"route": ROUTE}]),
    whole(hosts=[], http=[{"route": ROUTE}]),
    whole(http=[{"delegate": {"name": "x"}, "match": [{"uri": {"prefix": "/"}}]}]),
    tls("a.example", "*.b.example", destinationSubnets=["10.0.0.1", "10.0.0.0/8", "fd00::/8"]),
]


@pytest.mark.parametrize("made", RIGHT)
def test_what_istio_takes_is_taken(made: Document):
    """The border cases on the right side."""
    assert resource(made).kind.kind == "VirtualService"
