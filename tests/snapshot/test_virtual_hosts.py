"""Hosts that only a VirtualService has: addresses, ports, who sees them, and who goes before them."""

from typing import Any

from plait.controlplane.admission import Admission
from plait.model.ids import ClusterKey
from plait.resources.parse import Resource
from plait.snapshot.names import name_of as answer_of
from plait.snapshot.names import resolve_host
from tests.snapshot.resources_builders import built, key_of, name_of, resource, service
from tests.snapshot.virtual_service_builders import V2, message, status, to, virtual_service

API = "api.shop"
ADDRESS = "240.240.9.1"


def of_api(name: str = "vs", *http: dict[str, Any], address: str = ADDRESS, **fields: Any) -> Resource:
    """A VirtualService for api.shop whose host got that address."""
    given = {"addresses": [{"host": API, "value": address}]}
    written = {key: fields.pop(key) for key in ("created",) if key in fields}
    spec = {"hosts": [API], "http": list(http or (to("v2"),)), **fields}
    return resource("networking.istio.io/v1", "VirtualService", name, spec=spec, status=given, **written)


def test_a_host_of_its_own_is_called_at_port_80():
    """DNS answers its address; the rules lead elsewhere, and nothing is left over."""
    builder = built(V2, of_api())
    snapshot = builder.snapshot

    assert resolve_host(snapshot, "api.shop", "default") == API
    answer = answer_of(snapshot, API)
    assert answer is not None
    assert (answer.addresses, answer.ports) == ((ADDRESS,), (80,))
    rules, closed = snapshot.frontends[API, 80].rules_for("default")
    assert closed
    assert rules[0].destinations[0].cluster == ClusterKey(service=name_of("v2"), port=9080)
    assert status(builder) == {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}


def test_ports_of_matches_and_destinations_are_ports_of_the_host():
    """HTTP where `http` says so, TLS and TCP where the other lists do."""
    vs = of_api(
        "vs",
        {"match": [{"port": 8080}], "route": [{"destination": {"host": "v2", "port": {"number": 9080}}}]},
        tls=[{"match": [{"sniHosts": [API]}], "route": [{"destination": {"host": "v2"}}]}],
        tcp=[{"match": [{"port": 5432}], "route": [{"destination": {"host": "v2"}}]}],
    )

    ports = {port.number: port.protocol.value for port in built(V2, vs).snapshot.services[API].ports}
    assert ports == {80: "http", 443: "tls", 5432: "tcp", 8080: "http", 9080: "http"}


def test_a_service_or_entry_that_the_name_may_mean_goes_first():
    """`api.shop` is the Service api of namespace shop as soon as there is one, and again the host when it is gone."""
    meant = service("shop/api")
    builder = built(V2, of_api())

    builder.update([meant])
    assert API not in builder.snapshot.services
    assert resolve_host(builder.snapshot, "api.shop", "default") == "api.shop.svc.cluster.local"
    builder.update([], [key_of(meant)])
    assert builder.snapshot.services[API].address == ADDRESS
    entry = {"hosts": [API], "resolution": "DNS", "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]}
    builder.update([resource("networking.istio.io/v1", "ServiceEntry", "api", spec=entry)])
    assert builder.snapshot.services[API].origin.kind == "ServiceEntry"
    builder.update([], [key_of(of_api())])
    assert builder.snapshot.services[API].origin.kind == "ServiceEntry"


def test_nothing_can_be_sent_to_it():
    """As in Istio a destination is a service: the share fails, and the condition says so."""
    builder = built(of_api("vs", to(API)))

    (rule,) = builder.snapshot.frontends[API, 80].rules_for("default")[0]
    assert (rule.destinations[0].cluster, rule.destinations[0].status) == (None, 503)
    assert "api.shop is no service of the mesh" in message(builder, "ResolvedRefs")


def test_namespaces_share_a_host_by_exports():
    """Each namespace gets the rules that it sees; one that sees none does not know the name."""
    own = of_api("shop/a", to("v2.default"), exportTo=["."], created=1)
    other = of_api("pay/b", to("v2.default"), address="240.240.9.2", exportTo=["."], created=2)
    builder = built(V2, own, other)
    snapshot = builder.snapshot

    assert snapshot.services[API].exported_to == ("pay", "shop")
    frontend = snapshot.frontends[API, 80]
    assert frontend.rules_for("shop")[0][0].name.startswith("shop/a")
    assert frontend.rules_for("pay")[0][0].name.startswith("pay/b")
    assert resolve_host(snapshot, API, "default") is None
    builder.update([], [key_of(own)])
    assert builder.snapshot.services[API].exported_to == ("pay",)


def test_names_of_services_stay_unknown():
    """A mistyped name of a Service gets no address, nor does a wildcard, nor a host that only a Gateway serves."""
    admission = Admission()

    def stored(gateways: list[str], *hosts: str) -> list[str]:
        written = virtual_service("vs", to("v2"), hosts=hosts, gateways=gateways).document
        admitted, refused = admission.admit(dict(written), None)
        assert not refused
        return [item["host"] for item in admitted.get("status", {}).get("addresses", ())]

    assert stored([], "reviewz", "a.svc", "b.c.svc.cluster.local", "*.d.example", "192.0.2.1") == []
    assert stored(["public"], API) == []
    assert stored(["public", "mesh"], API, "reviews") == [API]
    assert stored([], API) == [API]
