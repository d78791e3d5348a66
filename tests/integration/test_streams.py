"""Kept connections of HTTP/1.1, HTTP/2 and gRPC live through restarts and changes, and every call is answered.

Unary calls, and streams of messages that end within the grace, under counted load; gRPC's retries are off. All is
held in both ways in which a server's sidecar takes calls: passing bytes, and reading HTTP because a policy needs it.
A port of protocol `http2` is served by the same program as one of `grpc`: to the mesh it is HTTP/2 either way.
"""

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from typing import Any

import pytest

from plait.errors import NotFoundError
from tests.integration.counted_load import CountedLoad, apply, delete, stop
from tests.integration.counted_load import serve as serve_http
from tests.integration.machines import Machine, free_port, mesh, needs_root, until
from tests.integration.mixed_load import ANSWERER, CALLER, MixedLoad, serve_grpc

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.timeout(120), needs_root]

STREAMS: dict[str, dict[str, Any]] = {
    "http1": {"url": "http://web/", "workers": 2, "pause": 0.02},
    "http1-slow": {"url": "http://web/slow/0.5", "workers": 2},
    "http2": {"url": "grpc://two:80", "workers": 2, "pause": 0.02},
    "http2-long": {"url": "grpc://two:80", "workers": 2, "messages": 5, "over": 0.6},
    "unary": {"url": "grpc://rpc:80", "workers": 2, "pause": 0.02},
    "streamed": {"url": "grpc://rpc:80", "workers": 3, "messages": 8, "over": 0.8},
}
SERVED = {
    name: (service, protocol)
    for service, protocol in (("web", "http"), ("two", "http2"), ("rpc", "grpc"))
    for name in (f"{service}-1", f"{service}-2")
}
NEEDS_HTTP = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: paths, namespace: default}
spec:
  action: DENY
  rules: [{to: [{operation: {paths: [/never/asked]}}]}]
"""
ENTRY = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: edge, namespace: default}
spec:
  parentRefs: [{name: edge}]
  rules:
    - matches: [{path: {type: PathPrefix, value: /test.Test}}]
      backendRefs: [{name: rpc, port: 80}]
    - backendRefs: [{name: web, port: 80}]
"""
SERVICES = ("web", "two", "rpc")
GATEWAY_API = "gateway.networking.k8s.io"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Machine]:
    with mesh(tmp_path_factory.mktemp("m")) as started:
        for name in SERVED:
            serve(started, name)
        STREAMS.update(through_gateway(started))
        yield started


def through_gateway(machine: Machine) -> dict[str, dict[str, Any]]:
    """Start the Gateway; the streams of calls through it."""
    apply(machine, gateway(80))
    apply(machine, ENTRY)
    machine.plait("gateway", "edge", "--detach")
    until(lambda: machine.workload("edge")["phase"] == "Running", what="the gateway does not run")
    address = machine.workload("edge")["address"]
    return {
        "edge": {"url": f"http://{address}/", "workers": 2, "pause": 0.02},
        "edge-unary": {"url": f"grpc://{address}:80", "workers": 1, "pause": 0.02},
        "edge-streamed": {"url": f"grpc://{address}:80", "workers": 2, "messages": 8, "over": 0.8},
    }


@pytest.fixture(scope="module", params=["bytes", pytest.param("http", marks=pytest.mark.long)])
def load(machine: Machine, request: pytest.FixtureRequest) -> Generator[MixedLoad]:
    with contextlib.suppress(NotFoundError):
        delete(machine, "security.istio.io", "authorizationpolicies", "paths")
    if request.param == "http":
        apply(machine, NEEDS_HTTP)
    with MixedLoad(machine, STREAMS) as running:
        running.goes()
        yield running


def serve(machine: Machine, name: str) -> None:
    """Start one of the servers."""
    service, protocol = SERVED[name]
    if protocol == "http":
        serve_http(machine, name, service)
        return
    serve_grpc(machine, name, service, protocol)


def answers_more(load: CountedLoad, stream: str, name: str) -> None:
    """Wait until a workload answers calls of a stream that are made from now on."""

    def answered() -> int:
        return int(load.report()[stream]["by"].get(name, 0))

    before = answered()
    until(lambda: answered() > before + 3, what=f"{name} answers no {stream}")


def test_every_workload_is_restarted(machine: Machine, load: MixedLoad) -> None:
    """A rolling restart of all servers of all protocols."""
    with load.loses_nothing():
        for name in SERVED:
            stop(machine, name)
            serve(machine, name)
        for stream, name in (("http1", "web-2"), ("http2", "two-2"), ("unary", "rpc-2"), ("streamed", "rpc-2")):
            answers_more(load, stream, name)


