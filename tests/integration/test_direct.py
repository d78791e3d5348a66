"""Workloads called by their own address: past all routes, not past mutual TLS, and never in vain for long."""

import contextlib
import json
import sys
import time
from collections.abc import Generator

import pytest

from tests.integration.machines import Machine, mesh, needs_root, server, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180), needs_root]
OWN = "spiffe://cluster.local/ns/default/sa"
NOBODY = 200
"""The last part of an address that no workload has."""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Machine]:
    """A mesh with a client, and the server web-1 behind a Service whose route answers 302 to all."""
    with mesh(tmp_path_factory.mktemp("m")) as started:
        run(started, "client", "--service-account", "client", "--", "sleep", "600")
        run(
            started, "web-1", "--service-account", "web", "--service", "web:80", "--port", "8000/http", *served("web-1")
        )
        yield started


def run(machine: Machine, name: str, *words: str) -> None:
    machine.plait("run", "--name", name, "--detach", *words)


def served(name: str) -> tuple[str, ...]:
    return ("--", *server(8000, name))


@contextlib.contextmanager
def server_of(machine: Machine, name: str, *words: str) -> Generator[str]:
    """A server for the time of a block; the value is its address."""
    run(machine, name, "--service-account", name, "--port", "8000/http", *words, *served(name))
    try:
        yield str(machine.workload(name)["address"])
    finally:
        machine.plait("stop", name, code=None)


def call(machine: Machine, url: str, *flags: str, code: int | None = 0) -> str:
    return machine.plait("exec", "client", "--", "curl", "-sS", "-m", "8", *flags, url, code=code)


def timed(machine: Machine, url: str) -> tuple[str, float]:
    """What curl said in the end, and the seconds that it took."""
    said = call(machine, url, "-o", "/dev/null", "-w", "%{http_code} %{time_total}", code=None)
    code, seconds = said.split()[:2]
    return code, float(seconds)


ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: away, namespace: default}
spec:
  parentRefs: [{group: "", kind: Service, name: web}]
  rules: [{filters: [{type: RequestRedirect, requestRedirect: {hostname: elsewhere.example, statusCode: 302}}]}]
"""
STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
"""
HEADLESS = """
apiVersion: v1
kind: Service
metadata: {name: db, namespace: default}
spec:
  clusterIP: None
  selector: {app: db}
  ports: [{name: http, port: 8000, targetPort: 8000}]
"""


def test_an_address_is_called_with_mutual_tls_and_past_routes(machine: Machine) -> None:
    """The first call by address waits for its cluster; the server saw who calls, the route was not asked."""
    machine.apply(STRICT)
    machine.apply(ROUTE)
    until(lambda: timed(machine, "http://web/")[0] == "302", what="the route is not in force")
    address = machine.workload("web-1")["address"]
    for _ in range(2):
        answer = call(machine, f"http://{address}:8000/")
        assert answer.startswith("web-1 ")
        assert f"URI={OWN}/client" in answer


def test_headless_names_lead_to_instances(machine: Machine) -> None:
    """The name of a headless Service, and that of one instance, are called with mutual TLS at their own addresses."""
    machine.apply(HEADLESS)
    with server_of(machine, "db-0", "--labels", "app=db"), server_of(machine, "db-1", "--labels", "app=db"):
        answers = [call(machine, f"http://{name}:8000/") for name in ("db", "db-0.db", "db-1.db")]
        assert [answer.split()[0] for answer in answers[1:]] == ["db-0", "db-1"]
        assert answers[0].split()[0] in ("db-0", "db-1")
        assert all(f"URI={OWN}/client" in answer for answer in answers)


def test_an_address_that_nobody_has_fails_in_time(machine: Machine) -> None:
    """Within 3 s, the first time and each time after; a port that the workload does not have is refused too."""
    address = str(machine.workload("web-1")["address"])
    nobody = f"{address.rpartition('.')[0]}.{NOBODY}"
    for url in (f"http://{nobody}:8000/", f"http://{nobody}:8000/", f"http://{address}:8001/"):
        code, seconds = timed(machine, url)
        assert (code, seconds < 3.0) == ("000", True), (url, seconds)


@pytest.mark.long
def test_an_address_follows_its_workload(machine: Machine) -> None:
    """Open connections end with the workload; whoever has the address next is called as who it is then."""
    with server_of(machine, "shortly") as address:
        assert call(machine, f"http://{address}:8000/").startswith("shortly ")
        script = f"{HELD}\nheld({address!r})"
        with machine.running("exec", "client", "--", sys.executable, "-c", script) as held:
            assert held.stdout is not None
            assert held.stdout.readline() == "open\n", held.stderr and held.stderr.read()
            machine.plait("stop", "shortly")
            began = time.monotonic()
            assert held.stdout.readline() == "closed\n"
            assert time.monotonic() - began < 3
    code, seconds = timed(machine, f"http://{address}:8000/")
    assert (code, seconds < 3.0) == ("000", True)
    with server_of(machine, "shortly", "--service-account", "other") as again:
        assert again == address
        assert call(machine, f"http://{again}:8000/").startswith("shortly ")


HELD = """
import socket
def held(address):
    channel = socket.create_connection((address, 8000), timeout=20)
    channel.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    assert channel.recv(65536)
    print("open", flush=True)
    while channel.recv(65536): pass
    print("closed", flush=True)
"""


def test_a_gateway_is_called_by_its_own_address(machine: Machine) -> None:
    """A workload calls the proxy of a Gateway as anybody from outside does, in plaintext."""
    machine.apply(GATEWAY)
    machine.plait("gateway", "edge", "--detach")
    try:
        address = machine.workload("edge")["address"]
        said = until(lambda: call(machine, f"http://{address}/", "-H", "Host: shop.example", code=None))
        assert said.startswith("web-1 ")
        assert "sa/client" not in said
    finally:
        machine.plait("stop", "edge", code=None)


GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: default}
spec:
  gatewayClassName: plait
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop, namespace: default}
spec:
  parentRefs: [{name: edge}]
  hostnames: [shop.example]
  rules: [{backendRefs: [{name: web, port: 80}]}]
"""


def test_a_port_without_mutual_tls_is_called_in_plaintext(machine: Machine) -> None:
    """DISABLE on one workload: by address and by name its callers use plaintext, and it answers."""
    machine.apply(DISABLED)
    with server_of(machine, "plain", "--labels", "app=plain", "--service", "plain:80") as address:
        for url in (f"http://{address}:8000/", "http://plain/"):
            answer = call(machine, url)
            assert answer.startswith("plain ")
            assert "URI=" not in answer


DISABLED = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: plain, namespace: default}
spec: {selector: {matchLabels: {app: plain}}, mtls: {mode: DISABLE}}
"""


def test_addresses_that_led_nowhere_are_not_remembered(machine: Machine) -> None:
    """What a workload called is sent ahead at its next start, but for addresses at which nobody was."""
    address = str(machine.workload("web-1")["address"])
    nobody = f"{address.rpartition('.')[0]}.{NOBODY}:8000"
    script = f"curl -s -m 5 http://{nobody}/; curl -s -m 5 http://{address}:8000/"
    assert "web-1" in machine.plait("run", "--name", "once", "--", "sh", "-c", script)
    until(lambda: "once" not in machine.workloads())
    remembered = [
        host
        for file in (machine.state / "node").rglob("hosts.json")
        if "once" in str(file)
        for host in json.loads(file.read_text())["hosts"]
    ]
    assert f"{address}:8000" in remembered
    assert nobody not in remembered
