"""CONNECT through real sidecars and a gateway: what asks a forward proxy in the mesh for a tunnel gets it."""

import contextlib
import socket
import threading
from collections.abc import Generator, Iterator
from dataclasses import replace

import pytest

from plait.compiler.compile import compile_view
from plait.compiler.endpoints import cluster_endpoints
from plait.envoy import types
from plait.envoy.resource_set import ResourceSet
from plait.envoy.simulate import Call, Direction, simulate
from plait.model.gateways import GatewayListener
from plait.model.security import Action
from plait.model.services import Capture, Protocol, WorkloadKind
from plait.model.traffic import Matching, RequestMatch, Rule, StringMatch
from plait.model.view import InboundMode
from tests import builders as b
from tests.compiler import loopback
from tests.envoy import certificates, live, real

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

ADDRESS = "127.240.0.1"
PAYLOAD = b"bytes of any kind\x00\xff" * 200
CONNECT = RequestMatch(method=StringMatch(matching=Matching.EXACT, value="CONNECT"))


class ForwardProxy:
    """A proxy that agrees to every tunnel and sends back what comes through it; to other requests it answers 200."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.asked: list[bytes] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            stream = connection.makefile("rb")
            self.asked.append(stream.readline().rstrip())
            while stream.readline().strip():
                pass
            if not self.asked[-1].startswith(b"CONNECT "):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while data := connection.recv(65536):
                connection.sendall(data)


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    """A forward proxy."""
    started = ForwardProxy()
    yield started
    started.listener.close()


def tunnelled(address: tuple[str, int], *, version: str = "1.1", host: str = "Host: db.example:5432\r\n") -> str:
    """The status of CONNECT; where it is 200, bytes went there and back."""
    with socket.create_connection(address, timeout=5) as connection:
        connection.sendall(f"CONNECT db.example:5432 HTTP/{version}\r\n{host}\r\n".encode())
        stream = connection.makefile("rb")
        status = stream.readline().split()[1].decode()
        while stream.readline().strip():
            pass
        if status == "200":
            connection.sendall(PAYLOAD)
            assert stream.read(len(PAYLOAD)) == PAYLOAD
        return status


@contextlib.contextmanager
def sidecars(proxy: ForwardProxy, mode: InboundMode, *rules: Rule, **inbound: object) -> Generator[tuple[str, int]]:
    """A caller's sidecar and one before the proxy; gives where the caller dials."""
    port, sidecar = live.free_port(), live.free_port()
    taken = replace(b.inbound(proxy.port, mode=mode, sidecar_port=sidecar), **inbound)
    server = b.view("web", taken, capture=Capture.EXPLICIT)
    frontend = b.frontend("web", port, *rules, address=ADDRESS)
    client = replace(b.view("client", frontend, b.cluster("web", port)), outbound_port=port)
    endpoint = b.endpoint("127.0.0.1", sidecar, service_account="web")
    authority = certificates.shared()
    with (
        live.running(loopback.server(server), real.secrets(authority, str(b.identity("web")))),
        live.running(loopback.client(client, {"web": endpoint}), real.secrets(authority, str(b.identity("client")))),
    ):
        yield ADDRESS, port


@pytest.mark.parametrize("mode", list(InboundMode))
def test_a_tunnel_goes_to_the_proxy_that_was_called(proxy: ForwardProxy, mode: InboundMode) -> None:
    """The proxy gets the request as it was written, with HTTP/1.0 as older Pythons ask too, and then the bytes."""
    with sidecars(proxy, mode) as address:
        assert tunnelled(address) == "200"
        assert tunnelled(address, version="1.0", host="") == "200"
    assert proxy.asked[0].startswith(b"CONNECT db.example:5432 HTTP/1.1")


def test_nothing_tunnels_past_policies(proxy: ForwardProxy) -> None:
    """A server's sidecar that reads requests for a policy, or tells who calls, gives no way around itself."""
    policy = b.policy("get-only", Action.ALLOW, b.authorization_rule(b.operation(methods=("GET", "CONNECT"))))
    for inbound in ({"policies": (policy,)}, {"tells_caller": True}):
        with sidecars(proxy, InboundMode.HTTP, **inbound) as address:
            assert tunnelled(address) == "404"
    assert proxy.asked == []


def edge(port: int, proxy: ForwardProxy, *rules: Rule) -> ResourceSet:
    """A gateway with these rules."""
    listener = GatewayListener(name="http", port=80, protocol=Protocol.HTTP, rules=rules)
    view = replace(
        b.view("edge", b.cluster("web", secure=False), kind=WorkloadKind.GATEWAY),
        gateway=b.name("edge"),
        gateway_ports=((80, port),),
        listeners=(listener,),
    )
    name = f"{b.host('web')}:80"
    endpoints = {name: cluster_endpoints(name, [b.endpoint("127.0.0.1", proxy.port)], node="")}
    return compile_view(view).replaced(types.ENDPOINT, endpoints)


def test_a_gateway_tunnels_only_where_a_rule_says_connect(proxy: ForwardProxy) -> None:
    """A rule for all requests is none for tunnels, which could carry requests past the gateway's other rules."""
    port, everything = live.free_port(), b.rule("all", web=1)
    with live.running(edge(port, proxy, everything)):
        assert tunnelled(("127.0.0.1", port)) == "404"
    explicit = replace(everything, name="tunnels", match=CONNECT)
    held = edge(port, proxy, explicit, everything)
    with live.running(held):
        assert tunnelled(("127.0.0.1", port)) == "200"
        assert live.request(("127.0.0.1", port)).status == 200
    call = Call(direction=Direction.GATEWAY, port=80, method="CONNECT", authority="db.example:5432")
    assert simulate(held, call).route == "tunnels"
    assert simulate(held, replace(call, method="GET")).route == "all"