def test_endpoints_come_and_go(machine: Machine, load: MixedLoad) -> None:
    """One of two servers stopped for a while, and back again."""
    with load.loses_nothing():
        for name, stream in (("two-1", "http2"), ("rpc-1", "streamed")):
            stop(machine, name)
            answers_more(load, stream, name.replace("1", "2"))
            serve(machine, name)
            answers_more(load, stream, name)


@pytest.mark.long
def test_routes_change(machine: Machine, load: MixedLoad) -> None:
    """Routes of every service made, changed and deleted, while calls and streams are in hand."""
    with load.loses_nothing():
        for number in range(2):
            for service in SERVICES:
                in_force(machine, route(service, str(number)))
        for _ in range(4):
            for service in SERVICES:
                delete(machine, GATEWAY_API, "httproutes", service)
                apply(machine, route(service, "again"))
        for service in SERVICES:
            delete(machine, GATEWAY_API, "httproutes", service)


@pytest.mark.long
def test_ports_come_and_go(machine: Machine, load: MixedLoad) -> None:
    """A port is added to every service, and taken away: the servers' listeners change under open connections."""
    with load.loses_nothing():
        for more in (True, False):
            for service in SERVICES:
                in_force(machine, ported(service, more=more))


@pytest.mark.long
def test_a_gateway_listens_elsewhere_too(machine: Machine, load: MixedLoad) -> None:
    """A listener is added to the Gateway that calls come through, and taken away."""
    with load.loses_nothing():
        for ports in ((80, 8080), (80,), (80, 8081, 8082), (80,)):
            in_force(machine, gateway(*ports))


def in_force(machine: Machine, document: str) -> None:
    """Apply a document, and see that proxies had to change and have."""
    said = machine.plait("apply", "-f", "-", "--wait", text=document)
    held = re.search(r"(\d+) prox(y|ies) holds? it", said)
    assert held is not None, said
    assert int(held[1]) > 0, said


def gateway(*ports: int) -> str:
    """The Gateway with listeners on these ports."""
    listeners = [{"name": f"http-{port}", "port": port, "protocol": "HTTP"} for port in ports]
    return json.dumps(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "edge", "namespace": "default"},
            "spec": {"gatewayClassName": "plait", "listeners": listeners},
        }
    )


def route(service: str, number: str) -> str:
    """A route of a service that adds a header to its answers."""
    change = {"set": [{"name": "x-number", "value": number}]}
    return json.dumps(
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": service, "namespace": "default"},
            "spec": {
                "parentRefs": [{"group": "", "kind": "Service", "name": service}],
                "rules": [
                    {
                        "backendRefs": [{"name": service, "port": 80}],
                        "filters": [{"type": "ResponseHeaderModifier", "responseHeaderModifier": change}],
                    }
                ],
            },
        }
    )


def ported(service: str, *, more: bool) -> str:
    """A service as the workloads made it, or with more ports."""
    protocol = dict(SERVED.values())[service]
    known = {"http2": "kubernetes.io/h2c"}.get(protocol, protocol)
    ports: list[dict[str, Any]] = [
        {"name": f"{protocol}-80", "port": 80, "targetPort": 8000, "appProtocol": known},
    ]
    if more:
        ports.append({"name": "http-81", "port": 81, "targetPort": 8001, "appProtocol": "http"})
        ports.append({"name": "tcp-82", "port": 82, "targetPort": 8002, "appProtocol": "tcp"})
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": service, "namespace": "default"},
            "spec": {"ports": ports},
        }
    )


def test_lost_calls_are_counted() -> None:
    """Without a mesh between them: a server that dies costs the calls in hand, and those until it is back."""
    port = free_port()
    plan = {
        "unary": {"url": f"grpc://127.0.0.1:{port}"},
        "streamed": {"url": f"grpc://127.0.0.1:{port}", "messages": 5, "over": 1.0},
    }
    with subprocess.Popen([sys.executable, ANSWERER, str(port), "only"]) as server:
        time.sleep(1)
        command = [sys.executable, str(CALLER), json.dumps(plan)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as calling:
            time.sleep(2.5)
            server.send_signal(signal.SIGKILL)
            time.sleep(0.5)
            said, _ = calling.communicate("report\n", timeout=20)
    counts = json.loads(said.splitlines()[1])
    for stream in plan:
        assert counts[stream]["by"].get("only", 0) >= 1, counts
        assert counts[stream]["lost"] >= 1, counts
