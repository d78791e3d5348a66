"""Workloads called by their own address: what is demanded, what is reached, with which identity."""

from typing import Any

import pytest

from plait.model.snapshot import Snapshot
from plait.model.view import DirectEndpoint, NameRecord
from plait.resources.parse import Resource
from plait.snapshot.names import name_of as record_of
from plait.snapshot.names import possible_hosts, resolve_host
from plait.snapshot.project import project
from tests.snapshot.resources_builders import (
    built,
    gateway,
    gateway_proxy,
    key_of,
    listener,
    name_of,
    peer_authentication,
    resource,
    service,
    snapshot_of,
    workload,
)

NODES = (resource("v1", "Node", "here", spec={"podCIDR": "10.7.1.0/24"}),)
APP = workload("app", "10.7.1.9")
DB_IDENTITY = "spiffe://cluster.local/ns/default/sa/db"


def database(address: str = "10.7.1.2", **notes: Any) -> Resource:
    return workload("db-0", address, app="db", account="db", ports={"pg": 5432}, **notes)


def mesh(*resources: Resource) -> Snapshot:
    return snapshot_of(*NODES, APP, *resources)


def called(snapshot: Snapshot, *demand: str) -> tuple[DirectEndpoint, ...]:
    return project(snapshot, name_of("app"), frozenset(demand)).direct


def test_a_dialled_address_and_port_is_one_endpoint():
    """The workload there is called at that port alone, and must prove its identity."""
    (found,) = called(mesh(database()), "10.7.1.2:5432")

    assert (found.identity, found.workload, found.reached) == (DB_IDENTITY, "default/db-0", ("10.7.1.2", 5432))


def test_on_another_machine_it_is_reached_at_the_published_port():
    """The dialled address exists on its own machine only; from others the machine's address stands in for it."""
    other = database("10.7.2.2", node="there", machine_address="192.0.2.1", published="5432=31000")
    (found,) = called(mesh(other), "10.7.2.2:5432")

    assert (found.address, found.port, found.reached) == ("10.7.2.2", 5432, ("192.0.2.1", 31000))
    assert found.identity == DB_IDENTITY


@pytest.mark.parametrize("place", ["10.7.1.200:5432", "10.7.1.2:6000"])
def test_where_no_workload_is_the_call_is_plaintext_and_short(place: str):
    """An address or a port that no workload has is dialled as it is: the answer is at once, and never trusted."""
    (found,) = called(mesh(database()), place)

    assert (found.known, found.identity, found.reached) == (False, "", None)


def test_a_place_outside_the_range_is_no_demand():
    """Addresses of others, or what only looks like an address, are no names of the mesh."""
    snapshot = mesh(database())
    for text in ("192.0.2.1:80", "10.7.1.2", "10.7.1.999:80", "10.7.1.2:80000000", "db:5432"):
        assert resolve_host(snapshot, text, "default") is None
        assert record_of(snapshot, text) is None
    assert called(snapshot, "192.0.2.1:80") == ()


def test_the_name_of_an_address():
    """A dialled place always has a record, so that nothing waits; its address is in it if somebody is there."""
    snapshot = mesh(database())

    assert resolve_host(snapshot, "10.7.1.2:5432", "default") == "10.7.1.2:5432"
    assert record_of(snapshot, "10.7.1.2:5432") == NameRecord(
        host="10.7.1.2:5432", addresses=("10.7.1.2",), ports=(5432,), headless=True
    )
    assert record_of(snapshot, "10.7.1.2:6000") == NameRecord(
        host="10.7.1.2:6000", addresses=(), ports=(6000,), headless=True
    )
    assert "10.7.1.2" in possible_hosts("10.7.1.2:5432", "default")


@pytest.mark.parametrize(
    "change",
    [
        database("10.7.1.3"),
        workload("db-0", "10.7.1.2", app="db", account="other", ports={"pg": 5432}),
        database(node="there", machine_address="192.0.2.1", published="5432=31000"),
        workload("db-0", "10.7.1.2", app="db", account="db", ports={"pg": 5433}),
        peer_authentication("p", "DISABLE"),
    ],
)
def test_what_changes_for_callers_touches_the_address(change: Resource):
    """Callers by address are projected anew exactly because the address is among the touched hosts."""
    builder = built(*NODES, APP, database())
    before = called(builder.snapshot, "10.7.1.2:5432")
    update = builder.update([change])

    assert "10.7.1.2" in update.touched.hosts
    assert called(update.snapshot, "10.7.1.2:5432") != before


def test_a_workload_that_goes_touches_its_address():
    """Nobody goes on trusting an address whose workload is gone."""
    builder = built(*NODES, APP, database())
    update = builder.update([], [key_of(database())])

    assert "10.7.1.2" in update.touched.hosts
    assert not called(update.snapshot, "10.7.1.2:5432")[0].known


def test_readiness_touches_no_address():
    """A workload that is called by its own address is called whether it is ready or not."""
    update = built(*NODES, APP, database()).update([database(ready="false")])

    assert "10.7.1.2" not in update.touched.hosts


def test_a_port_that_only_a_service_leads_to_is_known():
    """A Service with a target port that the workload did not register makes it one of its ports."""
    builder = built(*NODES, APP, database())
    update = builder.update([service("db", {"port": 80, "targetPort": 6000})])

    assert "10.7.1.2" in update.touched.hosts
    (found,) = called(update.snapshot, "10.7.1.2:6000")
    assert (found.known, found.identity) == (True, DB_IDENTITY)


def test_a_gateway_is_called_in_plaintext():
    """The proxy of a Gateway serves callers without identity, on the ports of its listeners."""
    proxy = gateway_proxy("edge-1", address="10.7.1.5", serves="edge")
    snapshot = mesh(gateway("edge", listener("http", 80)), proxy)
    listening, other = called(snapshot, "10.7.1.5:80", "10.7.1.5:81")

    assert (listening.known, listening.identity, listening.reached) == (True, "", ("10.7.1.5", 80))
    assert not other.known


def test_a_port_without_mutual_tls_is_called_in_plaintext():
    """DISABLE takes nothing but plaintext, by address and by headless name alike; other ports stay as they were."""
    two = workload("db-0", "10.7.1.2", app="db", account="db", ports={"pg": 5432, "http": 8080})
    plain = peer_authentication("p", "STRICT", selector={"app": "db"}, ports={5432: "DISABLE"})
    headless = service("db", {"port": 5432, "targetPort": 5432}, address="None")
    snapshot = mesh(two, plain, headless)

    found = called(snapshot, "10.7.1.2:5432", "10.7.1.2:8080")
    assert [(item.port, item.identity, item.known) for item in found] == [(5432, "", True), (8080, DB_IDENTITY, True)]
    (by_name,) = called(snapshot, "db.default.svc.cluster.local")
    assert by_name.identity == ""
