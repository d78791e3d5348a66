"""Workloads of one machine calling each other through real sidecars, and what survives which death."""

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.integration.machines import Machine, free_port, mesh, needs_root, server, until

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.timeout(180), needs_root]
OWN = "spiffe://cluster.local/ns/default/sa"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Machine]:
    with mesh(tmp_path_factory.mktemp("m")) as started:
        yield started


@pytest.fixture
def stopping(machine: Machine) -> Generator[Machine]:
    """The mesh, with every workload ended after the test."""
    yield machine
    for name in machine.workloads():
        machine.plait("stop", name, code=None)


def serve(machine: Machine, name: str, *flags: str, service: str = "web", port: int = 8000) -> None:
    words = ("run", "--name", name, "--service", f"{service}:80", "--port", f"{port}/http", "--detach", *flags)
    machine.plait(*words, "--", *server(port, name))


def call(machine: Machine, url: str, *flags: str, code: int | None = 0) -> str:
    """Call from a client workload that runs already."""
    if "client" not in machine.workloads():
        machine.plait("run", "--name", "client", "--detach", "--service-account", "client", "--", "sleep", "600")
    return machine.plait("exec", "client", "--", "curl", "-sS", "-m", "5", *flags, url, code=code)


def test_a_call_is_authenticated_both_ways(stopping: Machine) -> None:
    """A service calls another by name; the server sees who calls, though neither knows of the mesh."""
    serve(stopping, "web-1", "--service-account", "web")
    answer = call(stopping, "http://web/")
    assert answer.startswith("web-1 ")
    assert f"URI={OWN}/client" in answer or "URI" not in answer
    view = stopping.workload("web-1")
    assert view["identity"] == f"{OWN}/web"
    assert view["ready"]


def test_plaintext_from_outside_is_refused(stopping: Machine) -> None:
    """Under STRICT, nobody without a certificate reaches the app, neither at its address nor at its published port."""
    serve(stopping, "strict-1", service="strict")
    address = stopping.workload("strict-1")["address"]
    with pytest.raises(OSError, match=r"reset|closed|refused|Remote end"):
        urllib.request.urlopen(f"http://{address}:8000/", timeout=5)


def test_publish_opens_the_app_on_loopback(stopping: Machine) -> None:
    """--publish leads from the machine's loopback through the sidecar to the app; a taken port is refused."""
    port = free_port()
    serve(stopping, "front", "--publish", f"{port}:8000", service="front")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        assert answer.read().startswith(b"front ")
    said = stopping.plait("run", "--name", "rival", "--publish", f"{port}:1", "--", "true", code=125)
    assert f"127.0.0.1:{port} is taken" in said


def test_host_port_opens_one_port_of_the_machine(stopping: Machine) -> None:
    """--host-port lets the app reach that one port of the machine's loopback, and no other."""
    with socket.create_server(("127.0.0.1", 0)) as opened, socket.create_server(("127.0.0.1", 0)) as closed:
        ports = [opened.getsockname()[1], closed.getsockname()[1]]
        script = "import socket, sys; [print(socket.socket().connect_ex(('127.0.0.1', int(p)))) for p in sys.argv[1:]]"
        command = (sys.executable, "-c", script, *map(str, ports))
        answer = stopping.plait("run", "--name", "host-port", "--host-port", str(ports[0]), "--", *command)
        assert answer.split() == ["0", "111"]


@pytest.mark.parametrize(("program", "protocol"), [
    (f"exec {shlex.join(server(9000, 'learnt'))}", "http"),
    ("exec socat TCP-LISTEN:9000,fork,reuseaddr SYSTEM:'echo 220 ready; cat'", "tcp"),
])  # fmt: skip
def test_protocol_is_learnt_when_the_port_opens(stopping: Machine, program: str, protocol: str) -> None:
    """A port that nobody declared is found, and what it speaks is asked of it."""
    if "socat" in program and subprocess.run(["which", "socat"], check=False, capture_output=True).returncode:
        program = f"exec {shlex.join((sys.executable, '-c', BANNER))}"
    stopping.plait("run", "--name", "learner", "--detach", "--", "sh", "-c", program)
    ports = until(lambda: stopping.workload("learner")["ports"], what="the port was not found")
    assert [(port["number"], port["protocol"]) for port in ports] == [(9000, protocol)]


