"""HTTPRoute: the rules of its CRD, in the CRD's words."""

from typing import Any

import pytest

from plait.resources.gateway_api.http_route import HTTPRouteSpec
from tests.resources.documents import findings, http_route, resource, route_rule, violations

BACKEND = {"name": "reviews-v1", "port": 9080}


def test_defaults_are_those_of_the_crd():
    """A route without rules matches every path; ports, weights and types have their defaults."""
    spec = resource(http_route()).spec
    assert isinstance(spec, HTTPRouteSpec)
    assert [(match.path.type, match.path.value) for match in spec.rules[0].matches] == [("PathPrefix", "/")]

    spec = resource(route_rule(backendRefs=[BACKEND])).spec
    backend = spec.rules[0].backend_refs[0]
    assert (backend.group, backend.kind, backend.weight, backend.namespace) == ("", "Service", 1, None)


def test_everything_at_once_is_right():
    """A route that uses every field is accepted."""
    headers = {"set": [{"name": "A", "value": "1"}], "add": [{"name": "B", "value": "2 3"}], "remove": ["C"]}
    filters = [
        {"type": "RequestHeaderModifier", "requestHeaderModifier": headers},
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": headers},
        {"type": "RequestMirror", "requestMirror": {"backendRef": BACKEND, "percent": 10}},
        {"type": "RequestMirror", "requestMirror": {"backendRef": BACKEND, "fraction": {"numerator": 1}}},
        {
            "type": "URLRewrite",
            "urlRewrite": {"hostname": "x", "path": {"type": "ReplaceFullPath", "replaceFullPath": "/"}},
        },
        {"type": "CORS", "cors": {"allowOrigins": ["https://*.example.com"], "allowMethods": ["GET"], "maxAge": 9}},
        {"type": "ExternalAuth", "externalAuth": {"protocol": "GRPC", "backendRef": BACKEND, "grpc": {}}},
        {"type": "ExtensionRef", "extensionRef": {"group": "example.com", "kind": "Thing", "name": "x"}},
    ]
    match = {
        "path": {"type": "RegularExpression", "value": "/v[0-9]+/.*"},
        "headers": [{"name": "X", "type": "RegularExpression", "value": "a|b"}],
        "queryParams": [{"name": "q", "value": "1"}],
        "method": "GET",
    }
    rule = {
        "name": "all",
        "matches": [match],
        "filters": filters,
        "backendRefs": [{**BACKEND, "weight": 0, "filters": filters[:1]}],
        "timeouts": {"request": "1h2m3s4ms", "backendRequest": "500ms"},
        "retry": {"codes": [500, 503], "attempts": 3, "backoff": "100ms"},
        "sessionPersistence": {"type": "Cookie", "cookie": {"lifetimeType": "Permanent"}, "absoluteTimeout": "1h"},
    }

    assert findings(http_route(rules=[rule], hostnames=["*.example.com"], useDefaultGateways="None")) == []


PREFIXES = "['Exact', 'PathPrefix']"


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ({"value": "v1"}, f"value must be an absolute path and start with '/' when type one of {PREFIXES}"),
        ({"value": "/a//b"}, f"must not contain '//' when type one of {PREFIXES}"),
        ({"type": "Exact", "value": "/a/./b"}, f"must not contain '/./' when type one of {PREFIXES}"),
        ({"value": "/a/../b"}, f"must not contain '/../' when type one of {PREFIXES}"),
        ({"value": "/a%2Fb"}, f"must not contain '%2F' when type one of {PREFIXES}"),
        ({"value": "/a#b"}, f"must not contain '#' when type one of {PREFIXES}"),
        ({"value": "/a/.."}, f"must not end with '/..' when type one of {PREFIXES}"),
        ({"value": "/a/."}, f"must not end with '/.' when type one of {PREFIXES}"),
    ],
)
def test_paths_are_plain(path: dict[str, Any], problem: str):
    """Exact and prefix paths are absolute and have no parts that proxies change."""
    assert findings(route_rule(matches=[{"path": path}])) == [("spec.rules[0].matches[0].path.value", problem)]


@pytest.mark.parametrize("value", ["/a b", "/ä", "/a?b", "/a\n", "/%zz"])
def test_paths_have_only_the_characters_of_paths(value: str):
    """Characters that paths cannot have are refused."""
    (found,) = findings(route_rule(matches=[{"path": {"value": value}}]))

    assert found[1].startswith("must only contain valid characters (matching ^(?:[-A-Za-z0-9/")


