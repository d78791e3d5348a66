"""Whatever changes or dies, calls that both the old and the new configuration would serve are all answered.

One mesh under load for the whole module. Every stream of calls is counted exactly, and nothing is tried again by the
caller: kept connections, a new connection (and question to DNS) for every call, POSTs, and slow answers.
"""

import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Callable, Generator

import pytest

from plait.errors import NotFoundError
from tests.integration.counted_load import CountedLoad, apply, delete, serve, stop
from tests.integration.machines import Machine, mesh, needs_root, until

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.timeout(120), needs_root]

STREAMS = {
    "kept": {"url": "http://web/", "workers": 3, "pause": 0.02},
    "posted": {"url": "http://web/", "method": "POST", "body": "x" * 2000, "pause": 0.03},
    "direct": {"url": "http://one/", "workers": 2, "pause": 0.02},
    "fresh": {"url": "http://one/", "fresh": True, "pause": 0.05},
    "slow": {"url": "http://web/slow/0.5", "workers": 4},
}
IN_HAND = 11
"""Their workers, so the most calls that can be in hand at a time."""

GATEWAY_API, SECURITY = "gateway.networking.k8s.io", "security.istio.io"
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8000}]
"""


def split(one: int, two: int, header: str = "") -> str:
    """A route that splits the calls to `web`, and answers with a header."""
    backends = [{"name": name, "port": 80, "weight": weight} for name, weight in (("one", one), ("two", two))]
    change = {"set": [{"name": "x-number", "value": header}]}
    filters = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": change}] if header else []
    value = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "parentRefs": [{"group": "", "kind": "Service", "name": "web"}],
            "rules": [{"backendRefs": backends, "filters": filters}],
        },
    }
    return json.dumps(value)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Machine]:
    with mesh(tmp_path_factory.mktemp("m"), environment={"PLAIT_LEAF_TTL": "1m"}) as started:
        apply(started, SERVICE)
        for name, service in (("one-1", "one"), ("one-2", "one"), ("two-1", "two")):
            serve(started, name, service)
        yield started


@pytest.fixture(scope="module")
def load(machine: Machine) -> Generator[CountedLoad]:
    with CountedLoad(machine, STREAMS) as running:
        running.goes()
        yield running


def answered(load: CountedLoad, stream: str, name: str) -> int:
    """How many calls of a stream a workload has answered."""
    return int(load.report()[stream]["by"].get(name, 0))


def answers_more(load: CountedLoad, stream: str, name: str) -> None:
    """Wait until a workload answers calls of a stream that are made from now on."""
    before = answered(load, stream, name)
    until(lambda: answered(load, stream, name) > before + 3, what=f"{name} answers no {stream}")


def test_routes_change_under_load(machine: Machine, load: CountedLoad) -> None:
    """Route made, changed, split in both directions, deleted and made again: each change reaches the calls."""
    with load.loses_nothing():
        for one, two in ((100, 0), (0, 100), (50, 50), (100, 0), (1, 99), (0, 100), (99, 1), (100, 0)):
            apply(machine, split(one, two))
            for name, weight in (("one-1", one), ("two-1", two)):
                if weight > 1:
                    answers_more(load, "kept", name)
        for _ in range(5):
            delete(machine, GATEWAY_API, "httproutes", "web")
            answers_more(load, "kept", "two-1")
            apply(machine, split(100, 0, "again"))
            answers_more(load, "kept", "one-1")
        delete(machine, GATEWAY_API, "httproutes", "web")


def test_endpoints_come_and_go_under_load(machine: Machine, load: CountedLoad) -> None:
    """A workload stopped and started again and again takes its calls with it in order."""
    with load.loses_nothing():
        for _ in range(3):
            stop(machine, "one-2")
            serve(machine, "one-2", "one")
            answers_more(load, "direct", "one-2")


def test_every_workload_of_a_service_is_replaced_under_load(machine: Machine, load: CountedLoad) -> None:
    """A rolling restart of a whole service, one after the other."""
    with load.loses_nothing():
        for name, service in (("one-1", "one"), ("one-2", "one"), ("two-1", "two")):
            stop(machine, name)
            serve(machine, name, service)


def test_certificates_are_renewed_under_load(machine: Machine, load: CountedLoad) -> None:
    """The leaves of caller and servers are replaced; they live for a minute in all tests of this file."""
    with load.loses_nothing():
        before = leaves(machine)
        assert len(before) == 4
        until(lambda: not before & leaves(machine), within=40, what="not every leaf was renewed")


def leaves(machine: Machine) -> set[bytes]:
    """The certificates of all workloads."""
    folder = machine.state / "node" / "workloads"
    return {path.read_bytes() for path in folder.rglob("chain.pem")}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_control_dies_under_load(machine: Machine, load: CountedLoad, number: int) -> None:
    """Control killed, or ended in order, and started again; afterwards changes reach the sidecars as before."""
    with load.loses_nothing():
        machine.end("control", number)
        time.sleep(1)
        machine.start("control")
        apply(machine, split(0, 100))
        answers_more(load, "kept", "two-1")
        delete(machine, GATEWAY_API, "httproutes", "web")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_node_agent_dies_under_load(machine: Machine, load: CountedLoad, number: int) -> None:
    """The agent killed, or ended in order, and started again: new connections resolve their names meanwhile."""
    with load.loses_nothing():
        machine.end("node", number)
        time.sleep(1)
        machine.start("node")
        apply(machine, split(0, 100))
        answers_more(load, "kept", "two-1")
        delete(machine, GATEWAY_API, "httproutes", "web")


def test_a_sibling_envoy_dies_under_load(machine: Machine, load: CountedLoad) -> None:
    """The sidecar of a workload that has no part in the calls is killed, and a new one started."""
    machine.plait("run", "--name", "sibling", "--detach", "--", "sleep", "600")
    with load.loses_nothing():
        envoy = machine.workload("sibling")["pids"][1]
        os.kill(envoy, signal.SIGKILL)
        until(lambda: machine.workload("sibling")["pids"][1:] not in ([envoy], []))
    stop(machine, "sibling")


def test_a_serving_envoy_dies_under_load(machine: Machine, load: CountedLoad) -> None:
    """A server's sidecar killed costs at most the calls that it has in hand; no later one, though it stays listed."""
    for _ in range(3):
        envoy = machine.workload("one-2")["pids"][1]
        known = {name: stream["lost"] for name, stream in load.report().items()}
        os.kill(envoy, signal.SIGKILL)
        until(lambda envoy=envoy: machine.workload("one-2")["pids"][1:] not in ([envoy], []))
        answers_more(load, "direct", "one-2")
        streams = load.report()
        lost = [what for name, stream in streams.items() for _, what in stream["failures"][known[name] :]]
        assert not [what for what in lost if "connection termination" not in what], lost
        assert len(lost) <= IN_HAND


