"""The first request to a service, which waits for its routes: rules act on it as on all later ones, body or not.

Envoy makes the chain of filters of such a request before it has the routes, so no filter that routes ask for may be
one that is left out until they ask.
"""

import asyncio
import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import grpc
import pytest

from plait.compiler.scopes import scope_entries
from plait.envoy import names, types
from plait.envoy.resource_set import ResourceSet
from plait.model.authorizer import Authorizer, Question
from plait.model.cors import Cors
from plait.model.faults import Fault, FaultAbort, FaultDelay
from plait.model.security import Action
from plait.model.sessions import SessionPersistence
from plait.model.traffic import Matching, Rule, StringMatch
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
    return loopback.client(replace(view, outbound_port=port), {"web": b.endpoint("127.0.0.1", app.port)})


def first(app: live.App, rule: Rule, *servers: ServerPort, sent: tuple[Sent, ...] = REQUESTS) -> list[live.Answer]:
    """What requests are answered that are all on their way before the routes are there."""

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
            return [await answer for answer in held]

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


def test_an_abort_is_made(app: live.App) -> None:
    """A rule that answers all requests with an error answers the first ones too."""
    answers = first(app, replace(WEB, fault=Fault(abort=FaultAbort(percent=100, http=418))))

    assert [(answer.status, answer.app) for answer in answers] == [(418, "")] * len(REQUESTS)


def test_a_delay_is_made(app: live.App) -> None:
    """A rule that delays requests delays the first ones, which then arrive whole."""
    began = time.monotonic()

    answers = first(app, replace(WEB, fault=Fault(delay=FaultDelay(percent=100, seconds=3))), sent=REQUESTS[1:])

    assert time.monotonic() - began > 3
    assert [answer.seen["received"] for answer in answers] == [len(item.body) for item in REQUESTS[1:]]


@pytest.mark.parametrize(("header", "shown"), [(True, "kept"), (False, "set-cookie")])
def test_a_session_begins(app: live.App, header: bool, shown: str) -> None:
    """The first answer of a rule with sessions names the endpoint."""
    answers = first(app, replace(WEB, session=SessionPersistence(name="kept", header=header)))

    assert all(answer.header(shown) for answer in answers), answers


def test_a_preflight_is_answered(app: live.App) -> None:
    """A page that asks first is told by the proxy what it may do."""
    origin = StringMatch(matching=Matching.EXACT, value=PREFLIGHT["origin"])
    asks = Sent(method="OPTIONS", body=b"", headers=tuple(PREFLIGHT.items()))

    (answer,) = first(app, replace(WEB, cors=Cors(allow_origins=(origin,), allow_methods=("PUT",))), sent=(asks,))

    assert (answer.status, answer.app, answer.header("access-control-allow-methods")) == (200, "", "PUT")


def test_who_is_denied_learns_why(app: live.App) -> None:
    """The caller's proxy answers in the stead of servers that would only close the connection."""
    answers = first(app, WEB, DENIED)

    assert [answer.status for answer in answers] == [403] * len(REQUESTS)
    assert {answer.header(names.DENIED_HEADER) for answer in answers} == {
        "rbac_access_denied_matched_policy[default/nobody[0]]"
    }


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


def test_a_grpc_call_is_aborted(app: live.App) -> None:
    """gRPC's first call gets the status that the rule gives to all."""

    async def run() -> grpc.StatusCode:
        port = live.free_port()
        rule = replace(WEB, fault=Fault(abort=FaultAbort(percent=100, grpc=14)))
        full = made(app, port, rule)
        ahead = scope_entries([ScopeKey(key=f"{ADDRESS}:{port}", host=b.host("web"), port=port)])
        without = full.replaced(types.SCOPE, ahead).replaced(types.ROUTE, {})
        async with streamed.streamed(without) as control, grpc.aio.insecure_channel(f"{ADDRESS}:{port}") as channel:
            unary: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/test.Test/Call")
            held = asyncio.ensure_future(unary(BODY).code())
            await control.asked_for(types.ROUTE, names.route(b.host("web"), port))
            await control.publish(without.replaced(types.ROUTE, full.of(types.ROUTE)))
            return await held

    assert asyncio.run(run()) is grpc.StatusCode.UNAVAILABLE
