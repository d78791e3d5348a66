"""Istio's Gateways: which proxies have them, what their status says, and when they are linked again."""

import base64
from typing import Any

from plait.model.gateways import ClientAddresses, ClientCertificates, GatewayListener
from plait.model.traffic import ClusterKey
from plait.resources.parse import Resource
from plait.snapshot.build import Builder
from plait.snapshot.link_edges import ISTIO_GATEWAY
from tests.envoy import certificates
from tests.snapshot.resources_builders import (
    NETWORKING,
    Document,
    built,
    conditions,
    key_of,
    name_of,
    resource,
    service,
)
from tests.snapshot.virtual_service_builders import to, virtual_service

WEB = service("web")


def gateway(name: str, *servers: Document, **fields: Any) -> Resource:
    """A Gateway for the proxies of `ingress`, unless it has another selector."""
    meta = {key: fields.pop(key) for key in ("created", "annotations") if key in fields}
    spec = {"selector": {"istio": "ingress"}, "servers": list(servers), **fields}
    return resource(NETWORKING, "Gateway", name, spec=spec, **meta)


def server(number: int = 80, *hosts: str, protocol: str = "HTTP", **tls: Any) -> Document:
    """A server of it."""
    port = {"number": number, "name": f"{protocol.lower()}-{number}", "protocol": protocol}
    return {"port": port, "hosts": list(hosts or ("*",)), **({"tls": tls} if tls else {})}


def proxy(name: str = "ingress", namespace: str = "edge") -> Resource:
    """The proxy that `plait gateway NAME` started."""
    notes = {"plait.dev/node": "here", "plait.dev/kind": "gateway", "plait.dev/gateway": f"{namespace}/{name}"}
    spec = {"address": "10.0.0.9"}
    return resource(NETWORKING, "WorkloadEntry", f"{namespace}/{name}", annotations=notes, spec=spec)


def secret(name: str, **more: bytes) -> Resource:
    """A Secret with a certificate."""
    chain, key = certificates.shared().leaf("", "shop.example")
    data = {"tls.crt": chain, "tls.key": key, **{field.replace("_", "."): value for field, value in more.items()}}
    encoded = {field: base64.b64encode(value).decode() for field, value in data.items()}
    return resource("v1", "Secret", name, type="kubernetes.io/tls", data=encoded)


def listeners(builder: Builder, name: str = "edge/ingress") -> tuple[GatewayListener, ...]:
    """What a proxy has by Istio's Gateways."""
    return builder.snapshot.edges.get(name_of(name), ())


def status(builder: Builder, name: str) -> dict[str, tuple[str, str]]:
    """Status and reason of each condition."""
    return conditions(builder.statuses[ISTIO_GATEWAY, name_of(name)].conditions)


def test_trap_30_a_selector_chooses_proxies_in_every_namespace_and_none_chooses_all() -> None:
    """The proxies' labels are `istio: NAME` and `app: NAME`; a wildcard does not cover its own domain."""
    chosen, everywhere = gateway("a", server(80, "*.example.com")), gateway("b", server(81), selector={})
    other = gateway("c", server(82), selector={"istio": "other"})
    builder = built(proxy(), chosen, everywhere, other, WEB)

    assert [item.port for item in listeners(builder)] == [80, 81]
    assert status(builder, "a")["Programmed"] == ("True", "Programmed")
    assert status(builder, "c")["Programmed"] == ("False", "Pending")

    rules = virtual_service("vs", to("web"), hosts=("example.com", "a.example.com"), gateways=["a"])
    builder.update([rules])
    assert [rule.hostnames for rule in listeners(builder)[0].rules] == [("a.example.com",)]


def test_virtual_services_are_bound_by_name() -> None:
    """A short name is in the VirtualService's namespace; `mesh` rules do not act here, nor those of other ports."""
    routes = [to("web", name="here"), to("web", name="mesh", match=[{"uri": {"prefix": "/"}, "gateways": ["mesh"]}])]
    builder = built(proxy(), gateway("a", server()), WEB, virtual_service("vs", *routes, hosts=("*",), gateways=["a"]))

    assert [rule.name for rule in listeners(builder)[0].rules] == ["default/vs/here"]

    elsewhere = virtual_service("shop/vs2", to("web"), hosts=("*",), gateways=["a"])
    assert [rule.name for rule in listeners(built(proxy(), gateway("a", server()), WEB, elsewhere))[0].rules] == []


def test_a_server_may_be_for_one_namespace_only() -> None:
    """`./HOST` is for VirtualServices of the Gateway's namespace, `NS/HOST` for those of another."""
    bound = [
        virtual_service(f"{ns}/vs", to("web.default"), hosts=("*",), gateways=["default/a"])
        for ns in ("default", "shop")
    ]
    for written, names in (("./*", ["default"]), ("shop/*", ["shop"]), ("*", ["default", "shop"])):
        builder = built(proxy(), gateway("a", server(80, written)), WEB, *bound)
        assert [rule.name.partition("/")[0] for rule in listeners(builder)[0].rules] == names


