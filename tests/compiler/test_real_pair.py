"""A caller's and a server's sidecar with mutual TLS between them: what reaches the app is what the caller sent."""

import contextlib
import socket
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

import pytest

from plait.model.services import Capture
from plait.model.view import InboundMode
from tests import builders as b
from tests.compiler import loopback
from tests.envoy import certificates, live, real

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

ADDRESS = "127.240.0.1"


@dataclass(frozen=True)
class Pair:
    """Where the caller's sidecar takes calls to the service, and the app behind the server's."""

    port: int
    app: live.App
    mode: InboundMode
    admins: tuple[live.Path, ...] = ()

    @property
    def address(self) -> tuple[str, int]:
        """What the caller dials."""
        return ADDRESS, self.port


@contextlib.contextmanager
def _pair(mode: InboundMode) -> Generator[Pair]:
    with live.apps("web") as started, contextlib.ExitStack() as stack:
        app = started["web"]
        port, sidecar = live.free_port(), live.free_port()
        server = b.view("web", b.inbound(app.port, mode=mode, sidecar_port=sidecar), capture=Capture.EXPLICIT)
        client = replace(
            b.view("client", b.frontend("web", port, address=ADDRESS), b.cluster("web", port)), outbound_port=port
        )
        endpoint = b.endpoint("127.0.0.1", sidecar, service_account="web")
        authority = certificates.shared()
        server_secrets = real.secrets(authority, str(b.identity("web")))
        client_secrets = real.secrets(authority, str(b.identity("client")))
        first = stack.enter_context(live.running(loopback.server(server), server_secrets))
        second = stack.enter_context(live.running(loopback.client(client, {"web": endpoint}), client_secrets))
        yield Pair(port, app, mode, (second, first))


@pytest.fixture(scope="module", params=list(InboundMode))
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Both ways in which a server's sidecar treats a port."""
    with _pair(request.param) as made:
        yield made


def test_requests_arrive_as_they_were_sent(pair: Pair) -> None:
    """Path, Host, repeated headers and (over HTTP/1) header case are kept; only promised headers are new."""
    headers = [("X-MiXed", "One"), ("Cookie", "a=b; c=d"), ("X-Twice", "1"), ("X-Twice", "2")]
    answer = live.request(pair.address, "/a//b/../c%2Fd?q=%20x", authority="web:99", headers=headers)

    names = {name for name, _ in answer.headers_seen}
    kept = {"Host", "X-MiXed", "Cookie", "X-Twice"}
    assert answer.status == 200
    assert answer.seen_header("x-twice") == ["1", "2"]
    assert answer.seen_header("host") == ["web:99"]
    if pair.mode is InboundMode.BYTES:
        assert names == kept | {"x-forwarded-proto"}
        assert answer.seen["path"] == "/a//b/../c%2Fd?q=%20x"
    else:
        assert {name.lower() for name in names} == {name.lower() for name in kept} | {
            "x-forwarded-proto",
            "x-forwarded-client-cert",
        }
        assert answer.seen["path"] == "/a//c%2Fd?q=%20x"


def test_http_1_0_is_answered(pair: Pair) -> None:
    """A client of HTTP/1.0 without Host gets its answer and the end of the connection."""
    with socket.create_connection(pair.address, timeout=5) as connection:
        connection.sendall(b"GET /old HTTP/1.0\r\n\r\n")
        stream = connection.makefile("rb")
        answer = stream.read()
    assert answer.startswith(b"HTTP/1.0 200 OK") or answer.startswith(b"HTTP/1.1 200 OK")
    assert b'"path": "/old"' in answer


def test_websockets_pass(pair: Pair) -> None:
    """An upgraded connection carries bytes both ways."""
    with socket.create_connection(pair.address, timeout=5) as connection:
        head = ("GET /chat HTTP/1.1", "Host: web", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x")
        connection.sendall("\r\n".join((*head, "", "")).encode())
        stream = connection.makefile("rb")
        assert stream.readline().startswith(b"HTTP/1.1 101")
        while stream.readline().strip():
            pass
        connection.sendall(b"ping" * 1000)
        assert stream.read(4000) == b"ping" * 1000


@pytest.mark.parametrize("offer", ["h2c", "TLS/1.2, HTTP/1.1", "HTTP/2.0"])
def test_offers_of_another_protocol_are_no_reason_to_refuse(pair: Pair, offer: str) -> None:
    """A server may ignore them, so the request is answered as HTTP/1.1 (Envoy's own answer would be 403)."""
    headers = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", offer), ("HTTP2-Settings", "AAMAAABkAAQAAP__")]
    assert live.request(pair.address, headers=headers).status == 200


def test_both_sides_count_the_call(pair: Pair) -> None:
    """Caller and server count requests (or connections) of the edge, each with the identity it proved or saw."""
    live.request(pair.address)
    caller = live.ask_admin(pair.admins[0], "/stats/prometheus?filter=mesh.requests_total")
    expected = [
        'reporter="source"',
        'source_workload="default/client"',
        'destination_workload="default/web"',
        f'destination_service="{b.host("web")}:{pair.port}"',
        'response_code="200"',
    ]
    assert [part for part in expected if part not in caller] == []
    if pair.mode is InboundMode.HTTP:
        server = live.ask_admin(pair.admins[1], "/stats/prometheus?filter=mesh.requests_total")
        assert f'source_principal="{b.identity("client")}"' in server
        assert 'reporter="destination"' in server
