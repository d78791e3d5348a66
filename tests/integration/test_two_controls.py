"""Two controls on one etcd: either is killed under load, and nothing is lost."""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from plait.api.client import Client
from plait.errors import PlaitError
from tests.integration.counted_load import FRESH_AND_KEPT, ROUTE_OF_WEB, CountedLoad, api, apply, serve, stop
from tests.integration.machines import Machine, needs_root, until
from tests.store.etcd import etcd, free_port

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.timeout(240), needs_root]
PORTS = (17443, 17453)
"""Below those that outgoing connections use, for ADS takes the next port."""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: once, namespace: default}
spec: {selector: {app: once}, ports: [{port: 80}]}
"""


@dataclass(slots=True)
class Pair:
    """Two controls, and where each is reached."""

    machines: tuple[Machine, Machine]
    addresses: tuple[str, str]
    stores: tuple[str, str]
    seal: Path
    way: "Way"
    """The first one's to the store."""

    def start(self, number: int) -> Machine:
        """Start one of them."""
        flags = (
            "--listen",
            self.addresses[number],
            "--store",
            f"etcd://{self.stores[number]}",
            "--seal-key",
            str(self.seal),
        )
        self.machines[number].start("control", *flags)
        return self.machines[number]


class Way:
    """A way to a port of loopback that can be cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.address = f"127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        """Let connections through."""
        here = self.address.rpartition(":")[2]
        words = [f"TCP-LISTEN:{here},bind=127.0.0.1,reuseaddr,fork", f"TCP:127.0.0.1:{self._port}"]
        self._process = subprocess.Popen(["socat", *words], start_new_session=True)

    def cut(self) -> None:
        """End all connections, and let none through."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Generator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    with etcd() as store:
        controls = (Machine(folder / "a"), Machine(folder / "b"))
        addresses = (f"127.0.0.2:{PORTS[0]}", f"127.0.0.3:{PORTS[1]}")
        way = Way(store.port)
        way.open()
        made = Pair(controls, addresses, (way.address, store.address), folder / "seal.key", way)
        try:
            made.start(0)
            made.start(1)
            yield made
        finally:
            for control in controls:
                control.close()
            way.cut()


@pytest.fixture(scope="module")
def member(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Generator[Machine]:
    """A machine that knows both controls."""
    machine = Machine(tmp_path_factory.mktemp("member") / "m")
    made = pair.machines[1].plait("token", "create", "--node", "m", "--allow", "default/*", "-o", "json")
    token = json.loads(made)["token"]
    try:
        machine.start("node", "--join", token, "--control", ",".join(pair.addresses), "--address", "127.0.0.1")
        serve(machine, "blue-1", "web")
        again = Machine(machine.state.parent / "again")
        assert "used" in again.plait("node", "--join", token, "--control", pair.addresses[0], code=4)
        yield machine
    finally:
        machine.close()


def answered(load: CountedLoad, who: str) -> bool:
    """Whether that workload, and no other, answers every stream now."""
    before = load.report()
    time.sleep(0.3)
    after = load.report()
    counts: list[dict[str, int]] = [after[name]["by"] for name in after]
    old: list[dict[str, int]] = [before[name]["by"] for name in after]
    return all(set(Counter(new) - Counter(past)) == {who} for new, past in zip(counts, old, strict=True))


def accepted(machine: Machine) -> bool:
    """Whether the route's status says so."""
    with api(machine) as opened:
        route = opened.get("/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/web")
    parents: list[dict[str, Any]] = route.get("status", {}).get("parents", [])
    return any(item["type"] == "Accepted" for parent in parents for item in parent["conditions"])


@pytest.mark.long
def test_either_control_answers_for_the_mesh(pair: Pair, member: Machine) -> None:
    """Proxies, machines and tokens are those of one mesh, whichever control is asked."""
    for machine in pair.machines:
        proxies = json.loads(machine.plait("proxy", "list", "-o", "json"))
        assert [(proxy["name"], proxy["connected"]) for proxy in proxies] == [("blue-1", True)]
        assert until(lambda machine=machine: json.loads(machine.plait("status", "-o", "json"))["nodes"][0]["connected"])
        assert "web.default" in machine.plait("proxy", "config", "blue-1")
    first, second = pair.machines
    token = (first.state / "control" / "token").read_text()
    with Client(f"https://{pair.addresses[1]}", token, ca=first.state / "run" / "ca.pem") as client:
        assert client.status()["trustDomain"] == "cluster.local"
    assert second.plait("ca", "status") == first.plait("ca", "status")


def test_addresses_are_given_once(pair: Pair) -> None:
    """Services that are made at both controls at once have addresses of their own."""
    taken = "240.240.9.9"

    def make(number: int) -> str:
        document = yaml.safe_load(SERVICE)
        document["metadata"]["name"] = f"once-{number}"
        document["spec"]["clusterIP"] = taken
        try:
            with api(pair.machines[number % 2]) as opened:
                opened.apply([document], fieldManager="test")
        except PlaitError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(make, range(8)))
    refused = [text for text in found if text]
    assert len(refused) == 7
    assert all("taken by Service default/once-" in text for text in refused), refused


