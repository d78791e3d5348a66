"""Rules for connections in a real Envoy: shares, server names inside the mesh, and every kind of gateway listener."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from plait.compiler.compile import compile_view
from plait.compiler.endpoints import cluster_endpoints
from plait.envoy import types
from plait.envoy.resource_set import ResourceSet
from plait.model.gateways import GatewayListener, TlsCertificate
from plait.model.l4 import L4Destination, L4Rule
from plait.model.services import Protocol, WorkloadKind
from tests import builders as b
from tests.compiler import loopback
from tests.envoy import certificates, live

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

ADDRESS = "127.240.0.1"
HOSTS = ("red.example", "a.red.example", "green.example", "shop.example")


class TlsApp:
    """A server that ends TLS itself and says its name on every connection."""

    def __init__(self, name: str) -> None:
        self.name = name.encode()
        chain, key = certificates.shared().leaf("", *HOSTS)
        self.context = certificates.server_context(chain, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with suppress(OSError), self.context.wrap_socket(connection, server_side=True) as stream:
                    stream.sendall(self.name)


@pytest.fixture(scope="module")
def apps() -> Iterator[dict[str, TlsApp]]:
    """Two servers with TLS of their own."""
    started = {name: TlsApp(name) for name in ("red", "green")}
    yield started
    for app in started.values():
        app.listener.close()


@pytest.fixture(scope="module")
def trusting() -> ssl.SSLContext:
    """A client that trusts the test authority."""
    return ssl.create_default_context(cadata=certificates.shared().bundle.decode())


def _rule(name: str, *hosts: str, **shares: int) -> L4Rule:
    destinations = tuple(
        L4Destination(cluster=None if service == "broken" else b.key(service), weight=weight)
        for service, weight in shares.items()
    )
    return L4Rule(name=name, sni_hosts=hosts, destinations=destinations)


def _name(address: tuple[str, int], trusting: ssl.SSLContext, server_name: str) -> str:
    """Who answers a TLS client that asks for that name; empty if the connection ends."""
    try:
        with (
            socket.create_connection(address, timeout=10) as plain,
            trusting.wrap_socket(plain, server_hostname=server_name) as stream,
        ):
            return stream.recv(100).decode()
    except OSError:
        return ""


def _bytes(address: tuple[str, int]) -> bytes:
    """What a server that speaks first says; empty if the connection ends."""
    with suppress(OSError), socket.create_connection(address, timeout=10) as stream:
        return stream.recv(100)
    return b""


def _with_inner(resources: ResourceSet, full: ResourceSet) -> ResourceSet:
    inner = {name: item for name, item in full.of(types.LISTENER).items() if name.startswith("server-names/")}
    return resources.replaced(types.LISTENER, {**resources.of(types.LISTENER), **inner})


def test_server_names_choose_inside_the_mesh(apps: dict[str, TlsApp], trusting: ssl.SSLContext) -> None:
    """A captured TLS connection goes by its server name, the most specific first; another name is closed."""
    port = live.free_port()
    frontend = replace(
        b.frontend("s", port, address=ADDRESS, protocol=Protocol.TLS, closed=True),
        l4_rules=(_rule("wild", "*.red.example", green=1), _rule("red", "red.example", "a.red.example", red=1)),
    )
    view = replace(
        b.view("client", frontend, *(b.cluster(n, secure=False, protocol=Protocol.TCP) for n in apps)),
        outbound_port=port,
    )
    endpoints = {name: b.endpoint("127.0.0.1", app.port) for name, app in apps.items()}
    full = compile_view(loopback.on_loopback(view))
    with live.running(_with_inner(loopback.client(view, endpoints), full)):
        assert _name((ADDRESS, port), trusting, "red.example") == "red"
        assert _name((ADDRESS, port), trusting, "a.red.example") == "red"
        assert _name((ADDRESS, port), trusting, "green.example") == ""
        blind = ssl.create_default_context(cadata=certificates.shared().bundle.decode())
        blind.check_hostname = False
        assert _name((ADDRESS, port), blind, "b.red.example") == "green"


def test_connections_are_shared_by_weight_and_broken_shares_close(apps: dict[str, TlsApp]) -> None:
    """A share without a backend is closed, the others serve, and a server that speaks first is not held."""
    port = live.free_port()
    first = live.App("first", banner=b"first")
    frontend = replace(
        b.frontend("s", port, address=ADDRESS, protocol=Protocol.TCP, closed=True),
        l4_rules=(_rule("shares", red=1, broken=1),),
    )
    view = replace(
        b.view("client", frontend, b.cluster("red", secure=False, protocol=Protocol.TCP)), outbound_port=port
    )
    with live.running(loopback.client(view, {"red": b.endpoint("127.0.0.1", first.port)})):
        seen = [_bytes((ADDRESS, port)) for _ in range(60)]
    first.close()
    assert set(seen) == {b"first", b""}
    assert 10 < seen.count(b"first") < 50


def test_a_gateway_passes_and_ends_tls_and_takes_tcp(apps: dict[str, TlsApp], trusting: ssl.SSLContext) -> None:
    """One port passes TLS on, ends it as bytes and ends it as HTTP, by server name; another takes plain TCP."""
    port, raw = live.free_port(), live.free_port()
    chain, key = certificates.shared().leaf("", *HOSTS)
    shop = TlsCertificate(name=b.name("shop-tls"), chain=chain, key=key)
    first, web = live.App("first", banner=b"first"), live.App("web")
    ports = {name: app.port for name, app in apps.items()} | {"first": first.port, "web": web.port}
    held = (b.cluster(n, secure=False, protocol=Protocol.HTTP if n == "web" else Protocol.TCP) for n in ports)

    def listener(name: str, at: int, protocol: Protocol, **fields: object) -> GatewayListener:
        return replace(GatewayListener(name=name, port=at, protocol=protocol), **fields)  # type: ignore[arg-type]

    ends = {"tls": True, "certificates": (b.name("shop-tls"),)}
    green = (_rule("g", "green.example", first=1),)
    view = replace(
        b.view("edge", *held, kind=WorkloadKind.GATEWAY),
        gateway=b.name("edge"),
        gateway_ports=((443, port), (9000, raw)),
        certificates=(shop,),
        listeners=(
            listener("pass", 443, Protocol.TLS, l4_rules=(_rule("red", "red.example", red=1),)),
            listener("ends", 443, Protocol.TLS, hostname="green.example", **ends, l4_rules=green),
            listener("web", 443, Protocol.HTTP, hostname="shop.example", **ends, rules=(b.rule("web", web=1),)),
            listener("raw", 9000, Protocol.TCP, l4_rules=(_rule("raw", first=1),)),
        ),
    )
    endpoints = {
        name: cluster_endpoints(name, [b.endpoint("127.0.0.1", number)], node="")
        for app, number in ports.items()
        for name in (f"{b.host(app)}:80",)
    }
    with live.running(compile_view(view).replaced(types.ENDPOINT, endpoints)):
        edge = ("127.0.0.1", port)
        assert _name(edge, trusting, "red.example") == "red"
        assert _name(edge, trusting, "green.example") == "first"
        assert live.request(edge, authority="shop.example", tls=trusting, server_name="shop.example").app == "web"
        assert _name(edge, trusting, "a.red.example") == ""
        assert _bytes(("127.0.0.1", raw)) == b"first"
    first.close()
    web.close()
