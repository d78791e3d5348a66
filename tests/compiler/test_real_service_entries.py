"""ServiceEntries in a real Envoy: names that calls bring, ranges of addresses, and one address at a time."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.clusters.dns.v3 import dns_cluster_pb2
from envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3 import sni_dynamic_forward_proxy_pb2
from envoy.extensions.network.dns_resolver.cares.v3 import cares_dns_resolver_pb2

from plait.envoy import proto, types
from plait.envoy.resource_set import ResourceSet, entry_of
from plait.model.services import Protocol, Resolution
from tests import builders as b
from tests.compiler import loopback
from tests.envoy import certificates, live
from tests.envoy import names as dns

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

WILDCARD = "*.localhost"


@contextlib.contextmanager
def tls_echo(folder: Path) -> Generator[int]:
    """A server of TLS that gives back the first bytes of its one client."""
    chain, key = certificates.authority().leaf("", "en.localhost")
    (folder / "server.pem").write_bytes(chain + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with (
                contextlib.suppress(OSError),
                server.accept()[0] as raw,
                context.wrap_socket(raw, server_side=True) as stream,
            ):
                stream.sendall(stream.recv(100))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def to_port(resources: ResourceSet, port: int) -> ResourceSet:
    """The same with connections told apart by server name going to that port."""
    listeners = dict(resources.of(types.LISTENER))
    for name, item in resources.of(types.LISTENER).items():
        message = listener_pb2.Listener.FromString(item.body)
        for chain in message.filter_chains:
            config = sni_dynamic_forward_proxy_pb2.FilterConfig()
            if chain.filters[0].typed_config.Unpack(config):
                config.port_value = port
                chain.filters[0].typed_config.Pack(config)
                listeners[name] = entry_of(name, message)
    return resources.replaced(types.LISTENER, listeners)


def test_each_request_goes_where_its_host_leads() -> None:
    """Envoy resolves the name in the Host; a name that the wildcard does not stand for is refused, whatever it is."""
    port = live.free_port()
    cluster = replace(b.cluster("wiki", port, secure=False), host=WILDCARD, resolution=Resolution.DYNAMIC)
    frontend = replace(b.frontend("wiki", port, address="127.240.0.1"), host=WILDCARD, dynamic=True)
    view = replace(b.view("client", frontend, cluster), outbound_port=port)
    with live.apps("wiki") as apps, live.running(loopback.client(view, {})):
        there = f"en.localhost:{apps['wiki'].port}"

        answer = live.request(("127.240.0.1", port), authority=there)
        assert (answer.app, answer.seen_header("host")) == ("wiki", [there])
        assert live.request(("127.240.0.1", port), authority=f"127.0.0.1:{apps['wiki'].port}").status == 404
        assert live.request(("127.240.0.1", port), authority="localhost").status == 404
        assert live.request(("127.240.0.1", port), authority="nobody.localhost:1").status == 503


def test_each_tls_connection_goes_where_its_server_name_leads(tmp_path: Path) -> None:
    """Bytes pass as they are; a name that the wildcard does not stand for, or none, is closed."""
    port = live.free_port()
    cluster = replace(b.cluster("wiki", port, protocol=Protocol.TLS, secure=False), host=WILDCARD)
    cluster = replace(cluster, resolution=Resolution.DYNAMIC)
    frontend = b.frontend("wiki", port, address="127.240.0.1", protocol=Protocol.TLS)
    frontend = replace(frontend, host=WILDCARD, dynamic=True)
    view = replace(b.view("client", frontend, cluster), outbound_port=port)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    with tls_echo(tmp_path) as upstream, live.running(to_port(loopback.client(view, {}), upstream)):
        for name, served in (("en.localhost", True), ("elsewhere.example", False)):
            with socket.create_connection(("127.240.0.1", port), timeout=5) as raw:
                if served:
                    with trusting.wrap_socket(raw, server_hostname=name) as stream:
                        stream.sendall(b"hello")
                        assert stream.recv(5) == b"hello"
                else:
                    with pytest.raises((ssl.SSLError, ConnectionError)):
                        trusting.wrap_socket(raw, server_hostname=name)


def test_a_range_of_addresses_is_one_service() -> None:
    """Every address of the range has the rules of the service and its port, and goes to the one that was dialled."""
    port = live.free_port()
    cluster = b.cluster("range", port, resolution=Resolution.STATIC, secure=False)
    frontend = replace(b.frontend("range", port, address=""), ranges=("127.250.0.0/24",))
    view = replace(b.view("client", frontend, cluster), outbound_port=port)
    with live.apps("range") as apps:
        held = loopback.client(view, {"range": b.endpoint("127.0.0.1", apps["range"].port)})
        with live.running(held):
            assert live.request(("127.250.0.1", port)).app == "range"
            assert live.request(("127.250.0.77", port)).app == "range"


def asking(resources: ResourceSet, server: int) -> ResourceSet:
    """The same with clusters whose names are asked of that name server."""
    clusters = dict(resources.of(types.CLUSTER))
    for name, item in resources.of(types.CLUSTER).items():
        message = cluster_pb2.Cluster.FromString(item.body)
        config = dns_cluster_pb2.DnsCluster()
        if message.cluster_type.typed_config.Unpack(config):
            resolver = cares_dns_resolver_pb2.CaresDnsResolverConfig(
                resolvers=[proto.socket_address("127.0.0.1", server)]
            )
            config.typed_dns_resolver_config.CopyFrom(proto.extension("envoy.network.dns_resolver.cares", resolver))
            message.cluster_type.typed_config.Pack(config)
            clusters[name] = entry_of(name, message)
    return resources.replaced(types.CLUSTER, clusters)


@pytest.mark.parametrize(("resolution", "endpoints"), [(Resolution.DNS, 2), (Resolution.LOGICAL_DNS, 1)])
def test_trap_28_dns_round_robin_takes_one_address_a_connection(resolution: Resolution, endpoints: int) -> None:
    """DNS makes every address an endpoint; DNS_ROUND_ROBIN has one, of which a connection takes one address."""
    port = live.free_port()
    with live.apps("named") as apps, dns.answering("127.0.0.1", "127.0.0.2") as server:
        cluster = replace(
            b.cluster("named", port, resolution=resolution, secure=False),
            endpoints=(("named.example", apps["named"].port),),
        )
        view = replace(b.view("client", b.frontend("named", port, address="127.240.0.1"), cluster), outbound_port=port)
        with live.running(asking(loopback.client(view, {}), server)) as admin:
            assert live.request(("127.240.0.1", port)).app == "named"
            assert f"membership_total: {endpoints}" in live.ask_admin(admin, "/stats?filter=named.*membership_total")
