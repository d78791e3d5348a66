"""What a Sidecar lets a workload call works, everything else fails at once, and changing it loses no call inside."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Generator

import pytest

from tests.integration.counted_load import CountedLoad, apply, delete, serve
from tests.integration.machines import Machine, free_port, mesh, needs_root, server, until

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.timeout(150), needs_root]

NETWORKING = "networking.istio.io"
INSIDE, OUTSIDE = "inside.default.svc.cluster.local", "outside.default.svc.cluster.local"
NONAME = "-2"
"""EAI_NONAME of getaddrinfo: the name does not exist (a server that fails would be -3, EAI_AGAIN)."""


def sidecar(*hosts: str, mode: str = "ALLOW_ANY") -> str:
    """The Sidecar of the whole namespace."""
    spec = {"egress": [{"hosts": list(hosts)}], "outboundTrafficPolicy": {"mode": mode}}
    metadata = {"name": "default", "namespace": "default"}
    return json.dumps({"apiVersion": f"{NETWORKING}/v1", "kind": "Sidecar", "metadata": metadata, "spec": spec})


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Machine]:
    """A client, a server of each of two services, and calls to the first from the beginning to the end."""
    with mesh(tmp_path_factory.mktemp("m")) as started:
        started.plait("run", "--name", "client", "--detach", "--", "sleep", "600")
        for name in ("inside", "outside"):
            serve(started, f"{name}-1", name)
        yield started


def in_client(machine: Machine, *words: str) -> str:
    return machine.plait("exec", "client", "--", *words, code=None)


def code(machine: Machine, url: str) -> str:
    """The HTTP status of a call, 000 for none, within 3 s."""
    began = time.monotonic()
    flags = ("-s", "-o", "/dev/null", "-m", "3", "--http0.9", "-w", "%{http_code}")
    found = in_client(machine, "curl", *flags, url)[:3]
    assert time.monotonic() - began < 3, f"{url} took too long"
    return found


LOOK_UP = """
import socket, sys
try:
    print(socket.getaddrinfo(sys.argv[1], 80, type=socket.SOCK_STREAM)[0][4][0])
except socket.gaierror as error:
    print(error.errno)
"""


def looked_up(machine: Machine, host: str) -> str:
    """The address of a name as the client's resolver finds it, or the number of its error."""
    return in_client(machine, sys.executable, "-c", LOOK_UP, host).strip()


def set_bound(machine: Machine, text: str, *, outside: bool) -> None:
    """Apply a Sidecar and wait until the client sees that the service outside is there, or that it is not."""
    apply(machine, text)
    until(lambda: (looked_up(machine, OUTSIDE) != NONAME) is outside, what=f"the Sidecar is not in force: {text}")


def held(machine: Machine) -> set[str]:
    """The names of all that the client's sidecar holds."""
    found = json.loads(machine.plait("proxy", "config", "client", "-o", "json"))
    return set(json.dumps(found).split('"'))


def test_inside_works_and_outside_does_not_exist(machine: Machine) -> None:
    """Without a Sidecar both are called; under one the other has no name, route or scope: its address answers 404."""
    assert (code(machine, f"http://{INSIDE}/"), code(machine, f"http://{OUTSIDE}/")) == ("200", "200")
    address = looked_up(machine, OUTSIDE)
    assert {f"{OUTSIDE}:80", f"scope/{address}:80"} <= held(machine)

    set_bound(machine, sidecar(f"./{INSIDE}"), outside=False)

    assert code(machine, "http://inside/") == "200"
    assert looked_up(machine, OUTSIDE) == NONAME
    assert code(machine, f"http://{address}/") == "404"
    assert held(machine).isdisjoint({f"{OUTSIDE}:80", f"scope/{address}:80"})


def test_why_names_the_sidecar(machine: Machine) -> None:
    """`plait why` says which Sidecar keeps the call in."""
    answer = json.loads(machine.plait("why", "--from", "client", f"http://{OUTSIDE}/", "-o", "json"))

    assert answer["verdict"] == "refused"
    assert "Sidecar default/default names no host for outside" in answer["sentence"]


@contextlib.contextmanager
def foreign(machine: Machine) -> Generator[str]:
    """A server of this machine outside the mesh, as its workloads reach it."""
    bridge = str(machine.workload("inside-1")["address"]).rpartition(".")[0] + ".1"
    port = free_port()
    with subprocess.Popen(server(port, "foreign")) as process:
        try:
            yield f"http://{bridge}:{port}/"
        finally:
            process.terminate()


def test_addresses_outside_are_refused_with_registry_only(machine: Machine) -> None:
    """A workload's own address is called if a service inside leads there; others, and foreign ones, are closed."""
    places = {name: machine.workload(name)["address"] for name in ("inside-1", "outside-1")}
    with foreign(machine) as url:
        set_bound(machine, sidecar(f"./{INSIDE}"), outside=False)
        until(lambda: code(machine, url) == "200", what="nothing passes")

        set_bound(machine, sidecar(f"./{INSIDE}", mode="REGISTRY_ONLY"), outside=False)

        until(lambda: code(machine, url) == "000", what="still passes")
        assert code(machine, f"http://{places['inside-1']}:8000/") == "200"
        assert code(machine, f"http://{places['outside-1']}:8000/") == "000"


def test_an_app_that_listens_elsewhere(machine: Machine) -> None:
    """A port that only a Sidecar's ingress names leads to the app's port, with mutual TLS as all others."""
    url = f"http://{machine.workload('inside-1')['address']}:7000/"
    ingress = [{"port": {"number": 7000}, "defaultEndpoint": "127.0.0.1:8000"}]
    spec = {"workloadSelector": {"labels": {"app": "web"}}, "ingress": ingress}
    metadata = {"name": "web", "namespace": "default"}
    set_bound(machine, sidecar("./*"), outside=True)
    apply(machine, json.dumps({**json.loads(sidecar("./*")), "metadata": metadata, "spec": spec}))

    until(lambda: code(machine, url) == "200", what="port 7000 leads nowhere")

    delete(machine, NETWORKING, "sidecars", "web")
    until(lambda: code(machine, url) == "000", what="port 7000 is still there")


def test_changes_lose_no_call_inside(machine: Machine) -> None:
    """The bound changes again and again under load: every call that all versions let is answered."""
    kept = {"url": f"http://{INSIDE}/", "workers": 3, "pause": 0.02}
    streams = {"kept": kept, "fresh": {"url": "http://inside/", "fresh": True, "pause": 0.05}}
    with CountedLoad(machine, streams) as load:
        load.goes()
        with load.loses_nothing():
            for mode in ("ALLOW_ANY", "REGISTRY_ONLY"):
                set_bound(machine, sidecar("./*", mode=mode), outside=True)
                assert code(machine, f"http://{OUTSIDE}/") == "200"
                set_bound(machine, sidecar("*/*", f"~/{OUTSIDE}", mode=mode), outside=False)
            delete(machine, NETWORKING, "sidecars", "default")
            until(lambda: looked_up(machine, OUTSIDE) != NONAME, what="the Sidecar is still in force")
            assert code(machine, f"http://{OUTSIDE}/") == "200"
