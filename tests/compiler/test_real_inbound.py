"""The inbound side of a real Envoy: mutual TLS, policies, and what the app gets to see."""

import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plait.envoy import names
from plait.envoy.resource_set import ResourceSet
from plait.envoy.simulate import Call, Direction, Outcome, simulate
from plait.model.security import (
    Action,
    AuthorizationPolicy,
    MutualTlsMode,
)
from plait.model.services import Capture, Protocol
from plait.model.view import InboundMode, InboundPort, View
from tests import builders as b
from tests.compiler import loopback
from tests.compiler.strategies import policies
from tests.envoy import certificates, live, real

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

CALLERS = ("alice", "bob", "shop/carol")


@cache
def client_context(caller: str) -> ssl.SSLContext:
    """TLS as a sidecar of that service account speaks it."""
    authority = certificates.shared()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=authority.bundle.decode())
    chain, key = authority.leaf(str(b.identity(caller)))
    with TemporaryDirectory() as folder:
        (Path(folder) / "chain").write_bytes(chain)
        (Path(folder) / "key").write_bytes(key)
        context.load_cert_chain(Path(folder) / "chain", Path(folder) / "key")
    return context


@pytest.fixture(scope="module")
def app() -> Iterator[live.App]:
    """The app behind the sidecar."""
    with live.apps("server") as started:
        yield started["server"]


def _server(*ports: InboundPort, publish: tuple[tuple[int, int], ...] = ()) -> ResourceSet:
    view: View = b.view("server", *ports, capture=Capture.EXPLICIT)
    return loopback.server(replace(view, publish=publish))


def secrets() -> Sequence[real.secret_pb2.Secret]:
    return real.secrets(certificates.shared(), str(b.identity("server")))


def _call(port: InboundPort, caller: str, method: str = "GET", path: str = "/", **fields: object) -> Call:
    identity = str(b.identity(caller)) if caller else ""
    call = Call(direction=Direction.INBOUND, port=port.number, method=method, path=path, authority="app")
    return replace(call, identity=identity, tls=bool(caller), server_name=names.MESH_SERVER_NAME, **fields)


def _made(port: InboundPort, caller: str, call: Call) -> live.Answer | None:
    """The answer to a call, or None if the connection was closed."""
    tls = client_context(caller) if caller else None
    try:
        return live.request(
            ("127.0.0.1", port.sidecar_port), call.path, method=call.method, headers=call.headers, tls=tls
        )
    except OSError:
        return None


def _agrees(resources: ResourceSet, port: InboundPort, caller: str, call: Call) -> str:
    """How simulation and Envoy differ about a call; empty if they agree."""
    outcome, answer = simulate(resources, call), _made(port, caller, call)
    if outcome.status is not None:
        same = answer is not None and answer.status == outcome.status
        if same and outcome.denied and caller:
            assert answer
            same = names.parse_denial(answer.header(names.DENIED_HEADER) or "") == outcome.rule
    else:
        through = bool(outcome.clusters) and not outcome.denied
        same = through == (answer is not None and answer.app == "server")
    return "" if same else f"{caller} {call.method} {call.path}: {answer and answer.status}, expected {_shown(outcome)}"


def _shown(outcome: Outcome) -> str:
    return f"{outcome.status} denied={outcome.denied} by {outcome.rule} ({outcome.reason})"


def test_the_app_learns_who_calls(app: live.App) -> None:
    """Over mutual TLS the app gets the caller's identity, and a forged one is dropped."""
    port = b.inbound(app.port, sidecar_port=live.free_port())
    forged = ("X-Forwarded-Client-Cert", "URI=spiffe://cluster.local/ns/default/sa/admin")

    with live.running(_server(port), secrets()):
        answer = _made(port, "alice", _call(port, "alice", headers=(forged,)))

    assert answer is not None
    (told,) = answer.seen_header("x-forwarded-client-cert")
    parts = dict(part.split("=", 1) for part in told.split(";"))
    assert (parts.pop("By"), parts.pop("URI")) == (str(b.identity("server")), str(b.identity("alice")))
    assert parts.keys() == {"Hash"}
    names_seen = {name.lower() for name, _ in answer.headers_seen}
    assert names_seen == {"host", "x-forwarded-client-cert", "x-forwarded-proto"}