BANNER = """
import socket
server = socket.create_server(("0.0.0.0", 9000))
while True:
    channel, _ = server.accept()
    channel.sendall(b"220 ready\\r\\n")
    channel.close()
"""


def test_a_killed_envoy_is_replaced_and_the_app_untouched(stopping: Machine) -> None:
    """The sidecar's death costs a moment of traffic, and nothing else."""
    serve(stopping, "web-2", service="second")
    app, envoy = stopping.workload("web-2")["pids"]
    os.kill(envoy, signal.SIGKILL)
    until(lambda: stopping.workload("web-2")["pids"][1:] not in ([envoy], []))
    assert stopping.workload("web-2")["pids"][0] == app
    until(lambda: call(stopping, "http://second/", code=None).startswith("web-2 "))


def test_apps_outlive_a_killed_agent(stopping: Machine) -> None:
    """kill -9 of the agent: traffic goes on, the next one adopts app, Envoy and client, and the exit code arrives."""
    serve(stopping, "web-3", service="third")
    with stopping.running(
        "run", "--name", "held", "--", "sh", "-c", "trap 'exit 5' TERM; while :; do sleep 0.1; done"
    ) as held:
        until(lambda: stopping.workloads().get("held", {}).get("phase") == "Running")
        before = {name: item["pids"] for name, item in stopping.workloads().items()}
        call(stopping, "http://third/")
        stopping.end("node", signal.SIGKILL)
        netns = stopping.workload("client")["netns"]
        inside = [
            "nsenter",
            f"--net={netns}",
            "curl",
            "-sS",
            "-m",
            "5",
            "-H",
            "Host: third",
            "http://" + service_address(stopping, "third"),
        ]
        assert subprocess.run(inside, check=True, capture_output=True, text=True).stdout.startswith("web-3 ")
        stopping.start("node")
        until(lambda: stopping.workload("web-3")["ready"])
        assert {name: item["pids"] for name, item in stopping.workloads().items() if name in before} == before
        assert call(stopping, "http://third/").startswith("web-3 ")
        held.send_signal(signal.SIGTERM)
        assert held.wait(20) == 5
    until(lambda: "held" not in stopping.workloads())


def service_address(machine: Machine, name: str) -> str:
    return (
        machine.plait("get", "service", name, "-o", "jsonpath={.spec.clusterIP}") if False else _address(machine, name)
    )


def _address(machine: Machine, name: str) -> str:

    return json.loads(machine.plait("get", "service", name, "-o", "json"))["spec"]["clusterIP"]


def test_what_died_with_the_agent_is_cleaned_up(stopping: Machine) -> None:
    """A workload whose app ended while no agent ran leaves no entry, no namespace and no Envoy."""
    serve(stopping, "web-4", service="fourth")
    item = stopping.workload("web-4")
    stopping.end("node", signal.SIGKILL)
    os.kill(item["pids"][0], signal.SIGKILL)
    stopping.start("node")
    until(lambda: "web-4" not in stopping.workloads())
    until(lambda: not Path(item["netns"]).exists())
    until(lambda: not Path(f"/proc/{item['pids'][1]}").exists())


def test_workloads_start_again_while_control_is_away(stopping: Machine) -> None:
    """A workload that ran before starts from what the machine keeps: certificate, configuration, names."""
    serve(stopping, "web-5", service="fifth")
    caller = ("run", "--name", "caller", "--", "curl", "-sS", "-m", "5", "http://fifth/")
    assert stopping.plait(*caller).startswith("web-5 ")
    until(lambda: "caller" not in stopping.workloads())
    stopping.end("control", signal.SIGKILL)
    try:
        assert stopping.plait(*caller).startswith("web-5 ")
        said = stopping.plait("run", "--name", "never-seen", "--", "true", code=125)
        assert "control" in said
    finally:
        stopping.start("control")
    until(lambda: stopping.workload("web-5")["ready"])
    assert stopping.plait(*caller).startswith("web-5 ")


