"""A request that waits for its routes: it arrives whole, and what guards a service guards it from that one too.

Envoy makes the chain of filters of such a request before it has the routes. Filters that only add something (faults,
sessions, CORS, the words for who is denied) may be left out of it; they act from the next request on (ADR 38).
"""

import asyncio
import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from plait.compiler.scopes import scope_entries
from plait.envoy import names, types
from plait.envoy.resource_set import ResourceSet
from plait.model.authorizer import Authorizer, Question
from plait.model.faults import Fault, FaultAbort
from plait.model.security import Action
from plait.model.traffic import Rule
from plait.model.view import InboundMode, ScopeKey, ServerPort
from tests import builders as b
from tests.compiler import loopback, streamed
from tests.envoy import live

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

ADDRESS = "127.240.0.1"
BODY = b"x" * 100_000
WEB = b.rule("web", web=1)
PREFLIGHT = {"origin": "https://page.example", "access-control-request-method": "PUT"}
DENIED = ServerPort(
    port=80, mode=InboundMode.BYTES, policies=(b.policy("nobody", Action.DENY, b.authorization_rule(b.source("*"))),)
)


@dataclass(frozen=True)
class Sent:
    """One request; with `expects`, its body is sent when the other side says 100."""

    method: str = "POST"
    body: bytes = BODY
    headers: tuple[tuple[str, str], ...] = ()
    expects: bool = False


GET = Sent(method="GET", body=b"")
REQUESTS = (GET, Sent(), Sent(body=BODY * 20), Sent(expects=True))


@pytest.fixture(scope="module")
def app() -> Iterator[live.App]:
    """The app behind every cluster."""
    with live.apps("app") as started:
        yield started["app"]


def made(app: live.App, port: int, rule: Rule, *servers: ServerPort) -> ResourceSet:
    """What the proxy holds when it has the routes."""
    cluster = replace(b.cluster("web", secure=False), servers=servers)
    nobody = b.cluster("nobody", secure=False)
    view = b.view("client", b.frontend("web", port, rule, address=ADDRESS), cluster, nobody)
    return loopback.client(
        replace(view, outbound_port=port),
        {"web": b.endpoint("127.0.0.1", app.port)},
    )


def first(
    app: live.App, rule: Rule, *servers: ServerPort, sent: tuple[Sent, ...] = REQUESTS, then: tuple[Sent, ...] = ()
) -> list[live.Answer]:
    """What requests are answered that are all on their way before the routes are there, and `then` later ones."""

    async def run() -> list[live.Answer]:
        port = live.free_port()
        full = made(app, port, rule, *servers)
        ahead = scope_entries([ScopeKey(key=f"{ADDRESS}:{port}", host=b.host("web"), port=port)])
        without = full.replaced(types.SCOPE, ahead).replaced(types.ROUTE, {})
        async with streamed.streamed(without) as control:
            held = [asyncio.ensure_future(asyncio.to_thread(send, port, item)) for item in sent]
            await control.asked_for(types.ROUTE, names.route(b.host("web"), port))
            await asyncio.sleep(0.2)
            await control.publish(without.replaced(types.ROUTE, full.of(types.ROUTE)))
            answers = [await answer for answer in held]
            return answers + [await asyncio.to_thread(send, port, item) for item in then]

    return asyncio.run(run())


def send(port: int, sent: Sent) -> live.Answer:
    """One request as a client makes it."""
    with socket.create_connection((ADDRESS, port), timeout=10) as stream:
        headers = [*sent.headers, ("Host", "web"), ("Content-Length", str(len(sent.body)))]
        headers += [("Expect", "100-continue")] if sent.expects else []
        head = "\r\n".join([f"{sent.method} / HTTP/1.1", *(f"{name}: {value}" for name, value in headers)])
        stream.sendall(f"{head}\r\n\r\n".encode())
        if not sent.expects or stream.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 100":
            stream.sendall(sent.body)
        with contextlib.closing(http.client.HTTPResponse(stream, method=sent.method)) as response:
            response.begin()
            body = response.read()
            from_app = response.getheader("x-app") is not None
            return live.Answer(
                response.status, tuple(response.getheaders()), body, json.loads(body) if from_app else {}
            )


def test_bodies_arrive_whole(app: live.App) -> None:
    """Bodies that come while the request waits reach the app with no byte missing."""
    answers = first(app, WEB)

    assert [(answer.app, answer.seen["received"]) for answer in answers] == [
        ("app", len(item.body)) for item in REQUESTS
    ]


def test_a_rule_without_backends_answers(app: live.App) -> None:
    """A rule that leads nowhere gives 500, whatever is sent."""
    answers = first(app, b.rule("broken"))

    assert [answer.status for answer in answers] == [500] * len(REQUESTS)


def test_an_authorizer_is_asked(app: live.App) -> None:
    """Where it does not answer nobody is let in; where it allows, bodies arrive whole."""
    nobody = Authorizer(cluster=b.key("nobody"), question=Question())
    answers = first(app, replace(WEB, authorizer=nobody))
    assert [(answer.status, answer.app) for answer in answers] == [(503, "")] * len(REQUESTS)

    for body, sent in ((0, REQUESTS), (10_000_000, REQUESTS[:3])):
        allowing = Authorizer(cluster=b.key("web"), question=Question(body=body))
        answers = first(app, replace(WEB, authorizer=allowing), sent=sent)
        assert [answer.seen["received"] for answer in answers] == [len(item.body) for item in sent]


def test_faults_act_from_the_next_request_on(app: live.App) -> None:
    """Whether or not the requests that waited were let through, what follows them is treated as the rule says."""
    rule = replace(WEB, fault=Fault(abort=FaultAbort(percent=100, http=418)))

    answers = first(app, rule, sent=(GET,), then=(GET, Sent()))

    assert [(answer.status, answer.app) for answer in answers[1:]] == [(418, "")] * 2


def test_who_is_denied_never_reaches_the_app(app: live.App) -> None:
    """The caller's proxy answers in the stead of servers that would only close the connection."""
    answers = first(app, WEB, DENIED, sent=(GET,), then=(GET, Sent()))

    assert [answer.status for answer in answers[1:]] == [403] * 2
    assert {answer.header(names.DENIED_HEADER) for answer in answers[1:]} == {
        "rbac_access_denied_matched_policy[default/nobody[0]]"
    }