RULES: list[tuple[dict[str, Any], str, str]] = [
    (
        {"backendRefs": [{"name": "a"}]},
        "backendRefs[0].port",
        "Must have port for Service reference",
    ),
    (
        {"filters": [{"type": "RequestRedirect", "requestRedirect": {}}], "backendRefs": [BACKEND]},
        "",
        "RequestRedirect filter must not be used together with backendRefs",
    ),
    (
        {"filters": [{"type": "URLRewrite"}]},
        "filters[0].urlRewrite",
        "filter.urlRewrite must be specified for URLRewrite filter.type",
    ),
    (
        {"filters": [{"type": "RequestMirror", "requestMirror": {"backendRef": BACKEND}, "cors": {}}]},
        "filters[0].cors",
        "filter.cors must be nil if the filter.type is not CORS",
    ),
    (
        {"filters": [{"type": "CORS", "cors": {}}, {"type": "CORS", "cors": {}}]},
        "filters",
        "CORS filter cannot be repeated",
    ),
    (
        {"timeouts": {"request": "1s", "backendRequest": "2s"}},
        "timeouts.backendRequest",
        "backendRequest timeout cannot be longer than request timeout",
    ),
    (
        {"sessionPersistence": {"type": "Header"}},
        "sessionPersistence.header",
        "header must be specified for Header type",
    ),
    (
        {
            "filters": [
                {
                    "type": "RequestMirror",
                    "requestMirror": {"backendRef": BACKEND, "fraction": {"numerator": 9, "denominator": 8}},
                }
            ]
        },
        "filters[0].requestMirror.fraction",
        "numerator must be less than or equal to denominator",
    ),
    (
        {"filters": [{"type": "CORS", "cors": {"allowOrigins": ["*", "https://a.b"]}}]},
        "filters[0].cors.allowOrigins",
        "AllowOrigins cannot contain '*' alongside other origins",
    ),
    (
        {"matches": [{"headers": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]}]},
        "matches[0].headers[1]",
        'Duplicate value: "a"',
    ),
    (
        {"retry": {"codes": [399]}},
        "retry.codes[0]",
        "Invalid value: 399: should be greater than or equal to 400",
    ),
    (
        {"matches": [{"method": "get"}]},
        "matches[0].method",
        'Unsupported value: "get": supported values: "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", '
        '"TRACE", "PATCH"',
    ),
    (
        {"timeouts": {"request": "1.5s"}},
        "timeouts.request",
        'Invalid value: "1.5s": '
        "a duration (GEP-2257) is one to four whole numbers with units h, m, s or ms, like 1m30s",
    ),
    (
        {"matches": [{"headers": [{"name": "a b", "value": "1"}]}]},
        "matches[0].headers[0].name",
        'Invalid value: "a b": a name consists of letters, digits and !#$%&\'*+-.^_`|~',
    ),
    (
        {"matches": [{"path": {"type": "RegularExpression", "value": "/a(?=b)"}}]},
        "matches[0].path.value",
        "Invalid value: '/a(?=b)': must be a regular expression (RE2): (?= is lookahead, which RE2 does not have",
    ),
]


@pytest.mark.parametrize(("rule", "path", "problem"), RULES)
def test_rules_of_the_crd(rule: dict[str, Any], path: str, problem: str):
    """Each rule of the CRD is told at its field, in its words."""
    assert findings(route_rule(**rule)) == [(f"spec.rules[0].{path}".rstrip("."), problem)]


@pytest.mark.parametrize("kind", ["requestRedirect", "urlRewrite"])
def test_replacing_a_prefix_needs_one_prefix(kind: str):
    """ReplacePrefixMatch is for rules with exactly one PathPrefix match."""
    name = {"requestRedirect": "RequestRedirect", "urlRewrite": "URLRewrite"}[kind]
    path = {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/x"}
    exact = {"path": {"type": "Exact", "value": "/a"}}
    rule = {"matches": [exact], "filters": [{"type": name, kind: {"path": path}}]}
    problem = f"When using {name} filter with path.replacePrefixMatch, exactly one PathPrefix match must be specified"

    assert findings(route_rule(**rule)) == [("spec.rules[0]", problem)]
    assert findings(route_rule(**{**rule, "matches": [{"path": {"value": "/a"}}]})) == []
    assert findings(route_rule(**{**rule, "matches": []})) == [("spec.rules[0]", problem)]


def test_parents_are_told_apart():
    """Two references to one parent need distinct sections or ports."""
    parent = {"group": "", "kind": "Service", "name": "reviews"}

    assert findings(http_route(parentRefs=[{**parent, "port": 80}, {**parent, "port": 81}])) == []
    assert {problem for _, problem in findings(http_route(parentRefs=[parent, parent]))} == {
        "sectionName or port must be unique when parentRefs includes 2 or more references to the same parent"
    }
    assert {problem for _, problem in findings(http_route(parentRefs=[parent, {**parent, "port": 81}]))} == {
        "sectionName or port must be specified when parentRefs includes 2 or more references to the same parent"
    }


def test_the_number_of_matches_and_rules_is_bounded():
    """16 rules, 64 matches a rule, 128 matches in all; names of rules are unique."""
    full = [{"matches": [{"path": {"value": f"/{index}"}} for index in range(64)]} for _ in range(3)]
    assert [path for path, _ in findings(http_route(rules=full))] == ["spec.rules"]
    assert findings(http_route(rules=[{} for _ in range(17)])) == [
        ("spec.rules", "Too many: 17: must have at most 16 items")
    ]
    assert findings(http_route(rules=[])) == [("spec.rules", "Invalid value: should have at least 1 item")]
    assert findings(http_route(rules=[{"name": "a"}, {"name": "a"}])) == [
        ("spec.rules[1].name", "Rule name must be unique within the route")
    ]


def test_unknown_fields_propose_the_nearest():
    """An unknown field names the field that was probably meant, at every depth."""
    made = http_route(rulez=[], rules=[{"backendRefs": [{**BACKEND, "weights": 1}], "timeout": "1s"}])
    made["metadata"]["label"] = {}

    told = {violation.path: violation.remedy for violation in violations(made)}

    assert told == {
        "metadata.label": 'did you mean "labels"?',
        "spec.rulez": 'did you mean "rules"?',
        "spec.rules[0].timeout": 'did you mean "timeouts"?',
        "spec.rules[0].backendRefs[0].weights": 'did you mean "weight"?',
    }
