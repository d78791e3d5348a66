"""Several ServiceEntries for one host: what they say together, and what the later ones are told."""

from typing import Any

import pytest

from plait.model.services import Protocol, Resolution, Service
from plait.model.traffic import ClusterKey
from plait.resources.parse import Resource
from plait.snapshot.build import Builder
from tests.snapshot.resources_builders import Document, conditions, key_of, name_of, service_entry

HOST = "api.corp"
HTTP: list[Document] = [{"number": 80, "name": "http", "protocol": "HTTP"}]
WEB: list[Document] = [{"number": 80, "name": "web", "protocol": "HTTP", "targetPort": 8080}]
TLS: list[Document] = [{"number": 443, "name": "tls", "protocol": "TLS"}]
TCP: list[Document] = [{"number": 80, "name": "tcp", "protocol": "TCP"}]


def told(builder: Builder, name: str) -> dict[str, tuple[str, str]]:
    """The conditions of a ServiceEntry."""
    return conditions(builder.statuses["ServiceEntry", name_of(name)].conditions)


def entry(name: str, *addresses: str, at: int, **fields: Any) -> Resource:
    """A ServiceEntry for the host, made at that minute, with these endpoints."""
    written: dict[str, Any] = {"resolution": "STATIC" if addresses else "DNS", **fields}
    if addresses:
        written["endpoints"] = [{"address": address} for address in addresses]
    return service_entry(name, HOST, created=at, **written)


def update(builder: Builder, *resources: Resource) -> Service:
    """The service of the host after these objects were set."""
    return builder.update(resources).snapshot.services[HOST]


def places(builder: Builder, service: Service, port: int) -> list[tuple[str, int]]:
    """Where calls to a port of the host go."""
    found = builder.snapshot.endpoints[ClusterKey(service=service.name, port=port)]
    return [(item.address, item.port) for item in found]


def test_entries_of_a_namespace_add_ports_and_endpoints() -> None:
    """A port has the endpoints of the entries that declare it, at the ports that these mean by their own names."""
    builder = Builder()
    service = update(
        builder,
        entry("first", "192.0.2.1", at=1, ports=HTTP),
        entry("second", "192.0.2.2", at=2, ports=WEB),
        entry("third", "192.0.2.3", at=3, ports=TLS),
    )

    assert [(port.number, port.name, port.protocol) for port in service.ports] == [
        (80, "http", Protocol.HTTP),
        (443, "tls", Protocol.TLS),
    ]
    assert places(builder, service, 80) == [("192.0.2.1", 80), ("192.0.2.2", 8080)]
    assert places(builder, service, 443) == [("192.0.2.3", 443)]
    for name in ("first", "second", "third"):
        assert told(builder, name) == {"Accepted": ("True", "Accepted")}


def test_an_entry_that_goes_takes_what_it_added() -> None:
    """The others stay as they are; without the oldest the next one decides."""
    builder = Builder()
    first, second = entry("first", "192.0.2.1", at=1, ports=HTTP), entry("second", "192.0.2.2", at=2, ports=TLS)
    update(builder, second, first)
    builder.update((), [key_of(second)])
    service = builder.snapshot.services[HOST]
    assert ([port.number for port in service.ports], places(builder, service, 80)) == ([80], [("192.0.2.1", 80)])
    update(builder, second)
    builder.update((), [key_of(first)])
    service = builder.snapshot.services[HOST]
    assert ([port.number for port in service.ports], places(builder, service, 443)) == ([443], [("192.0.2.2", 443)])


def test_a_port_keeps_the_protocol_of_the_older_entry() -> None:
    """The younger one is told of the conflict, adds no endpoint there, and its other ports are in force."""
    builder = Builder()
    service = update(
        builder,
        entry("younger", "192.0.2.2", at=2, ports=TCP + TLS),
        entry("older", "192.0.2.1", at=1, ports=HTTP),
    )

    assert [(port.number, port.protocol) for port in service.ports] == [(80, Protocol.HTTP), (443, Protocol.TLS)]
    assert places(builder, service, 80) == [("192.0.2.1", 80)]
    assert places(builder, service, 443) == [("192.0.2.2", 443)]
    assert told(builder, "older") == {"Accepted": ("True", "Accepted")}
    found = told(builder, "younger")
    assert found["Accepted"] == ("True", "Accepted")
    assert found["PartiallyInvalid"] == ("True", "ProtocolConflict")

    update(builder, entry("younger", "192.0.2.2", at=2, ports=HTTP))
    assert told(builder, "younger") == {"Accepted": ("True", "Accepted")}


@pytest.mark.parametrize(
    "fields",
    [
        {"resolution": "DNS_ROUND_ROBIN"},
        {"location": "MESH_INTERNAL"},
        {"exportTo": ["."]},
        {"resolution": "STATIC", "workloadSelector": {"labels": {"app": "a"}}},
    ],
)
def test_entries_that_are_found_otherwise_are_not_joined(fields: dict[str, Any]) -> None:
    """How a host is found and who sees it is one for all: the younger entry is refused, whatever its ports."""
    builder = Builder()
    service = update(builder, entry("older", at=1, ports=HTTP), entry("younger", at=2, ports=TLS, **fields))
    assert (service.resolution, [port.number for port in service.ports]) == (Resolution.DNS, [80])
    assert told(builder, "younger") == {"Accepted": ("False", "Conflicted")}


def test_teams_that_say_the_same_for_themselves_both_see_the_host() -> None:
    """Two namespaces that each declare a host outside, for their own only; a third does not see it."""
    builder = Builder()
    one = entry("shop/api", at=1, ports=TLS, exportTo=["."], given={HOST: "240.240.1.1"})
    other = entry("billing/api", at=2, ports=TLS, exportTo=["."], given={HOST: "240.240.1.2"})
    service = update(builder, one, other)

    assert service.exported_to == ("billing", "shop")
    assert (service.name.namespace, service.address) == ("shop", "240.240.1.1")
    assert told(builder, "billing/api") == {"Accepted": ("True", "Accepted")}

    service = update(builder, entry("billing/api", at=2, ports=HTTP, exportTo=["."]))
    assert service.exported_to == ("shop",)
    assert told(builder, "billing/api") == {"Accepted": ("False", "Conflicted")}


def test_the_order_of_changes_does_not_matter() -> None:
    """The same entries give the same service however they came."""
    entries = [
        entry("a", "192.0.2.1", at=3, ports=HTTP),
        entry("b", "192.0.2.2", at=1, ports=TCP),
        entry("c", "192.0.2.3", at=2, ports=TLS),
    ]
    together, one_by_one = Builder(), Builder()
    expected = update(together, *entries)
    for item in entries:
        update(one_by_one, item)
    assert one_by_one.snapshot.services[HOST] == expected
    assert one_by_one.snapshot.endpoints == together.snapshot.endpoints
    assert one_by_one.statuses == together.statuses
