"""Services and ServiceEntries: protocols of ports, addresses, owners of hosts."""

import pytest

from plait.model.services import Protocol, Resolution, Service
from plait.model.snapshot import Snapshot
from plait.model.traffic import ClusterKey
from plait.resources.parse import Resource
from plait.snapshot.build import Builder
from plait.snapshot.services import entry_name, service_host
from tests.snapshot.resources_builders import (
    Document,
    built,
    conditions,
    key_of,
    name_of,
    outsider,
    resource,
    service,
    service_entry,
    snapshot_of,
    workload,
)


def found(snapshot: Snapshot, name: str) -> Service:
    return snapshot.services[service_host(name_of(name))]


def protocol(port: dict[str, object], *others: Resource) -> Protocol:
    return (
        found(snapshot_of(service("app", {"port": 80, "targetPort": 8080, **port}), *others), "app").ports[0].protocol
    )


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ({"appProtocol": "http"}, "http"),
        ({"appProtocol": "kubernetes.io/h2c"}, "http2"),
        ({"appProtocol": "kubernetes.io/ws"}, "http"),
        ({"appProtocol": "grpc"}, "grpc"),
        ({"appProtocol": "tcp", "name": "http"}, "tcp"),
        ({"appProtocol": "https"}, "tls"),
        ({"appProtocol": "acme.com/own", "name": "grpc-api"}, "grpc"),
        ({"name": "http2-web"}, "http2"),
        ({"name": "h2c"}, "http2"),
        ({"name": "grpc-web"}, "http"),
        ({"name": "tcp-admin"}, "tcp"),
        ({"name": "mongo"}, "tcp"),
        ({"name": "postgres"}, "tcp"),
        ({"name": "tls"}, "tls"),
        ({"name": "web", "port": 5432}, "tcp"),
        ({"name": "web", "targetPort": 6379}, "tcp"),
        ({"name": "web", "port": 443}, "tls"),
        ({"name": "web"}, "http"),
    ],
)
def test_what_a_port_speaks(port: Document, expected: str):
    """appProtocol, then the name's prefix, then the well-known number, then HTTP."""
    assert protocol(port) == expected


def test_registrations_tell_what_a_port_speaks():
    """An undeclared port speaks what the workloads behind it registered; where they disagree, what suits all."""
    tcp = workload("app-1", app="app", protocols="8080=tcp")
    http = workload("app-2", "10.0.0.2", app="app", protocols="8080=http")
    newer = workload("app-3", "10.0.0.3", app="app", protocols="8080=http2")

    assert protocol({"name": "web"}, tcp) == "tcp"
    assert protocol({"name": "web"}, newer) == "http2"
    assert protocol({"name": "web"}, newer, http) == "http"
    assert protocol({"name": "web"}, http, tcp) == "tcp"
    assert protocol({"name": "http"}, tcp) == "http"


def test_udp_ports_are_left_out():
    """The mesh carries TCP; a port number with both transports is the TCP one."""
    dns = service(
        "dns", {"port": 53, "protocol": "UDP"}, {"port": 53, "name": "tcp-dns"}, {"port": 54, "protocol": "UDP"}
    )

    assert [(port.number, port.protocol) for port in found(snapshot_of(dns), "dns").ports] == [(53, "tcp")]


def test_headless():
    """A headless Service has no address of its own."""
    service_ = found(snapshot_of(service("db", address="None")), "db")

    assert (service_.headless, service_.address) == (True, "")


def test_an_external_name_is_resolved_by_dns():
    """ExternalName leads to that name, outside the mesh."""
    snapshot = snapshot_of(service("api", address="240.240.0.9", type="ExternalName", externalName="api.example.com"))

    service_ = found(snapshot, "api")
    assert (service_.resolution, service_.external) == (Resolution.DNS, True)
    (endpoint,) = snapshot.endpoints[ClusterKey(service=name_of("api"), port=80)]
    assert (endpoint.address, endpoint.identity) == ("api.example.com", "")


def test_an_unchanged_service_stays_the_same_object():
    """Writing a Service again with the same meaning touches nothing."""
    builder = built(service("a"), service("b", address="240.240.0.2"))
    before = builder.snapshot

    update = builder.update([service("a", labels={"team": "x"})])

    assert found(update.snapshot, "a") is found(before, "a")
    assert update.snapshot.services is before.services
    assert not update.touched
    assert update.snapshot.revision == before.revision


def entry(snapshot: Snapshot, host: str) -> Service:
    return snapshot.services[host]


def endpoints(snapshot: Snapshot, host: str, port: int = 80) -> list[tuple[str, int]]:
    key = ClusterKey(service=entry_name("default", host), port=port)
    return [(item.address, item.port) for item in snapshot.endpoints[key]]


