"""Rules that ask another service first, in a real Envoy: what it is told, what it adds, and that doubt is refusal."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from plait.envoy.resource_set import ResourceSet
from plait.model.authorizer import Authorizer, Question
from plait.model.services import Protocol
from plait.model.traffic import HeaderChange, Rule
from tests import builders as b
from tests.compiler import loopback
from tests.envoy import authorizers, live

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

ADDRESS = "127.240.0.1"
GOOD = ("authorization", authorizers.KEY)
BY_HTTP = Question(path_prefix="/ask", told=("x-told",), added=("x-user",))
BY_GRPC = Question(grpc=True)


@pytest.fixture(scope="module")
def app() -> Iterator[live.App]:
    """An app that answers."""
    with live.apps("red") as started:
        yield started["red"]


def asking(path: str, question: Question, whom: str = "") -> Rule:
    """A rule for that path whose authorizer is asked so."""
    authorizer = Authorizer(cluster=b.key(whom or ("grpc" if question.grpc else "http")), question=question)
    return replace(b.rule(path, b.path(path), red=1), authorizer=authorizer)


def resources(port: int, *rules: Rule, **targets: int) -> ResourceSet:
    """A caller of one service with those rules, and of its authorizers."""
    clusters = [b.cluster(name, secure=False) for name in targets if name != "grpc"]
    if "grpc" in targets:
        clusters.append(replace(b.cluster("grpc", secure=False), protocol=Protocol.GRPC))
    view = b.view("client", b.frontend("s", port, *rules, address=ADDRESS), *clusters)
    endpoints = {name: b.endpoint("127.0.0.1", target) for name, target in targets.items()}
    return loopback.client(replace(view, outbound_port=port), endpoints)


def ask(port: int, path: str, *headers: tuple[str, str], body: bytes = b"") -> live.Answer:
    """A request, with a body if one is given."""
    return live.request((ADDRESS, port), path, method="POST" if body else "GET", headers=headers, body=body)


def test_an_authorizer_by_http(app: live.App) -> None:
    """It is told method, host, path behind the prefix, authorization and listed headers; it adds what is listed."""
    port = live.free_port()
    everything = replace(BY_HTTP, path_prefix="", told=(), added=())
    with authorizers.by_http() as asked:
        rules = (asking("/listed", BY_HTTP), asking("/all", everything), b.rule("rest", red=1))
        with live.running(resources(port, *rules, red=app.port, http=asked.port)):
            allowed = ask(port, "/listed/a?b=c", GOOD, ("x-told", "1"), ("x-secret", "2"))
            [question] = asked.asked
            denied = ask(port, "/listed/a", ("authorization", "Bearer bad"))
            added = ask(port, "/all", GOOD, ("content-type", "text/app"))
            unasked = ask(port, "/rest")
    assert (question.method, question.path, question.headers["host"]) == ("GET", "/ask/listed/a?b=c", "app")
    assert (question.headers["authorization"], question.headers["x-told"]) == (authorizers.KEY, "1")
    assert "x-secret" not in question.headers
    assert (allowed.app, allowed.seen_header("x-user"), allowed.seen_header("x-group")) == ("red", ["ann"], [])
    assert (denied.status, denied.body) == (401, b"who are you?\n")
    assert (added.seen_header("x-user"), added.seen_header("x-group")) == (["ann"], ["admins"])
    assert (added.seen_header("content-type"), added.seen["path"]) == (["text/app"], "/all")
    assert unasked.app == "red"
    assert len(asked.asked) == 3


def test_an_authorizer_by_grpc(app: live.App) -> None:
    """It is told every header, or those that are listed, and none of the mesh's own."""
    port = live.free_port()
    few = replace(BY_GRPC, told=("authorization",))
    with authorizers.by_grpc() as asked:
        rules = (asking("/all", BY_GRPC), asking("/few", few))
        with live.running(resources(port, *rules, red=app.port, grpc=asked.port)):
            allowed = ask(port, "/all/a", GOOD, ("x-other", "1"))
            denied = ask(port, "/all/a")
            ask(port, "/few", GOOD, ("x-other", "1"))
    assert (allowed.app, allowed.seen_header("x-user")) == ("red", ["ann"])
    assert (denied.status, denied.body) == (401, b"who are you?\n")
    told = asked.asked[0]
    assert (told.method, told.path, told.headers["x-other"]) == ("GET", "/all/a", "1")
    assert "x-plait-destination" not in told.headers
    assert "x-other" not in asked.asked[2].headers


@pytest.mark.parametrize("grpc", [False, True])
def test_bodies_are_told_up_to_a_size(app: live.App, grpc: bool) -> None:
    """What is larger is refused, and without a size no byte is told; the app gets the whole body in any case."""
    port = live.free_port()
    sized, bare = Question(grpc=grpc, body=10), Question(grpc=grpc)
    with authorizers.by_grpc() if grpc else authorizers.by_http() as asked:
        target = {"grpc" if grpc else "http": asked.port}
        with live.running(resources(port, asking("/sized", sized), asking("/bare", bare), red=app.port, **target)):
            whole = ask(port, "/sized", GOOD, body=b"0123456789")
            larger = ask(port, "/sized", GOOD, body=b"0123456789a")
            untold = ask(port, "/bare", GOOD, body=b"x" * 100_000)
    assert (whole.app, larger.status, untold.app) == ("red", 413, "red")
    assert [item.body for item in asked.asked] == [b"0123456789", b""]


@pytest.mark.parametrize("question", [BY_HTTP, BY_GRPC], ids=["http", "grpc"])
def test_doubt_is_refusal(app: live.App, question: Question) -> None:
    """Nobody is let in where the authorizer does not answer, or where there is no cluster of it."""
    port, closed = live.free_port(), live.free_port()
    rules = (asking("/gone", question, "nobody"), asking("/down", question))
    with live.running(resources(port, *rules, red=app.port, **{"grpc" if question.grpc else "http": closed})):
        found = {path: ask(port, path, GOOD).status for path in ("/gone", "/down")}
    assert found == {"/gone": 500, "/down": 503}


def test_what_a_rule_changes_is_changed_for_the_app_only(app: live.App) -> None:
    """The authorizer is told the request as it came."""
    port = live.free_port()
    change = HeaderChange(set=(("authorization", "none"),))
    with authorizers.by_http() as asked:
        rule = replace(asking("/a", BY_HTTP), request_headers=change)
        with live.running(resources(port, rule, red=app.port, http=asked.port)):
            answer = ask(port, "/a", GOOD)
    assert (answer.app, answer.seen_header("authorization")) == ("red", ["none"])