class Load:
    """Calls a service from inside a workload as fast as one client can, and counts what was lost."""

    def __init__(self, machine: Machine, url: str) -> None:
        script = LOAD.format(url=url)
        self._context = machine.running("run", "--name", "load", "--", sys.executable, "-c", script)

    def __enter__(self) -> "Load":
        self.process = self._context.__enter__()
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "started\n", self.process.stderr and self.process.stderr.read()
        return self

    def result(self) -> tuple[int, int, str]:
        """(calls, lost, the first failure)."""
        assert self.process.stdin is not None
        out, err = self.process.communicate("stop\n", timeout=30)
        words = out.split(maxsplit=2)
        return int(words[0]), int(words[1]), (words[2] if len(words) > 2 else "") + err

    def __exit__(self, *details: object) -> None:
        with contextlib.suppress(ValueError):
            self._context.__exit__(None, None, None)


LOAD = """
import http.client, sys, threading, time, urllib.parse
stop = threading.Event(); total = 0; lost = []
def calls(path):
    global total
    connection = None
    while not stop.is_set():
        try:
            connection = connection or http.client.HTTPConnection("{url}", 80, timeout=10)
            connection.request("GET", path)
            answer = connection.getresponse(); body = answer.read()
            if answer.status != 200: lost.append(f"{{answer.status}} {{body[:80]!r}}")
        except Exception as error:
            lost.append(repr(error)); connection = None
        total += 1
        time.sleep(0.002)
threads = [threading.Thread(target=calls, args=(path,)) for path in ("/", "/", "/", "/slow", "/slow")]
[thread.start() for thread in threads]
print("started", flush=True)
sys.stdin.readline(); stop.set()
[thread.join() for thread in threads]
print(total, len(lost), lost[:3])
"""


def test_trap_33_a_rolling_restart_loses_nothing(stopping: Machine) -> None:
    """Servers stopped and started in turn lose no request, quick or of a second, without any retry of the caller."""
    for name in ("roll-1", "roll-2"):
        serve(stopping, name, service="roll")
    with Load(stopping, "roll") as load:
        for name in ("roll-1", "roll-2", "roll-1"):
            time.sleep(0.5)
            stopping.plait("stop", name)
            serve(stopping, name, service="roll")
        total, lost, first = load.result()
    assert lost == 0, (total, first)
    assert total > 500


def test_an_app_that_is_ending_can_still_call(stopping: Machine) -> None:
    """The sidecar leaves after the app: what an app does on SIGTERM works as before."""
    serve(stopping, "last", service="last")
    script = "trap 'curl -sS -m 5 http://last/; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    flags = ("--name", "leaver", "--service", "leaver:80", "--port", "8000/tcp", "--probe", "exec:true")
    with stopping.running("run", *flags, "--", "sh", "-c", script) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "up\n"
        client.terminate()
        assert client.stdout.read().startswith("last ")
        assert client.wait(20) == 0


def test_a_gateway_has_an_address_of_its_own(stopping: Machine) -> None:
    """The proxy of a Gateway listens on its listeners' very ports, at an address that the machine reaches."""
    serve(stopping, "inner", service="inner")
    stopping.apply(GATEWAY)
    stopping.plait("gateway", "edge", "--detach")
    address = stopping.workload("edge")["address"]

    def body() -> str:
        request = urllib.request.Request(f"http://{address}/", headers={"Host": "shop.example"})
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=5) as answer:
            return str(answer.read().decode())
        return ""

    assert until(body).startswith("inner ")
    with stopping.running("gateway", "edge") as second:
        assert second.wait(20) == 4
    assert stopping.plait("stop", "edge") == "edge stopped\n"
    assert "edge" not in stopping.workloads()


def test_a_gateway_in_the_foreground_ends_with_its_client(stopping: Machine) -> None:
    """Ctrl-C ends the proxy in order; that is no failure."""
    stopping.apply(GATEWAY)
    with stopping.running("gateway", "edge") as client:
        until(lambda: stopping.workloads().get("edge", {}).get("ready"))
        client.send_signal(signal.SIGINT)
        assert client.wait(20) == 0
    until(lambda: "edge" not in stopping.workloads())


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