def test_static_entry():
    """Listed endpoints, with ports by name, weights, and an identity where one is proven inside the mesh."""
    listed = [
        {"address": "192.0.2.1", "ports": {"http": 8081}, "weight": 3, "locality": "eu/a"},
        {"address": "192.0.2.2", "serviceAccount": "legacy"},
    ]
    ports = [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}]
    snapshot = snapshot_of(
        service_entry("e", "legacy.corp", ports=ports, location="MESH_INTERNAL", resolution="STATIC", endpoints=listed)
    )

    key = ClusterKey(service=entry_name("default", "legacy.corp"), port=80)
    first, second = snapshot.endpoints[key]
    assert (first.address, first.port, first.weight, first.locality, first.identity) == (
        "192.0.2.1",
        8081,
        3,
        "eu/a",
        "",
    )
    assert (second.port, second.identity) == (8080, "spiffe://cluster.local/ns/default/sa/legacy")
    assert snapshot.identities[key] == ("spiffe://cluster.local/ns/default/sa/legacy",)
    assert not entry(snapshot, "legacy.corp").external


def test_dns_entry():
    """Without endpoints the host itself is resolved; the protocol and the allocated address are the entry's."""
    made = service_entry(
        "e",
        "api.example.com",
        ports=[{"number": 443, "name": "tls", "protocol": "TLS"}],
        resolution="DNS",
        given={"api.example.com": "240.240.7.7"},
    )
    snapshot = snapshot_of(made)

    service_ = entry(snapshot, "api.example.com")
    assert (service_.address, service_.external, service_.resolution) == ("240.240.7.7", True, Resolution.DNS)
    assert service_.ports[0].protocol == "tls"
    assert endpoints(snapshot, "api.example.com", 443) == [("api.example.com", 443)]


def test_dns_entry_with_endpoints():
    """Endpoints with names of their own are resolved in place of the host."""
    made = service_entry("e", "api.example.com", resolution="DNS", endpoints=[{"address": "a.example.com"}])

    assert endpoints(snapshot_of(made), "api.example.com") == [("a.example.com", 80)]


def test_none_entry():
    """NONE goes where the caller dialled; there are no endpoints to know."""
    snapshot = snapshot_of(service_entry("e", "db.corp", addresses=["192.0.2.7/32"], resolution="NONE"))

    assert (entry(snapshot, "db.corp").resolution, entry(snapshot, "db.corp").address) == (Resolution.NONE, "192.0.2.7")
    assert endpoints(snapshot, "db.corp") == []


def test_entry_over_workloads():
    """A workloadSelector makes WorkloadEntries of the namespace the endpoints, as a Service's selector does."""
    made = service_entry(
        "e", "vm.corp", location="MESH_INTERNAL", resolution="STATIC", workloadSelector={"labels": {"app": "vm"}}
    )
    inside, outside = workload("vm-1", "10.0.0.5", app="vm"), outsider("vm-2", "192.0.2.5", app="vm")
    snapshot = snapshot_of(made, inside, outside, workload("other/vm-3", app="vm"))

    assert endpoints(snapshot, "vm.corp") == [("10.0.0.5", 80), ("192.0.2.5", 80)]
    key = ClusterKey(service=entry_name("default", "vm.corp"), port=80)
    assert [bool(item.identity) for item in snapshot.endpoints[key]] == [True, False]


def test_each_host_is_a_service():
    """An entry with several hosts makes one service a host, each with the address it was given."""
    snapshot = snapshot_of(
        service_entry("e", "a.corp", "b.corp", given={"a.corp": "240.240.1.1", "b.corp": "240.240.1.2"})
    )

    assert [entry(snapshot, host).address for host in ("a.corp", "b.corp")] == ["240.240.1.1", "240.240.1.2"]


def test_a_short_host_is_no_service_of_that_name():
    """A ServiceEntry's host without dots does not mix with a Service of that name."""
    snapshot = snapshot_of(
        service("db"), service_entry("e", "db", resolution="STATIC", endpoints=[{"address": "192.0.2.1"}])
    )

    assert endpoints(snapshot, "db") == [("192.0.2.1", 80)]
    assert snapshot.endpoints[ClusterKey(service=name_of("db"), port=80)] == ()


def status(builder: Builder, name: str):
    return conditions(builder.statuses["ServiceEntry", name_of(name)].conditions)


def test_a_host_belongs_to_the_older_entry():
    """The younger entry of one host that cannot be joined is told; when the older one goes, it takes over."""
    older = service_entry("z", "a.corp", created=1)
    younger = service_entry("a", "a.corp", created=2, exportTo=["."])
    builder = built(younger, older)

    assert entry(builder.snapshot, "a.corp").origin.name == "z"
    assert status(builder, "z") == {"Accepted": ("True", "Accepted")}
    assert status(builder, "a") == {"Accepted": ("False", "Conflicted")}

    builder.update([], [key_of(older)])
    assert entry(builder.snapshot, "a.corp").origin.name == "a"
    assert status(builder, "a") == {"Accepted": ("True", "Accepted")}


def test_a_service_owns_its_host():
    """An entry for a Service's host never takes it; with other hosts it stays in force for those."""
    builder = built(service("shop"), service_entry("e", service_host(name_of("shop")), "a.corp"))

    assert found(builder.snapshot, "shop").origin.kind == "Service"
    assert status(builder, "e") == {"Accepted": ("True", "Accepted"), "PartiallyInvalid": ("True", "Conflicted")}


def test_kinds_that_say_nothing_about_traffic_are_ignored():
    """A ServiceAccount or an unknown kind goes by."""
    update = built().update([resource("v1", "ServiceAccount", "c"), resource("acme.com/v1", "Thing", "t")])

    assert (update.work, bool(update.touched)) == ({}, False)
