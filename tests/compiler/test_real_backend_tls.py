"""TLS towards backends in a real Envoy: only who proves the name, by a trusted authority, gets requests."""

import socket
import ssl
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from plait.envoy import names
from plait.model.backend_tls import BackendTls
from plait.model.gateways import TlsCertificate
from tests import builders as b
from tests.compiler import loopback
from tests.envoy import certificates, live

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

ADDRESS = "127.240.0.1"


@pytest.fixture(scope="module")
def backend() -> Iterator[tuple[int, list[str | None]]]:
    """A server with TLS for bank.example that answers every request, and the server names it was asked for."""
    names: list[str | None] = []
    with _serving(_context(names)) as port:
        yield port, names


@pytest.fixture(scope="module")
def strict_backend() -> Iterator[int]:
    """One that answers only who proves itself by a certificate that it trusts."""
    context = _context([])
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=certificates.shared().bundle.decode())
    with _serving(context) as port:
        yield port


def _context(asked: list[str | None]) -> ssl.SSLContext:
    chain, key = certificates.shared().leaf("", "bank.example")
    context = certificates.server_context(chain, key)
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    return context


@contextmanager
def _serving(context: ssl.SSLContext) -> Generator[int]:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with suppress(OSError), context.wrap_socket(connection, server_side=True) as stream:
                    stream.recv(65536)
                    stream.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def _status(backend_port: int, wanted: BackendTls, *shown: TlsCertificate) -> int:
    port = live.free_port()
    cluster = replace(b.cluster("bank", secure=False), backend_tls=wanted)
    view = b.view("client", b.frontend("s", port, b.rule("r", bank=1), address=ADDRESS), cluster)
    view = replace(view, certificates=shown)
    resources = loopback.client(replace(view, outbound_port=port), {"bank": b.endpoint("127.0.0.1", backend_port)})
    system = secret_pb2.Secret(name=names.SYSTEM_SECRET)
    system.validation_context.trusted_ca.inline_bytes = certificates.authority().bundle
    with live.running(resources, [system]):
        return live.request((ADDRESS, port)).status


def test_only_a_backend_that_proves_its_name_gets_requests(backend: tuple[int, list[str | None]]) -> None:
    """The right authority and name give 200, another authority or name 503; the server name is what was asked for."""
    port, asked = backend
    trusted = BackendTls(server_name="asked.example", hosts=("bank.example",), authorities=certificates.shared().bundle)
    assert _status(port, trusted) == 200
    assert asked[-1] == "asked.example"
    assert _status(port, replace(trusted, hosts=("other.example",))) == 503
    assert _status(port, replace(trusted, hosts=(), uris=("spiffe://a/b",))) == 503
    assert _status(port, replace(trusted, authorities=certificates.authority().bundle)) == 503
    assert _status(port, replace(trusted, authorities=None)) == 503


def test_a_backend_that_asks_for_a_certificate_gets_the_callers_own(strict_backend: int) -> None:
    """With a certificate that the backend trusts 200, with another one or none 503."""
    trusted = BackendTls(server_name="bank.example", hosts=("bank.example",), authorities=certificates.shared().bundle)
    name = b.name("own")
    showing = replace(trusted, certificate=name)
    own, other = (
        TlsCertificate(name=name, chain=chain, key=key)
        for chain, key in (item.leaf("", "gateway") for item in (certificates.shared(), certificates.authority()))
    )
    assert _status(strict_backend, showing, own) == 200
    assert _status(strict_backend, showing, other) == 503
    assert _status(strict_backend, trusted) == 503
