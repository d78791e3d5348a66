"""Gateways that ask clients for certificates, in a real Envoy: required, optional, and versions of TLS."""

import http.client
import socket
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from plait.compiler.compile import compile_view
from plait.compiler.endpoints import cluster_endpoints
from plait.envoy import types
from plait.envoy.resource_set import ResourceSet
from plait.model.gateways import ClientAddresses, ClientCertificates, GatewayListener, TlsCertificate, TlsTerms
from plait.model.services import Protocol, WorkloadKind
from tests import builders as b
from tests.envoy import certificates, live

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

HOST = "shop.example"


@pytest.fixture(scope="module")
def app() -> Iterator[live.App]:
    """An app that answers."""
    with live.apps("web") as started:
        yield started["web"]


def edge(port: int, app: live.App, terms: TlsTerms) -> ResourceSet:
    """A gateway with one HTTPS listener on those terms."""
    chain, key = certificates.shared().leaf("", HOST)
    listener = GatewayListener(
        name="https",
        port=443,
        protocol=Protocol.HTTP,
        tls=True,
        certificates=(b.name("shop-tls"),),
        rules=(b.rule("web", web=1),),
        terms=terms,
    )
    view = replace(
        b.view("edge", b.cluster("web", secure=False), kind=WorkloadKind.GATEWAY),
        gateway=b.name("edge"),
        gateway_ports=((443, port),),
        certificates=(TlsCertificate(name=b.name("shop-tls"), chain=chain, key=key),),
        listeners=(listener,),
    )
    name = f"{b.host('web')}:80"
    endpoints = {name: cluster_endpoints(name, [b.endpoint("127.0.0.1", app.port)], node="")}
    return compile_view(view).replaced(types.ENDPOINT, endpoints)


def client(folder: Path, *names: str, authority: certificates.TestAuthority | None = None) -> ssl.SSLContext:
    """A client that trusts the gateway, with a certificate for these names if there are any."""
    context = ssl.create_default_context(cadata=certificates.shared().bundle.decode())
    if names:
        chain, key = (authority or certificates.shared()).leaf("", *names)
        (folder / "client.pem").write_bytes(chain + key)
        context.load_cert_chain(folder / "client.pem")
    return context


def ask(port: int, context: ssl.SSLContext) -> int:
    """The status of one request."""
    return live.request(("127.0.0.1", port), authority=HOST, tls=context, server_name=HOST).status


REFUSED = (ssl.SSLError, ConnectionError)


def test_a_required_certificate_of_a_trusted_authority_with_a_listed_name(app: live.App, tmp_path: Path) -> None:
    """MUTUAL takes no client without a certificate, of another authority, or without one of the names."""
    port = live.free_port()
    trusted = certificates.shared().bundle
    terms = TlsTerms(clients=ClientCertificates.REQUIRED, authorities=trusted, names=("partner.example",))
    with live.running(edge(port, app, terms)):
        assert ask(port, client(tmp_path, "partner.example")) == 200
        for refused in (
            client(tmp_path),
            client(tmp_path, "other.example"),
            client(tmp_path, "partner.example", authority=certificates.authority()),
        ):
            with pytest.raises(REFUSED):
                ask(port, refused)


def test_an_optional_certificate_is_checked_if_it_is_there(app: live.App, tmp_path: Path) -> None:
    """OPTIONAL_MUTUAL takes clients without one, and refuses one that it does not trust."""
    port = live.free_port()
    terms = TlsTerms(clients=ClientCertificates.OPTIONAL, authorities=certificates.shared().bundle)
    with live.running(edge(port, app, terms)):
        assert ask(port, client(tmp_path)) == 200
        assert ask(port, client(tmp_path, "any.example")) == 200
        with pytest.raises(REFUSED):
            ask(port, client(tmp_path, "any.example", authority=certificates.authority()))


def test_a_certificate_that_is_not_verified_may_be_anyones(app: live.App, tmp_path: Path) -> None:
    """AllowInsecureFallback takes clients without one, and with one that nobody trusts."""
    port = live.free_port()
    terms = TlsTerms(clients=ClientCertificates.UNVERIFIED, authorities=certificates.shared().bundle)
    with live.running(edge(port, app, terms)):
        assert ask(port, client(tmp_path)) == 200
        assert ask(port, client(tmp_path, "any.example")) == 200
        assert ask(port, client(tmp_path, "any.example", authority=certificates.authority())) == 200


def test_the_oldest_version_of_tls(app: live.App, tmp_path: Path) -> None:
    """minProtocolVersion TLSV1_3 refuses clients that know only 1.2."""
    port, old = live.free_port(), client(tmp_path)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with live.running(edge(port, app, TlsTerms(oldest=3))):
        assert ask(port, client(tmp_path)) == 200
        with pytest.raises(REFUSED):
            ask(port, old)


def test_addresses_of_clients_behind_other_proxies(app: live.App) -> None:
    """The gateway appends whom it sees; the PROXY protocol tells whom, and without it a connection is closed."""
    port = live.free_port()
    plain = replace(
        GatewayListener(name="http", port=80, protocol=Protocol.HTTP, rules=(b.rule("web", web=1),)),
        clients=ClientAddresses(trusted_proxies=1, proxy_protocol=True),
    )
    view = replace(
        b.view("edge", b.cluster("web", secure=False), kind=WorkloadKind.GATEWAY),
        gateway=b.name("edge"),
        gateway_ports=((80, port),),
        listeners=(plain,),
    )
    name = f"{b.host('web')}:80"
    endpoints = {name: cluster_endpoints(name, [b.endpoint("127.0.0.1", app.port)], node="")}
    with live.running(compile_view(view).replaced(types.ENDPOINT, endpoints)):
        head = b"PROXY TCP4 203.0.113.9 192.0.2.1 4444 80\r\n"
        request = b"GET / HTTP/1.1\r\nHost: web\r\nX-Forwarded-For: 198.51.100.7\r\nConnection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(head + request)
            answer = connection.makefile("rb").read()
        assert b"198.51.100.7,203.0.113.9" in answer
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            live.request(("127.0.0.1", port), headers=[("X-Forwarded-For", "198.51.100.7")])
