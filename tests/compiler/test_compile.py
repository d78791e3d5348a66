"""What compiled views look like, judged by Envoy itself."""

from dataclasses import replace
from pathlib import Path

from plait.compiler.compile import compile_view
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