@pytest.mark.long
def test_a_root_is_replaced_with_two_controls(pair: Pair, member: Machine) -> None:
    """A rotation that is begun at the control which does not lead goes through, and both end with the same roots."""
    with CountedLoad(member, FRESH_AND_KEPT) as load:
        load.goes()
        with load.loses_nothing():
            for machine in pair.machines[::-1]:
                before = json.loads(machine.plait("ca", "status", "-o", "json"))["roots"][0]["fingerprint"]
                machine.plait("ca", "rotate", "--root", "--within", "2s")
                until(lambda machine=machine, before=before: replaced(machine, before), within=60, what="a new root")
    first, second = (json.loads(machine.plait("ca", "status", "-o", "json")) for machine in pair.machines)
    assert first["roots"] == second["roots"]


def replaced(machine: Machine, before: str) -> bool:
    """Whether another root alone is trusted."""
    status = json.loads(machine.plait("ca", "status", "-o", "json"))
    return status["stage"] == "steady" and status["roots"][0]["fingerprint"] != before and not status["behind"]


@pytest.mark.long
def test_a_control_that_is_cut_off_lets_its_machines_go(pair: Pair, member: Machine) -> None:
    """A control that alone has lost the store sends its machines to the other one; nothing is lost."""
    serve(member, "green-1", "green")
    with CountedLoad(member, FRESH_AND_KEPT) as load:
        load.goes()
        with load.loses_nothing():
            pair.way.cut()
            apply(pair.machines[1], ROUTE_OF_WEB.format(backend="green"))
            until(lambda: answered(load, "green-1"), within=40, what="the machine follows the control with the store")
            assert "cannot be reached" in pair.machines[0].plait("doctor", "--look-only", code=None)
            pair.way.open()
            apply(pair.machines[1], ROUTE_OF_WEB.format(backend="web"))
            until(lambda: answered(load, "blue-1"), within=40, what="and goes on doing so")
    stop(member, "green-1")


def test_either_control_is_killed_under_load(pair: Pair, member: Machine) -> None:
    """Each is killed in turn; what is applied at the other one is in force, and no call is lost."""
    with CountedLoad(member, FRESH_AND_KEPT) as load:
        load.goes()
        with load.loses_nothing():
            pair.machines[0].end("control", signal.SIGKILL)
            serve(member, "green-1", "green")
            apply(pair.machines[1], ROUTE_OF_WEB.format(backend="green"))
            until(lambda: answered(load, "green-1"), what="the route that was applied at the survivor is in force")
            until(lambda: accepted(pair.machines[1]), what="the survivor leads and writes statuses")
            pair.start(0)
            until(lambda: pair.machines[0].workloads().keys() >= {"blue-1", "green-1"}, what="the first one follows")
            pair.machines[1].end("control", signal.SIGKILL)
            apply(pair.machines[0], ROUTE_OF_WEB.format(backend="web"))
            until(lambda: answered(load, "blue-1"), what="the route that was applied at the other one is in force")
            serve(member, "blue-2", "web")
            stop(member, "blue-1")
            until(lambda: answered(load, "blue-2"), what="a workload came and another one left")
            pair.start(1)
