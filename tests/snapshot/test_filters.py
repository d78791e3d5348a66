"""What the fields of a rule become: matches, filters, timeouts, retries."""

import pytest

from plait.model.traffic import (
    ClusterKey,
    HeaderChange,
    Matching,
    Mirror,
    NamedMatch,
    PathChange,
    Redirect,
    Retry,
    Rewrite,
    Rule,
    StringMatch,
)
from plait.snapshot.services import service_host
from tests.snapshot.resources_builders import (
    Document,
    backend,
    built,
    http_route,
    name_of,
    path,
    rule,
    service,
    snapshot_of,
    to_service,
)

V1 = service("v1")


def only_rule(written: Document) -> Rule:
    snapshot = snapshot_of(V1, http_route("r", [to_service("v1")], written))
    (found,) = snapshot.frontends[service_host(name_of("v1")), 80].rules
    return found


def filtered(**fields: Document) -> Document:
    """A filter by its field's name."""
    (field,) = fields
    kinds = {"urlRewrite": "URLRewrite"}
    return {"type": kinds.get(field, field[0].upper() + field[1:]), **fields}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (path("/a/b", "Exact"), StringMatch(matching=Matching.EXACT, value="/a/b")),
        (path("/a/b/"), StringMatch(matching=Matching.PREFIX, value="/a/b")),
        (path("/"), StringMatch(matching=Matching.PREFIX, value="/")),
        (path("/[0-9]+", "RegularExpression"), StringMatch(matching=Matching.REGEX, value="/[0-9]+")),
        ({}, StringMatch(matching=Matching.PREFIX, value="/")),
    ],
)
def test_path_matches(written: Document, expected: object):
    """Paths are compared as written; a prefix goes by segments, so a slash at its end says nothing."""
    assert only_rule(rule(backend("v1"), matches=[written])).match.path == expected


def test_header_and_query_matches():
    """Header names are lower case; parameter names are not touched."""
    written = {
        "method": "POST",
        "headers": [
            {"name": "X-Version", "value": "two"},
            {"type": "RegularExpression", "name": "agent", "value": "curl.*"},
        ],
        "queryParams": [{"name": "Animal", "value": "whale"}],
    }

    match = only_rule(rule(backend("v1"), matches=[written])).match

    assert match.method == StringMatch(matching=Matching.EXACT, value="POST")
    assert match.headers == (
        NamedMatch(name="x-version", match=StringMatch(matching=Matching.EXACT, value="two")),
        NamedMatch(name="agent", match=StringMatch(matching=Matching.REGEX, value="curl.*")),
    )
    assert match.query == (NamedMatch(name="Animal", match=StringMatch(matching=Matching.EXACT, value="whale")),)


def test_equivalent_header_names_count_once():
    """Of two conditions on one header, whatever its case, the first one counts."""
    written = {"headers": [{"name": "Version", "value": "one"}, {"name": "version", "value": "two"}]}

    (found,) = only_rule(rule(backend("v1"), matches=[written])).match.headers

    assert found.match.value == "one"