def test_policies_change_under_load(machine: Machine, load: CountedLoad) -> None:
    """Plaintext allowed and forbidden again, and a policy that allows the caller made and removed."""
    with load.loses_nothing():
        for _ in range(2):
            for document in (peer_authentication("PERMISSIVE"), ALLOWED, peer_authentication("STRICT")):
                apply(machine, document)
                time.sleep(0.7)
            delete(machine, SECURITY, "authorizationpolicies", "web")
        delete(machine, SECURITY, "peerauthentications", "web")


def peer_authentication(mode: str) -> str:
    """How the servers take connections."""
    value = {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "mtls": {"mode": mode}},
    }
    return json.dumps(value)


ALLOWED = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: web, namespace: default}
spec:
  selector: {matchLabels: {app: web}}
  action: ALLOW
  rules: [{from: [{source: {principals: [cluster.local/ns/default/sa/load]}}]}]
"""


ON_REQUESTS = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: web, namespace: default}
spec:
  selector: {matchLabels: {app: web}}
  action: ALLOW
  rules: [{to: [{operation: {paths: ["/*"]}}]}]
"""
"""It needs requests, so the servers' sidecars process HTTP while it is there."""


def deeds(machine: Machine) -> list[Callable[[int], None]]:
    """Changes in any order, each of which leaves somebody to answer every call."""

    def gone(group: str, kind: str) -> Callable[[int], None]:
        def deed(_: int) -> None:
            with contextlib.suppress(NotFoundError):
                delete(machine, group, kind, "web")

        return deed

    return [
        lambda number: apply(machine, split(number % 101, 100 - number % 101, str(number))),
        lambda number: apply(machine, split(100 * (number % 2), 100 * ((number + 1) % 2))),
        gone(GATEWAY_API, "httproutes"),
        lambda number: apply(machine, peer_authentication(("PERMISSIVE", "STRICT")[number % 2])),
        gone(SECURITY, "peerauthentications"),
        lambda number: apply(machine, (ALLOWED, ON_REQUESTS)[number % 2]),
        gone(SECURITY, "authorizationpolicies"),
    ]


@pytest.mark.parametrize(
    ("seed", "changes"),
    [(1, 25), pytest.param(2, 250, marks=pytest.mark.long), pytest.param(3, 250, marks=pytest.mark.long)],
)
def test_any_order_of_changes_under_load(machine: Machine, load: CountedLoad, seed: int, changes: int) -> None:
    """Applies and deletes in random order, up to a quarter of a second apart."""
    chance = random.Random(seed)
    with load.loses_nothing():
        for _ in range(changes):
            chance.choice(deeds(machine))(chance.randrange(1000))
            time.sleep(chance.random() * 0.25)
        for deed in deeds(machine)[2::2]:
            deed(0)


@pytest.mark.long
def test_flips_and_deaths_in_a_row_under_load(machine: Machine, load: CountedLoad) -> None:
    """Workloads replaced while control and agent die in turn, many times."""
    with load.loses_nothing():
        for number in range(8):
            part = ("control", "node")[number % 2]
            stop(machine, "one-2")
            machine.end(part, signal.SIGKILL)
            machine.start(part)
            serve(machine, "one-2", "one")
            answers_more(load, "direct", "one-2")


def test_control_and_node_are_upgraded_under_load(machine: Machine, load: CountedLoad) -> None:
    """Both ended in order and started again, as an upgrade does it; then a workload is replaced."""
    with load.loses_nothing():
        for part in ("control", "node"):
            machine.end(part)
            machine.start(part)
        stop(machine, "one-1")
        serve(machine, "one-1", "one")
        answers_more(load, "direct", "one-1")
