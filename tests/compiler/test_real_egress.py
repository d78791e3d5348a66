"""An egress gateway in real Envoys: a sidecar calls it by mutual TLS, and it calls what is outside."""

from dataclasses import replace

import pytest

from plait.compiler.compile import compile_view
from plait.compiler.endpoints import cluster_endpoints
from plait.envoy import types
from plait.model.gateways import ClientCertificates, GatewayListener, TlsTerms
from plait.model.services import Protocol, WorkloadKind
from plait.model.traffic import Destination, Rule
from tests import builders as b
from tests.compiler import loopback
from tests.envoy import certificates, live, real

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

ADDRESS = "127.240.0.1"


def test_a_call_leaves_through_the_egress_gateway() -> None:
    """The caller's rule leads to the gateway; only callers with an identity of the mesh pass it; Host decides there."""
    port, edge_port = live.free_port(), live.free_port()
    terms = TlsTerms(clients=ClientCertificates.REQUIRED, mesh=True)
    outside = replace(b.rule("out", api=1), hostnames=("api.example",))
    listener = GatewayListener(
        name="egress", port=80, protocol=Protocol.HTTP, tls=True, terms=terms, rules=(outside,), separate_hosts=True
    )
    edge = replace(
        b.view("egress", b.cluster("api", secure=False), kind=WorkloadKind.GATEWAY),
        gateway=b.name("egress"),
        gateway_ports=((80, edge_port),),
        listeners=(listener,),
    )
    through = Rule(name="through", destinations=(Destination(cluster=b.key("egress", port)),))
    client = b.view("client", b.frontend("api", port, through, address=ADDRESS), b.cluster("egress", port))
    client = replace(client, outbound_port=port)
    authority, name = certificates.shared(), f"{b.host('api')}:80"
    with live.apps("api") as apps:
        endpoints = {name: cluster_endpoints(name, [b.endpoint("127.0.0.1", apps["api"].port)], node="")}
        held = compile_view(edge).replaced(types.ENDPOINT, endpoints)
        at_edge = b.endpoint("127.0.0.1", edge_port, service_account="egress")
        sidecar = loopback.client(client, {"egress": at_edge})
        with (
            live.running(held, real.secrets(authority, str(b.identity("egress")))),
            live.running(sidecar, real.secrets(authority, str(b.identity("client")))),
        ):
            assert live.request((ADDRESS, port), authority="api.example").app == "api"
            assert live.request((ADDRESS, port), authority="elsewhere.example").status == 404
            with pytest.raises(OSError, match=r"reset|closed|ended|refused|SSL|Broken"):
                live.request(("127.0.0.1", edge_port), authority="api.example")