def test_header_changes_at_rule_and_backend():
    """Both levels keep their own changes, of requests and of answers."""
    changes = {"set": [{"name": "X-Set", "value": "a"}], "add": [{"name": "X-Add", "value": "b"}], "remove": ["X-Gone"]}
    expected = HeaderChange(set=(("X-Set", "a"),), add=(("X-Add", "b"),), remove=("X-Gone",))
    at_backend = backend(
        "v1", filters=[filtered(requestHeaderModifier=changes), filtered(responseHeaderModifier=changes)]
    )

    found = only_rule(
        rule(at_backend, filters=[filtered(requestHeaderModifier=changes), filtered(responseHeaderModifier=changes)])
    )

    assert (found.request_headers, found.response_headers) == (expected, expected)
    (destination,) = found.destinations
    assert (destination.request_headers, destination.response_headers) == (expected, expected)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"hostname": "example.org"}, Redirect(hostname="example.org")),
        ({"scheme": "https", "port": 8443, "statusCode": 301}, Redirect(scheme="https", port=8443, status=301)),
        (
            {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/new"}, "statusCode": 308},
            Redirect(path=PathChange(value="/new"), status=308),
        ),
        (
            {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new"}},
            Redirect(path=PathChange(value="/new", prefix=True)),
        ),
    ],
)
def test_redirects(written: Document, expected: object):
    """A redirect answers in place of a backend; what it leaves out stays as in the request."""
    found = only_rule(rule(filters=[filtered(requestRedirect=written)], matches=[path("/old")]))

    assert (found.redirect, found.destinations, found.status) == (expected, (), None)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"hostname": "a.example.com"}, Rewrite(hostname="a.example.com")),
        ({"path": {"type": "ReplaceFullPath", "replaceFullPath": "/one"}}, Rewrite(path=PathChange(value="/one"))),
        (
            {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": ""}},
            Rewrite(path=PathChange(value="/", prefix=True)),
        ),
    ],
)
def test_rewrites(written: Document, expected: object):
    """An empty replacement of the prefix strips it."""
    assert (
        only_rule(rule(backend("v1"), filters=[filtered(urlRewrite=written)], matches=[path("/old")])).rewrite
        == expected
    )


@pytest.mark.parametrize(
    ("share", "expected"),
    [({}, (100, 100)), ({"percent": 42}, (42, 100)), ({"fraction": {"numerator": 1, "denominator": 1000}}, (1, 1000))],
)
def test_mirrors(share: Document, expected: tuple[int, int]):
    """A copy of all requests, of a percentage, or of a fraction; several mirrors are kept."""
    mirror = filtered(requestMirror={"backendRef": {"name": "v1", "port": 80}, **share})

    found = only_rule(rule(backend("v1"), filters=[mirror, mirror]))

    cluster = ClusterKey(service=name_of("v1"), port=80)
    assert found.mirrors == (Mirror(cluster=cluster, numerator=expected[0], denominator=expected[1]),) * 2


def test_a_broken_mirror_is_dropped():
    """The rule goes on without the copy; the condition tells where the reference stands."""
    mirror = filtered(requestMirror={"backendRef": {"name": "nowhere", "port": 80}})
    builder = built(V1, http_route("r", [to_service("v1")], rule(backend("v1"), filters=[mirror])))

    (found,) = builder.snapshot.frontends[service_host(name_of("v1")), 80].rules
    condition = builder.statuses["HTTPRoute", name_of("r")].parents[0].conditions[1]

    assert (found.mirrors, len(found.destinations)) == ((), 1)
    assert (condition.reason, condition.message.partition(":")[0]) == ("BackendNotFound", "spec.rules[0].filters[0]")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({}, (None, None)),
        ({"timeouts": {"request": "1m30s", "backendRequest": "500ms"}}, (90.0, 0.5)),
        ({"timeouts": {"request": "0s"}}, (0.0, None)),
    ],
)
def test_timeouts(written: Document, expected: object):
    """Durations are GEP-2257's; 0 lifts the limit, which is not the same as saying nothing."""
    found = only_rule(rule(backend("v1"), **written))

    assert (found.timeout, found.backend_timeout) == expected


def test_retries():
    """A retry block names codes and times; without one the rule says nothing."""
    retry = {"codes": [503, 500], "attempts": 3, "backoff": "100ms"}

    assert only_rule(rule(backend("v1"))).retry is None
    assert only_rule(rule(backend("v1"), retry=retry)).retry == Retry(attempts=3, codes=(500, 503), backoff=0.1)
    assert only_rule(rule(backend("v1"), retry={})).retry == Retry()


def test_a_try_that_took_too_long_is_made_again_where_retries_are_asked_for() -> None:
    """A limit of one try and a retry block together repeat what the backend may have seen; either alone does not."""
    limit = {"backendRequest": "300ms"}
    both = only_rule(rule(backend("v1"), retry={}, timeouts=limit)).retry
    assert both is not None
    assert both.on == (*Retry().on, "reset")
    assert only_rule(rule(backend("v1"), timeouts=limit)).retry is None
    assert only_rule(rule(backend("v1"), retry={}, timeouts={"backendRequest": "0s"})).retry == Retry()