def test_an_app_that_asks_who_calls_gets_no_other_spelling(app: live.App) -> None:
    """From callers whose requests are looked at here too: many apps take `_` for `-` in names of headers."""
    port = replace(b.inbound(app.port, sidecar_port=live.free_port()), tells_caller=True)
    forged = ("x_forwarded_client_cert", "URI=spiffe://cluster.local/ns/default/sa/admin")

    with live.running(_server(port), secrets()):
        answer = _made(port, "alice", _call(port, "alice", headers=(forged,)))

    assert answer is not None
    assert answer.seen_header("x_forwarded_client_cert") == []
    assert len(answer.seen_header("x-forwarded-client-cert")) == 1


def test_strict_refuses_plaintext(app: live.App) -> None:
    """A strict port closes plaintext connections, and an identity of another trust domain does not get in either."""
    port = b.inbound(app.port, sidecar_port=live.free_port())

    with live.running(_server(port), secrets()):
        assert _made(port, "", _call(port, "")) is None
        foreign = certificates.authority()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with TemporaryDirectory() as folder:
            chain, key = foreign.leaf("spiffe://cluster.local/ns/default/sa/alice")
            (Path(folder) / "pem").write_bytes(chain + key)
            context.load_cert_chain(Path(folder) / "pem")
        with pytest.raises(ssl.SSLError):
            live.request(("127.0.0.1", port.sidecar_port), tls=context)


def test_a_server_that_speaks_first_is_heard_where_mutual_tls_is_off() -> None:
    """Nothing waits for a word of the caller's: there is no TLS to tell from plaintext."""
    database = live.App("db", banner=b"hello")
    port = b.inbound(
        database.port,
        sidecar_port=live.free_port(),
        protocol=Protocol.TCP,
        mode=InboundMode.BYTES,
        mutual_tls=MutualTlsMode.DISABLE,
    )

    with (
        live.running(_server(port), secrets()),
        socket.create_connection(("127.0.0.1", port.sidecar_port), 5) as caller,
    ):
        caller.settimeout(0.4)
        assert caller.recv(5) == b"hello"
        caller.sendall(b"again")
        assert caller.recv(5) == b"again"
    database.close()


@pytest.mark.parametrize("mode", list(InboundMode))
def test_permissive_takes_both(app: live.App, mode: InboundMode) -> None:
    """A permissive port serves the mesh's TLS and plaintext, as HTTP and as bytes."""
    port = b.inbound(app.port, sidecar_port=live.free_port(), mode=mode, mutual_tls=MutualTlsMode.PERMISSIVE)

    with live.running(_server(port), secrets()):
        answers = [_made(port, caller, _call(port, caller)) for caller in ("alice", "")]

    assert [answer and answer.app for answer in answers] == ["server", "server"]


DENY_ADMIN = b.policy(
    "deny-admin",
    Action.DENY,
    b.authorization_rule(b.operation(paths=("/admin*",))),
    b.authorization_rule(b.source(f"{b.TRUST_DOMAIN}/ns/default/sa/bob")),
)
ALLOW_ALICE = b.policy(
    "allow-alice",
    Action.ALLOW,
    b.authorization_rule(b.source(b.identity("alice").principal, b.identity("bob").principal)),
    b.authorization_rule(b.source(namespaces=("shop",)), b.operation(methods=("GET",))),
)


