"""Two controls on one etcd: either is killed under load, and nothing is lost."""

import json
import signal
import time
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.counted_load import CountedLoad, apply, serve, stop
from tests.integration.machines import Machine, free_port, needs_root, until
from tests.store.etcd import etcd

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180), needs_root]
PLAN = {
    "fresh": {"url": "http://web/", "fresh": True, "pause": 0.02},
    "kept": {"url": "http://web/", "fresh": False, "pause": 0.02},
}
ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: web}}
spec:
  parentRefs: [{{group: "", kind: Service, name: web}}]
  rules: [{{backendRefs: [{{name: {backend}, port: 80}}]}}]
"""


@dataclass(slots=True)
class Pair:
    """Two controls, and where each is reached."""

    machines: tuple[Machine, Machine]
    addresses: tuple[str, str]
    store: str
    seal: Path

    def start(self, number: int) -> Machine:
        """Start one of them."""
        flags = ("--listen", self.addresses[number], "--store", f"etcd://{self.store}", "--seal-key", str(self.seal))
        self.machines[number].start("control", *flags)
        return self.machines[number]


@pytest.fixture
def pair(tmp_path: Path) -> Generator[Pair]:
    with etcd() as member:
        controls = (Machine(tmp_path / "a"), Machine(tmp_path / "b"))
        addresses = (f"127.0.0.2:{free_port()}", f"127.0.0.3:{free_port()}")
        made = Pair(controls, addresses, member.address, tmp_path / "seal.key")
        try:
            made.start(0)
            made.start(1)
            yield made
        finally:
            for control in controls:
                control.close()


@pytest.fixture
def member(pair: Pair, tmp_path: Path) -> Generator[Machine]:
    """A machine that knows both controls."""
    machine = Machine(tmp_path / "m")
    made = pair.machines[1].plait("token", "create", "--node", "m", "--allow", "default/*", "-o", "json")
    try:
        token = json.loads(made)["token"]
        machine.start("node", "--join", token, "--control", ",".join(pair.addresses), "--address", "127.0.0.1")
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


def test_either_control_is_killed_under_load(pair: Pair, member: Machine) -> None:
    """Each is killed in turn; what is applied at the other one is in force, and no call is lost."""
    serve(member, "blue-1", "web")
    with CountedLoad(member, PLAN) as load:
        load.goes()
        with load.loses_nothing():
            pair.machines[0].end("control", signal.SIGKILL)
            serve(member, "green-1", "green")
            apply(pair.machines[1], ROUTE.format(backend="green"))
            until(lambda: answered(load, "green-1"), what="the route that was applied at the survivor is in force")
            pair.start(0)
            until(lambda: pair.machines[0].workloads().keys() >= {"blue-1", "green-1"}, what="the first one follows")
            pair.machines[1].end("control", signal.SIGKILL)
            apply(pair.machines[0], ROUTE.format(backend="web"))
            until(lambda: answered(load, "blue-1"), what="the route that was applied at the other one is in force")
            serve(member, "blue-2", "web")
            stop(member, "blue-1")
            until(lambda: answered(load, "blue-2"), what="a workload came and another one left")
            pair.start(1)
