"""ServiceEntries: resolutions, wildcards, ranges, who sees them, which names their servers prove."""

from typing import Any

import pytest

from plait.model.services import Capture, Resolution
from plait.model.snapshot import Snapshot
from plait.model.traffic import ClusterKey
from plait.model.view import View
from plait.snapshot.bounds import Bounds
from plait.snapshot.names import resolve_host, scope_keys
from plait.snapshot.project import project
from plait.snapshot.services import entry_name, service_host
from tests.snapshot.resources_builders import (
    Document,
    built,
    conditions,
    key_of,
    name_of,
    service,
    service_entry,
    snapshot_of,
    workload,
)

TCP: list[Document] = [{"number": 5432, "name": "tcp", "protocol": "TCP"}]
TLS: list[Document] = [{"number": 443, "name": "tls", "protocol": "TLS"}]


def view_of(snapshot: Snapshot, *demand: str, caller: str = "client") -> View:
    """What a caller's proxy holds that asked for these names."""
    bounds = Bounds.named(snapshot, name_of(caller))
    hosts = frozenset(bounds.resolve(name) or name for name in demand)
    return project(snapshot, name_of(caller), hosts)


@pytest.mark.parametrize(
    ("written", "host", "addresses", "resolution"),
    [
        ("STATIC", "a.corp", (), Resolution.STATIC),
        ("DNS", "a.corp", (), Resolution.DNS),
        ("DNS_ROUND_ROBIN", "a.corp", (), Resolution.LOGICAL_DNS),
        ("DYNAMIC_DNS", "*.corp", (), Resolution.DYNAMIC),
        ("DYNAMIC_DNS", "a.corp", (), Resolution.DNS),
        ("NONE", "a.corp", ("192.0.2.7",), Resolution.NONE),
        ("NONE", "a.corp", (), Resolution.DNS),
        ("NONE", "*.corp", (), Resolution.DYNAMIC),
    ],
)
def test_how_endpoints_are_found(written: str, host: str, addresses: tuple[str, ...], resolution: Resolution) -> None:
    """By what is written; without addresses, NONE means the address that the host's name has."""
    snapshot = snapshot_of(service_entry("e", host, resolution=written, addresses=list(addresses)))

    assert snapshot.services[host].resolution is resolution


def test_a_wildcard_stands_for_every_name_below_it() -> None:
    """At any depth, but not for the domain itself; a host of its own and a longer wildcard come first."""
    snapshot = snapshot_of(service_entry("e", "*.corp", "*.eu.corp", "a.corp", resolution="DYNAMIC_DNS"))

    assert resolve_host(snapshot, "b.corp", "default") == "*.corp"
    assert resolve_host(snapshot, "x.y.corp.", "default") == "*.corp"
    assert resolve_host(snapshot, "x.eu.corp", "default") == "*.eu.corp"
    assert resolve_host(snapshot, "a.corp", "default") == "a.corp"
    assert resolve_host(snapshot, "corp", "default") is None


def test_a_wildcard_takes_only_what_names_its_server() -> None:
    """A TCP port of a wildcard is left out, and the entry says so."""
    ports = [*TCP, {"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}]
    builder = built(service_entry("e", "*.corp", ports=ports))

    assert [port.number for port in builder.snapshot.services["*.corp"].ports] == [80]
    found = conditions(builder.statuses["ServiceEntry", name_of("e")].conditions)
    assert found["PartiallyInvalid"] == ("True", "UnsupportedValue")


def test_several_tcp_services_on_one_port_have_addresses_of_their_own() -> None:
    """What was matched by port alone elsewhere (one entry steals the port of all) is matched by address here."""
    hosts = {"one.corp": "240.240.1.1", "two.corp": "240.240.1.2"}
    snapshot = snapshot_of(workload("client"), service_entry("e", *hosts, ports=TCP, resolution="DNS", given=hosts))

    frontends = view_of(snapshot, *hosts).frontends

    assert [(item.host, item.address, item.port) for item in frontends] == [
        ("one.corp", "240.240.1.1", 5432),
        ("two.corp", "240.240.1.2", 5432),
    ]


def test_addresses_of_its_own_are_held_without_being_asked_for() -> None:
    """Nobody asks DNS before dialling an address, so every workload holds it as long as it is there."""
    entry = service_entry("e", "db.corp", addresses=["192.0.2.7", "198.51.100.0/24"], ports=TCP)
    builder = built(workload("client"), entry, service_entry("f", "web.corp", given={"web.corp": "240.240.1.1"}))

    frontends = view_of(builder.snapshot).frontends
    assert [(item.address, item.ranges) for item in frontends] == [("192.0.2.7", ("198.51.100.0/24",))]

    assert not view_of(builder.update([], [key_of(entry)]).snapshot).frontends


def test_who_sees_an_entry() -> None:
    """`.` is its own namespace, `*` every one, `~` none; others cannot resolve it, hold it or have its scopes."""
    given = {"a.corp": "240.240.1.1"}
    own = snapshot_of(workload("client"), workload("shop/client"), service_entry("shop/e", "a.corp", exportTo=["."]))

    assert resolve_host(own, "a.corp", "shop") == "a.corp"
    assert resolve_host(own, "a.corp", "default") is None
    assert not view_of(own, "a.corp").frontends
    for written, seen in ((["*"], True), (["default"], True), (["~"], False), (["."], False), ([], True)):
        snapshot = snapshot_of(workload("client"), service_entry("shop/e", "a.corp", exportTo=written, given=given))
        assert bool(view_of(snapshot, "a.corp").frontends) is seen
        bounds = Bounds.named(snapshot, name_of("client"))
        assert bool(bounds.scope_keys(Capture.TRANSPARENT)) is seen
        assert scope_keys(snapshot, Capture.TRANSPARENT)


def test_who_sees_a_service() -> None:
    """Its annotation says the same; a rule of a caller that does not see the destination gets 503 from it."""
    hidden = service("shop/reviews", annotations={"networking.istio.io/exportTo": "., tools"})
    snapshot = snapshot_of(workload("client"), hidden)
    host = service_host(name_of("shop/reviews"))

    assert [resolve_host(snapshot, host, caller) for caller in ("shop", "tools", "default")] == [host, host, None]
    assert not view_of(snapshot, host).frontends


def test_listed_names_are_what_servers_may_prove() -> None:
    """subjectAltNames of a service inside the mesh count beside the accounts of its endpoints."""
    listed = [{"address": "192.0.2.1"}, {"address": "192.0.2.2", "serviceAccount": "db"}]
    other, own = "spiffe://other/ns/x/sa/y", "spiffe://cluster.local/ns/default/sa/db"
    fields: dict[str, Any] = {
        "resolution": "STATIC",
        "endpoints": listed,
        "subjectAltNames": [other],
        "location": "MESH_INTERNAL",
    }
    snapshot = snapshot_of(service_entry("e", "db.corp", **fields))

    key = ClusterKey(service=entry_name("default", "db.corp"), port=80)
    assert snapshot.identities[key] == (own, other)
    assert [item.identity for item in snapshot.endpoints[key]] == [other, own]


def test_names_outside_the_mesh_are_no_identities() -> None:
    """Outside the mesh nobody proves anything until a DestinationRule asks for TLS, which reads the names."""
    snapshot = snapshot_of(service_entry("e", "a.corp", resolution="DNS", subjectAltNames=["a.corp"]))

    assert snapshot.identities.get(ClusterKey(service=entry_name("default", "a.corp"), port=80), ()) == ()
    assert snapshot.services["a.corp"].subject_alt_names == ("a.corp",)
