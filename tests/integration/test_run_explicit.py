"""The mesh of an ordinary user: no namespaces, the app is told of its sidecar."""

import os
import urllib.error
import urllib.request
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.integration.machines import ORDINARY, Machine, free_port, ordinary_mesh, server, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
needs_another_python = pytest.mark.skipif(
    os.geteuid() == 0 and not Path("/usr/bin/python3.11").exists(), reason="no interpreter for an ordinary user"
)


@pytest.fixture(scope="module")
def machine() -> Generator[Machine]:
    with ordinary_mesh() as started:
        yield started


PYTHON = "/usr/bin/python3.11"


@needs_another_python
def test_calls_go_through_the_sidecars(machine: Machine) -> None:
    """A call by HTTP_PROXY is routed, encrypted between the sidecars and arrives; the app runs as its user."""
    port = free_port()
    command = (PYTHON, *server(port, "web-1")[1:])
    machine.plait("run", "--name", "web-1", "--service", "web:80", "--port", f"{port}/http", "--detach", "--", *command)
    view = machine.workload("web-1")
    assert view["capture"] == "explicit"
    assert not view["netns"]
    answer = machine.plait("run", "--name", "caller", "--", "curl", "-sS", "-m", "5", "http://web/")
    assert answer.split()[0] == "web-1"
    assert answer.split()[-1] == str(ORDINARY if os.geteuid() == 0 else os.geteuid())


@needs_another_python
def test_transparent_capture_is_refused_with_the_reason(machine: Machine) -> None:
    """What this user cannot have is said, with what to do."""
    said = machine.plait("run", "--name", "wish", "--capture", "transparent", "--", "true", code=125)
    assert "the node agent does not run as root" in said
    assert "--capture explicit" in said


@needs_another_python
def test_gateway_gets_ports_that_its_user_may_have(machine: Machine) -> None:
    """A listener on port 80 is opened on another port of loopback, told on the Gateway, and serves the mesh."""
    port = free_port()
    command = (PYTHON, *server(port, "inner")[1:])
    machine.plait(
        "run", "--name", "inner", "--service", "inner:80", "--port", f"{port}/http", "--detach", "--", *command
    )
    machine.apply(GATEWAY)
    machine.plait("gateway", "edge", "--detach")
    mapped = until(lambda: machine.plait("get", "workloadentry", "edge", "-o", "json"))
    assert '"plait.dev/gateway-ports": "80=18080"' in mapped

    def body() -> str:
        try:
            request = urllib.request.Request("http://127.0.0.1:18080/", headers={"Host": "shop.example"})
            with urllib.request.urlopen(request, timeout=5) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError:
            return ""

    assert until(body).startswith("inner ")
    assert machine.plait("stop", "edge") == "edge stopped\n"


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
  rules: [{backendRefs: [{name: inner, port: 80}]}]
"""
