"""Whatever the order of changes of traffic management, calls that both old and new would serve are all answered.

HTTP on kept and new connections, POSTs, gRPC, TCP, a ServiceEntry and a server with TLS behind a BackendTLSPolicy, all
under counted load, while VirtualService, DestinationRule, the Gateway API's routes, ServiceEntry, Sidecar and
BackendTLSPolicy are applied and deleted in random order. Nothing is tried again by the caller.
"""

import contextlib
import http.server
import json
import random
import ssl
import threading
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from bench import counting
from plait.errors import NotFoundError
from tests.envoy import certificates
from tests.integration import traffic_walk as walks
from tests.integration.counted_load import CountedLoad, api
from tests.integration.machines import Machine, free_port, mesh, needs_root

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.timeout(180), needs_root]

STREAM_CALLS: Final = str(Path(__file__).with_name("stream_calls.py"))
STREAMS: Final = {
    "kept": {"url": "http://one/", "workers": 3, "pause": 0.02},
    "fresh": {"url": "http://one/", "fresh": True, "pause": 0.04},
    "posted": {"url": "http://one/", "method": "POST", "body": "x" * 2000, "pause": 0.03},
    "slow": {"url": "http://one/slow/0.4", "workers": 2},
    "grpc": {"url": "grpc://rpc:9001/0", "pause": 0.02},
    "tcp": {"url": "tcp://tcp:9000", "pause": 0.02, "lasts": 0.2},
    "entry": {"url": "http://entry.test/", "fresh": True, "pause": 0.04},
    "secure": {"url": "http://secure/", "pause": 0.03},
}
VERSIONS: Final = {"one-1": "v1", "one-2": "v2", "two-1": "v3"}
AUTHORITY: Final = {"group": "", "kind": "ConfigMap", "name": "secure"}
TLS: Final = {"hostname": "secure.test", "caCertificateRefs": [AUTHORITY]}


class Load(CountedLoad):
    """Load of every kind, by an interpreter that knows gRPC."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine, STREAMS)
        words = ("run", "--name", "load", "--service-account", "load", "--")
        self._command = (*machine.program, *words, machine.program[0], STREAM_CALLS, "call", json.dumps(STREAMS))


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers every request, and keeps the connection."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("content-length", "6")
        self.end_headers()
        self.wfile.write(b"secure")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def secure_server() -> Generator[int]:
    """A server of this machine that takes TLS only; its port."""
    server = http.server.ThreadingHTTPServer(("0.0.0.0", free_port()), Answers)
    context = certificates.server_context(*certificates.shared().leaf("", "secure.test"))
    context.verify_mode = ssl.CERT_NONE
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Machine]:
    with mesh(tmp_path_factory.mktemp("m")) as started, secure_server() as port:
        for name, version in VERSIONS.items():
            words = ("--name", name, "--service", f"{name[:-2]}:80", "--labels", f"app=web,version={version}")
            started.plait("run", *words, "--port", "8000/http", "--detach", "--", *counting.server_command(8000, name))
        for kind, number, names in (("grpc", 9001, ("rpc", "rpc-b")), ("tcp", 9000, ("tcp", "tcp-b"))):
            words = ("--name", names[0], "--port", f"{number}/{kind}")
            services = [word for name in names for word in ("--service", f"{name}:{number}")]
            command = (started.program[0], STREAM_CALLS, kind, str(number))
            started.plait("run", *words, *services, "--detach", "--", *command)
        bridge = str(started.workload("one-1")["address"]).rpartition(".")[0] + ".1"
        apply(started, [walks.entry({"app": "web"}, more=False), *secure(bridge, port)])
        yield started


def secure(address: str, port: int) -> list[dict[str, Any]]:
    """The service of the server with TLS, and how callers check it."""
    service = walks.made("v1", "Service", "secure", ports=[{"name": "http", "port": 80, "appProtocol": "http"}])
    labels = {"kubernetes.io/service-name": "secure"}
    metadata = {"name": "secure", "namespace": "default", "labels": labels}
    places = {"addressType": "IPv4", "ports": [{"name": "http", "port": port}], "endpoints": [{"addresses": [address]}]}
    text = certificates.shared().bundle.decode()
    authority = {"metadata": {"name": "secure", "namespace": "default"}, "data": {"ca.crt": text}}
    return [
        service,
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata, **places},
        {"apiVersion": "v1", "kind": "ConfigMap", **authority},
        walks.backend_tls_policy(TLS),
    ]


def apply(machine: Machine, documents: Sequence[dict[str, Any]]) -> None:
    with api(machine) as opened:
        opened.apply(documents, fieldManager="plait")


def delete(machine: Machine, group: str, kind: str, name: str) -> None:
    version = "v1alpha2" if kind == "tcproutes" else "v1"
    with api(machine) as opened, contextlib.suppress(NotFoundError):
        opened.request("DELETE", f"/apis/{group}/{version}/namespaces/default/{kind}/{name}")


@pytest.fixture(scope="module")
def load(machine: Machine) -> Generator[Load]:
    with Load(machine) as running:
        running.goes()
        yield running


@pytest.mark.parametrize(
    ("seed", "changes"),
    [(1, 40), pytest.param(2, 300, marks=pytest.mark.long), pytest.param(3, 300, marks=pytest.mark.long)],
)
def test_any_order_of_traffic_changes_loses_no_call(machine: Machine, load: Load, seed: int, changes: int) -> None:
    """Applies and deletes in random order, at once or up to a quarter of a second apart."""
    chance = random.Random(seed)
    walk = walks.Walk(
        chance=chance,
        apply=lambda documents: apply(machine, documents),
        delete=lambda group, kind, name: delete(machine, group, kind, name),
        tls=TLS,
    )
    with load.loses_nothing():
        for _ in range(changes):
            walk.step()
            time.sleep(chance.choice([0, 0.25]) * chance.random())
        walk.clear()
    assert len(set(walk.taken)) > 8