def test_deny_is_asked_before_allow(app: live.App) -> None:
    """Both filters read their rules from the route: DENY wins, then one ALLOW rule must match; each is named."""
    port = b.inbound(app.port, DENY_ADMIN, ALLOW_ALICE, sidecar_port=live.free_port())
    with live.running(_server(port), secrets()):
        seen = {
            (caller, method, path): _denial(_made(port, caller, _call(port, caller, method, path)))
            for caller in CALLERS
            for method in ("GET", "POST")
            for path in ("/", "/x/../admin/1")
        }

    assert seen == {
        ("alice", "GET", "/"): "200",
        ("alice", "POST", "/"): "200",
        ("alice", "GET", "/x/../admin/1"): "403 default/deny-admin[0]",
        ("alice", "POST", "/x/../admin/1"): "403 default/deny-admin[0]",
        ("bob", "GET", "/"): "403 default/deny-admin[1]",
        ("bob", "POST", "/"): "403 default/deny-admin[1]",
        ("bob", "GET", "/x/../admin/1"): "403 default/deny-admin[0]",
        ("bob", "POST", "/x/../admin/1"): "403 default/deny-admin[0]",
        ("shop/carol", "GET", "/"): "200",
        ("shop/carol", "POST", "/"): "403 none",
        ("shop/carol", "GET", "/x/../admin/1"): "403 default/deny-admin[0]",
        ("shop/carol", "POST", "/x/../admin/1"): "403 default/deny-admin[0]",
    }


def _denial(answer: live.Answer | None) -> str:
    assert answer is not None
    rule = names.parse_denial(answer.header(names.DENIED_HEADER) or "")
    return f"{answer.status} {rule}" if rule else str(answer.status)


def test_a_stranger_is_not_told_the_policy(app: live.App) -> None:
    """A plaintext caller that is denied learns neither policy nor header names."""
    port = b.inbound(app.port, ALLOW_ALICE, sidecar_port=live.free_port(), mutual_tls=MutualTlsMode.PERMISSIVE)

    with live.running(_server(port), secrets()):
        answer = _made(port, "", _call(port, ""))

    assert answer is not None
    assert (answer.status, answer.header(names.DENIED_HEADER), b"allow-alice" in answer.body) == (403, None, False)


def test_published_ports_take_plaintext_under_policy(app: live.App) -> None:
    """A port published on loopback is open to plaintext though the port is strict, but policies apply."""
    at = live.free_port()
    port = b.inbound(app.port, DENY_ADMIN, sidecar_port=live.free_port())

    with live.running(_server(port, publish=((at, app.port),)), secrets()):
        statuses = [live.request(("127.0.0.1", at), path).status for path in ("/", "/admin")]

    assert statuses == [200, 403]


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    sets=st.lists(st.tuples(policies(), st.sampled_from(list(InboundMode))), min_size=4, max_size=6),
    requests=st.lists(
        st.tuples(
            st.sampled_from(["", *CALLERS]),
            st.sampled_from(["GET", "POST"]),
            st.sampled_from(["/", "/a", "/a/b?x", "/A"]),
        ),
        min_size=8,
        max_size=12,
        unique=True,
    ),
)
def test_simulation_agrees_on_random_policies(
    sets: list[tuple[tuple[AuthorizationPolicy, ...], InboundMode]], requests: list[tuple[str, str, str]]
) -> None:
    """Whatever policies there are, on requests and on byte streams, Envoy decides as simulation says."""
    with live.apps(*(f"app{index}" for index in range(len(sets)))) as started:
        ports = [
            b.inbound(app.port, *chosen, mode=mode, sidecar_port=live.free_port(), mutual_tls=MutualTlsMode.PERMISSIVE)
            for app, (chosen, mode) in zip(started.values(), sets, strict=True)
        ]
        for app in started.values():
            app.name = "server"
        resources = _server(*ports)
        with live.running(resources, secrets()):
            different = [
                _agrees(resources, port, caller, _call(port, caller, method, path))
                for port in ports
                for caller, method, path in requests
            ]
    assert [item for item in different if item] == []


def test_byte_ports_are_authorized_by_connection(app: live.App) -> None:
    """On a byte port an ALLOW rule that needs a request never matches, and a DENY rule that does always may."""
    needs_http = b.authorization_rule(b.operation(methods=("GET",)))
    by_identity = b.authorization_rule(b.source(b.identity("alice").principal))
    port = b.inbound(
        app.port,
        b.policy("allow", Action.ALLOW, needs_http, by_identity),
        protocol=Protocol.TCP,
        sidecar_port=live.free_port(),
    )
    with live.running(_server(port), secrets()):
        answers = [_made(port, caller, _call(port, caller)) for caller in ("alice", "bob")]

    assert [answer and answer.status for answer in answers] == [200, None]
