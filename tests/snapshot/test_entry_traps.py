"""Traps of ServiceEntries, one test each, named after the list of what is easy to get wrong."""

from plait.snapshot.project import project
from tests.snapshot.resources_builders import (
    NETWORKING,
    Document,
    built,
    conditions,
    name_of,
    resource,
    service,
    service_entry,
    snapshot_of,
    workload,
)

TCP: list[Document] = [{"number": 9000, "name": "tcp", "protocol": "TCP"}]


def test_trap_27_an_entry_without_addresses_steals_no_port() -> None:
    """A TCP port is matched by the address that was dialled: an entry takes nothing from others on that port."""
    given = {"one.corp": "240.240.1.1"}
    snapshot = snapshot_of(
        workload("client"),
        service("db", {"port": 9000, "name": "tcp"}, address="240.240.0.5"),
        service_entry("e", "one.corp", ports=TCP, given=given),
    )
    view = project(snapshot, name_of("client"), frozenset({"one.corp", "db.default.svc.cluster.local"}))

    assert {(item.address, item.port): item.host for item in view.frontends} == {
        ("240.240.1.1", 9000): "one.corp",
        ("240.240.0.5", 9000): "db.default.svc.cluster.local",
    }


def test_trap_27_an_entry_for_a_services_host_changes_nothing_of_it() -> None:
    """The Service keeps its host; the entry says that it belongs to somebody else."""
    builder = built(service("db"), service_entry("e", "db.default.svc.cluster.local", resolution="DNS"))

    assert builder.snapshot.services["db.default.svc.cluster.local"].origin.kind == "Service"
    status = conditions(builder.statuses["ServiceEntry", name_of("e")].conditions)
    assert status == {"Accepted": ("False", "Conflicted")}


def test_trap_29_without_a_word_everything_outside_may_be_called() -> None:
    """ALLOW_ANY is the default although the API's first value is REGISTRY_ONLY; a Sidecar must say that."""
    nothing = snapshot_of(workload("client"))
    assert not project(nothing, name_of("client"), frozenset()).refuses_unknown

    for written, refuses in (({}, False), ({"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}, True)):
        sidecar = resource(NETWORKING, "Sidecar", "s", spec={"egress": [{"hosts": ["*/*"]}], **written})
        snapshot = snapshot_of(workload("client"), sidecar)
        assert project(snapshot, name_of("client"), frozenset()).refuses_unknown is refuses