def test_secrets_are_in_the_namespace_of_the_proxy() -> None:
    """A server without its Secret is left out and says so; it comes back with the Secret."""
    https = server(443, "shop.example", protocol="HTTPS", mode="SIMPLE", credentialName="shop-tls")
    builder = built(proxy(), gateway("a", https, server()), WEB, secret("default/shop-tls"))

    assert [item.port for item in listeners(builder)] == [80]
    assert status(builder, "a")["PartiallyInvalid"] == ("True", "InvalidCertificateRef")

    builder.update([secret("edge/shop-tls")])
    assert [item.port for item in listeners(builder)] == [443, 80]
    assert name_of("edge/shop-tls") in builder.snapshot.certificates
    assert "PartiallyInvalid" not in status(builder, "a")

    builder.update([], [key_of(secret("edge/shop-tls"))])
    assert name_of("edge/shop-tls") not in builder.snapshot.certificates


def test_clients_are_checked_against_the_secret_s_authority() -> None:
    """MUTUAL needs ca.crt in the Secret, or a second Secret; without, the server is left out, never open."""
    mutual = server(443, protocol="HTTPS", mode="MUTUAL", credentialName="shop-tls", subjectAltNames=["a.example"])
    builder = built(proxy(), gateway("a", mutual), secret("edge/shop-tls"))
    assert listeners(builder) == ()

    builder.update([secret("edge/shop-tls", ca_crt=certificates.shared().bundle)])
    terms = listeners(builder)[0].terms
    assert (terms.clients, terms.names) == (ClientCertificates.REQUIRED, ("a.example",))
    assert terms.authorities == certificates.shared().bundle


def test_the_older_gateway_has_a_port_and_host() -> None:
    """Another protocol on its port, or its host again, is left out and told."""
    older, younger = gateway("b", server(), created=1), gateway("a", server(), created=2)
    tcp = gateway("c", server(80, protocol="TCP"), created=3)
    builder = built(proxy(), younger, older, tcp)

    assert [item.name for item in listeners(builder)] == ["default.b.80.any"]
    assert status(builder, "a")["PartiallyInvalid"] == ("True", "HostnameConflict")
    assert status(builder, "c")["PartiallyInvalid"] == ("True", "ProtocolConflict")


def test_what_is_not_supported_is_not_served() -> None:
    """AUTO_PASSTHROUGH and files are refused for their server alone."""
    auto = server(15443, protocol="TLS", mode="AUTO_PASSTHROUGH")
    builder = built(proxy(), gateway("a", auto, server()), gateway("b", auto))

    assert [item.port for item in listeners(builder)] == [80]
    assert status(builder, "a")["PartiallyInvalid"] == ("True", "UnsupportedValue")
    assert status(builder, "b")["Accepted"] == ("False", "UnsupportedValue")


def test_nothing_is_linked_that_does_not_depend() -> None:
    """A workload that is no gateway links nothing again; a deleted Gateway leaves nothing behind."""
    builder = built(proxy(), gateway("a", server()), WEB)
    plain = resource(NETWORKING, "WorkloadEntry", "w", spec={"address": "10.0.0.7"})

    assert builder.update([plain]).work["edges"] == 0
    removed = builder.update([], [key_of(gateway("a", server()))])
    assert removed.touched.workloads == {name_of("edge/ingress")}
    assert listeners(builder) == ()


def test_callers_bring_mutual_tls_to_ports_that_take_it() -> None:
    """A sidecar calls a gateway in plaintext, and by mutual TLS where its server is ISTIO_MUTUAL; both ways at once."""
    egress = service("edge/egress", 80, selector={"istio": "ingress"})
    key = ClusterKey(service=name_of("edge/egress"), port=80)
    target = server(8080, "api.example", protocol="HTTPS", mode="ISTIO_MUTUAL")
    builder = built(proxy(), egress)
    assert builder.snapshot.identities.get(key, ()) == ()

    builder.update([gateway("a", target)])
    assert builder.snapshot.identities[key] == ("spiffe://cluster.local/ns/edge/sa/default",)

    builder.update([], [key_of(gateway("a", target))])
    assert builder.snapshot.identities.get(key, ()) == ()


def test_who_clients_are_behind_other_proxies() -> None:
    """The annotation proxy.istio.io/config says it; what is no YAML, or no number, is told and changes nothing."""
    good = "gatewayTopology: {numTrustedProxies: 2, proxyProtocol: {}}"
    for text, expected in ((good, ClientAddresses(trusted_proxies=2, proxy_protocol=True)), ("", ClientAddresses())):
        made = gateway("a", server(), annotations={"proxy.istio.io/config": text})
        assert listeners(built(proxy(), made))[0].clients == expected

    for text in ("{", "gatewayTopology: {numTrustedProxies: many}", "gatewayTopology: 3"):
        builder = built(proxy(), gateway("a", server(), annotations={"proxy.istio.io/config": text}))
        assert listeners(builder)[0].clients == ClientAddresses()
        assert status(builder, "a")["PartiallyInvalid"] == ("True", "UnsupportedValue")
