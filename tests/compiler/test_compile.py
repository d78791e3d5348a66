"""What compiled views look like, judged by Envoy itself."""

from dataclasses import replace
from pathlib import Path

import pytest
from envoy.config.cluster.v3 import cluster_pb2

from plait.compiler import tcp
from plait.compiler.compile import compile_view
from plait.envoy import types
from plait.envoy.proto import to_seconds
from plait.envoy.references import missing_references
from plait.envoy.simulate import Call, simulate
from plait.model.services import Protocol
from tests import builders as b
from tests.envoy.real import validate


def test_a_caller_and_server_of_http_is_valid(tmp_path: Path) -> None:
    """A workload that calls one HTTP service and serves one HTTP port gets a configuration that Envoy accepts."""
    view = b.view("client", b.frontend("reviews"), b.cluster("reviews"), b.inbound(8080))
    assert validate(compile_view(view), tmp_path) == ""


def test_streams_and_direct_calls_are_valid(tmp_path: Path) -> None:
    """TCP services, direct endpoints and workload ranges share the listener with HTTP on the same port number."""
    view = b.view(
        "client",
        b.frontend("web", 5432, address="240.240.0.1"),
        b.cluster("web", 5432),
        b.frontend("db", 5432, address="240.240.0.2", protocol=Protocol.TCP),
        b.cluster("db", 5432, protocol=Protocol.TCP),
        b.direct("10.7.0.9", 8080, "web"),
    )
    view = replace(view, workload_addresses=("10.5.0.0/16",))
    assert validate(compile_view(view), tmp_path) == ""


def test_an_address_outside_the_mesh_is_dialled_as_it_is() -> None:
    """A direct call to a workload without identity is plaintext to the dialled address; a mesh one is mutual TLS."""
    compiled = compile_view(b.view("client", b.direct("10.1.0.9", 80), b.direct("10.1.0.8", 80, "web")))
    messages = [
        cluster_pb2.Cluster.FromString(compiled.of(types.CLUSTER)[f"direct/10.1.0.{n}:80"].body) for n in (9, 8)
    ]

    assert [message.type for message in messages] == [cluster_pb2.Cluster.ORIGINAL_DST, cluster_pb2.Cluster.STATIC]
    assert [message.HasField("transport_socket") for message in messages] == [False, True]


@pytest.mark.parametrize(("account", "secure"), [("web", True), ("", False)])
def test_a_workload_of_another_machine_is_reached_at_its_published_port(account: str, *, secure: bool) -> None:
    """Where the machine's address stands in for the workload's, the connection goes there; identity stays required."""
    endpoint = replace(b.direct("10.1.0.8", 80, account), reached=("192.0.2.1", 31000))
    compiled = compile_view(b.view("client", endpoint))
    message = cluster_pb2.Cluster.FromString(compiled.of(types.CLUSTER)["direct/10.1.0.8:80"].body)
    (place,) = message.load_assignment.endpoints[0].lb_endpoints

    address = place.endpoint.address.socket_address
    assert (address.address, address.port_value) == ("192.0.2.1", 31000)
    assert message.HasField("transport_socket") == secure


def test_dialling_where_nothing_is_known_ends_in_time() -> None:
    """All attempts together take less than the 3 s for which the connection would have waited for its cluster."""
    compiled = compile_view(b.view("client", replace(b.direct("10.1.0.8", 80), known=False)))
    message = cluster_pb2.Cluster.FromString(compiled.of(types.CLUSTER)["direct/10.1.0.8:80"].body)

    assert to_seconds(message.connect_timeout) * 3 < tcp.ON_DEMAND_TIMEOUT


def test_workloads_dialled_by_address_leave_the_listener_as_it_is() -> None:
    """The range of workloads' addresses has its chain already; an LDS change would drain open connections."""
    before = replace(b.view("client"), workload_addresses=("10.1.0.0/16",))
    after = replace(before, direct=(b.direct("10.1.0.8", 80, "web"),))

    assert compile_view(before).of(types.LISTENER) == compile_view(after).of(types.LISTENER)


def test_a_stale_reference_breaks_only_its_rule() -> None:
    """A rule to a cluster that the view does not have answers 500; other rules and the stream chains go on."""
    gone = b.frontend("db", 5432, address="240.240.0.2", protocol=Protocol.TCP)
    parts = (
        b.frontend("web", 80, b.rule("stale", b.path("/x"), gone=1), b.rule("good", red=1)),
        b.cluster("red"),
        gone,
    )
    compiled = compile_view(b.view("client", *parts))
    calls = [Call(address="240.240.0.1", path=path) for path in ("/x", "/y")]

    assert [simulate(compiled, call).status for call in calls] == [500, None]
    assert missing_references(compiled) == []
