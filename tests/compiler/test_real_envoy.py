"""Simulation held against a real Envoy: for a table of calls, and for random rules and policies."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plait.envoy.simulate import Call
from plait.model.traffic import (
    Destination,
    HeaderChange,
    Matching,
    PathChange,
    Redirect,
    RequestMatch,
    Rewrite,
    Rule,
    StringMatch,
)
from plait.model.view import OutboundCluster, OutboundFrontend
from tests import builders as b
from tests.compiler import loopback
from tests.compiler.strategies import BACKENDS, PATH_VALUES, WORDS, rule_lists
from tests.envoy import live

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def backends() -> Iterator[dict[str, live.App]]:
    """Three apps that answer with what they saw."""
    with live.apps(*BACKENDS) as started:
        yield started


def _clusters() -> list[OutboundCluster]:
    return [b.cluster(name, secure=False) for name in BACKENDS]


def _cluster_apps() -> dict[str, str]:
    return {f"{b.host(name)}:80": name for name in BACKENDS}


_MANY = tuple(b.rule(f"filler-{number}", b.path(f"/filler/{number}"), blue=1) for number in range(120))


def _among_many(found: tuple[tuple[Rule, ...], bool]) -> tuple[tuple[Rule, ...], bool]:
    """The rules amid so many others that they become a tree."""
    rules, closed = found
    return (*_MANY[:60], *rules, *_MANY[60:]), closed


def _frontends(port: int, rule_lists: list[tuple[tuple[Rule, ...], bool]]) -> list[OutboundFrontend]:
    return [
        replace(
            b.frontend(f"s{index}", port, *rules, address=f"127.240.0.{index + 1}", closed=closed),
            default=b.key("red"),
        )
        for index, (rules, closed) in enumerate(rule_lists)
    ]


def _differences(
    backends: dict[str, live.App], rule_lists: list[tuple[tuple[Rule, ...], bool]], calls: list[Call]
) -> list[str]:
    """Runs an Envoy with a frontend per rule list, makes every call to each, and tells what differs."""
    port = live.free_port()
    view = b.view("client", *_frontends(port, rule_lists), *_clusters())
    endpoints = {name: b.endpoint("127.0.0.1", app.port) for name, app in backends.items()}
    resources = loopback.client(replace(view, outbound_port=port), endpoints)
    different: list[str] = []
    with live.running(resources):
        for index in range(len(rule_lists)):
            for call in calls:
                made = replace(call, address=f"127.240.0.{index + 1}", port=port)
                _, _, problem = loopback.agrees(resources, made, _cluster_apps())
                if problem:
                    different.append(
                        f"list {index}: {call.method} {call.authority}{call.path} {call.headers}: {problem}"
                    )
    return different


TABLE = [
    b.rule("exact", b.path("/exact", Matching.EXACT), red=1),
    b.rule("segments", b.path("/v2"), green=1),
    b.rule("trailing", b.path("/trail/"), green=1),
    b.rule("string-prefix", b.path("/raw", Matching.STRING_PREFIX), blue=1),
    b.rule("regex", b.path("/r/[0-9]+(/.*)?", Matching.REGEX), blue=1),
    b.rule("method", RequestMatch(method=StringMatch(matching=Matching.EXACT, value="POST")), green=1),
    b.rule("header", RequestMatch(headers=(b.header("x-canary", "yes"),)), green=1),
    b.rule("header-regex", RequestMatch(headers=(b.header("x-user", "a.*", Matching.REGEX),)), blue=1),
    b.rule("header-present", RequestMatch(headers=(b.header("x-any", "", Matching.PRESENT),)), blue=1),
    b.rule("query", RequestMatch(query=(b.header("animal", "whale"),)), green=1),
    b.rule("query-regex", RequestMatch(query=(b.header("color", "bl(ue|ack)", Matching.REGEX),)), blue=1),
    replace(
        b.rule("to-root", b.path("/strip")),
        redirect=None,
        destinations=(Destination(cluster=b.key("red")),),
        rewrite=Rewrite(path=PathChange(value="/", prefix=True)),
    ),
]


def _rewriting(name: str, prefix: str, change: PathChange, hostname: str = "") -> Rule:
    return replace(b.rule(name, b.path(prefix), red=1), rewrite=Rewrite(hostname=hostname, path=change))


def _redirecting(name: str, prefix: str, **fields: object) -> Rule:
    return Rule(name=name, match=b.path(prefix), redirect=replace(Redirect(), **fields))


REWRITES = (
    _rewriting("swap", "/swap", PathChange(value="/one", prefix=True)),
    _rewriting("strip", "/strip", PathChange(value="/", prefix=True)),
    _rewriting("slash", "/slash/", PathChange(value="/two/", prefix=True)),
    _rewriting("full", "/full", PathChange(value="/whole\\1"), hostname="other.example"),
    _redirecting("host", "/host", hostname="example.org"),
    _redirecting("host-port", "/hport", hostname="example.org", port=8443, status=301),
    _redirecting("scheme", "/scheme", scheme="https", status=308),
    _redirecting("scheme-host", "/shost", scheme="https", hostname="example.org", status=307),
    _redirecting("path", "/path", path=PathChange(value="/new"), status=303),
    _redirecting("path-prefix", "/pre", path=PathChange(value="/fix", prefix=True)),
    _redirecting("path-root", "/proot", path=PathChange(value="/", prefix=True), hostname="example.org"),
    _redirecting("port", "/port", port=9090),
    Rule(name="broken", match=b.path("/broken"), destinations=(Destination(cluster=None),)),
    Rule(name="teapot", match=b.path("/status"), status=418),
    replace(
        b.rule("headers", b.path("/headers"), green=1),
        request_headers=HeaderChange(
            set=(("x-set", "100% %REQ(host)%"), ("x-gone", "1"), ("host", "set.example")),
            add=(("x-add", "more"),),
            remove=("x-gone", "x-removed"),
        ),
    ),
    _rewriting("root", "/", PathChange(value="/base", prefix=True)),
)
PATHS = (
    "/", "/exact", "/exact/", "/exact?x=1", "/v2", "/v2/", "/v2/a?b=c", "/v2a", "/trail", "/trail/", "/trail/x",
    "/trailx", "/rawhide", "/raw", "/r/12", "/r/12/x?y", "/r/x", "/x?animal=whale",
    "/x?animal=dolphin&animal=whale", "/x?a=b&animal=whale", "/x?animal", "/x?color=black", "/x?color=blueish",
    "/x?animal=wh%61le", "/%76%32", "/swap", "/swap/", "/swap/x?q=1", "/strip", "/strip/", "/strip/a/b?q", "/slash",
    "/slash/a", "/full/x/y?z=1", "/host/a?b", "/hport", "/scheme/x", "/shost/x", "/path/old?q=1", "/pre/a", "/pre",
    "/proot/a?q", "/proot", "/port/a", "/broken", "/status", "/headers", "/a//b", "/a/../b", "/a?x#f",
)  # fmt: skip


def test_simulation_agrees_on_a_table_of_calls(backends: dict[str, live.App]) -> None:
    """Every kind of match, rewrite, redirect and answer does in Envoy what simulation says."""
    plain = [Call(authority="app", path=path) for path in PATHS]
    others = [
        Call(authority="app:8080", path="/host/a"),
        Call(authority="app:80", path="/scheme/a"),
        Call(authority="app:8080", path="/scheme/a"),
        Call(authority="app:8080", path="/path/a"),
        Call(authority="app", path="/z", method="POST"),
        Call(authority="app", path="/z", headers=(("X-Canary", "yes"),)),
        Call(authority="app", path="/z", headers=(("X-Canary", "yes"), ("X-Canary", "no"))),
        Call(authority="app", path="/z", headers=(("x-user", "alice"),)),
        Call(authority="app", path="/z", headers=(("x-user", "bob"),)),
        Call(authority="app", path="/z", headers=(("x-any", ""),)),
        Call(authority="app", path="/headers", headers=(("x-add", "old"), ("x-removed", "1"), ("x-gone", "0"))),
    ]
    lists = [(tuple(TABLE), True), (tuple(TABLE), False), (REWRITES, True), ((), False)]

    assert "\n".join(_differences(backends, lists, plain + others)) == ""
    more = [Call(authority="app", path=path) for path in ("/filler/7", "/filler/70/x?y", "/filler/", "/filler/7x")]
    assert "\n".join(_differences(backends, [*map(_among_many, lists)], [*plain, *others, *more])) == ""


QUERIES = st.sampled_from(["", "", "?q=yes", "?q=no&p=yes", "?q", "?p=a.b&q=yes&q=no"])
CALLS = st.builds(
    Call,
    method=st.sampled_from(["GET", "GET", "POST"]),
    authority=st.sampled_from(["app", "app:8080", "APP.example"]),
    path=st.tuples(PATH_VALUES | PATH_VALUES.map(lambda path: path + "/"), QUERIES).map("".join),
    headers=st.lists(st.tuples(st.sampled_from(["x-a", "X-B"]), WORDS), max_size=2).map(tuple),
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(lists=st.lists(rule_lists(), min_size=6, max_size=10), calls=st.lists(CALLS, min_size=12, max_size=16))
def test_simulation_agrees_on_random_rules(
    backends: dict[str, live.App], lists: list[tuple[tuple[Rule, ...], bool]], calls: list[Call]
) -> None:
    """Whatever rules there are, Envoy does with a call what simulation says."""
    assert "\n".join(_differences(backends, lists, calls)) == ""


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(lists=st.lists(rule_lists(), min_size=6, max_size=10), calls=st.lists(CALLS, min_size=12, max_size=16))
def test_simulation_agrees_on_random_rules_among_many(
    backends: dict[str, live.App], lists: list[tuple[tuple[Rule, ...], bool]], calls: list[Call]
) -> None:
    """The same where the rules are so many that Envoy is led by the beginning of the path."""
    assert "\n".join(_differences(backends, [*map(_among_many, lists)], calls)) == ""
