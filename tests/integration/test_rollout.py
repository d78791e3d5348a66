"""`plait rollout` with real Envoys under load: a good version is promoted, a bad one rolled back."""

import json
import signal
import sys
from collections.abc import Generator
from typing import Any

import pytest

from bench import counting
from tests.integration.counted_load import CountedLoad, api, apply
from tests.integration.machines import Machine, mesh, needs_root, until

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.timeout(120), needs_root]

FAILING = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(500)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("", 8000), Handler).serve_forever()
"""
ROUTE = json.dumps({
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "parentRefs": [{"group": "", "kind": "Service", "name": "web", "port": 80}],
        "rules": [{"backendRefs": [{"name": "web-v1", "port": 80}]}],
    },
})  # fmt: skip
QUICK = ("--from", "web-v1", "--every", "3s", "--timeout", "30s")
CALLS = {"kept": {"url": "http://web/", "workers": 4, "pause": 0.01}}


def serve(machine: Machine, version: str, *command: str, services: tuple[str, ...] = ()) -> None:
    """Start a version of the service `web`."""
    names = [word for name in (version, *services) for word in ("--service", f"{name}:80")]
    machine.plait("run", "--name", version, *names, "--port", "8000/http", "--detach", "--", *command)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Machine]:
    with mesh(tmp_path_factory.mktemp("m")) as started:
        serve(started, "web-v1", *counting.server_command(8000, "v1"), services=("web",))
        serve(started, "web-v2", *counting.server_command(8000, "v2"))
        serve(started, "web-v3", sys.executable, "-c", FAILING)
        yield started


@pytest.fixture
def load(machine: Machine) -> Generator[CountedLoad]:
    apply(machine, ROUTE)
    with CountedLoad(machine, CALLS) as running:
        running.goes()
        yield running


def weights(machine: Machine) -> dict[str, int]:
    """The weights of the route as it is stored."""
    with api(machine) as client:
        route = client.get("/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/web")
    return {ref["name"]: ref.get("weight", 1) for ref in route["spec"]["rules"][0]["backendRefs"]}


def answered(load: CountedLoad) -> dict[str, int]:
    """Calls so far by the version that answered."""
    return dict(load.report()["kept"]["by"])


def test_a_good_version_is_promoted(machine: Machine, load: CountedLoad) -> None:
    """It takes every step and then all requests, and no call is lost."""
    with load.loses_nothing(calls=300):
        printed = machine.plait("rollout", "web", "--to", "web-v2", *QUICK, "--steps", "10,50,100", wait=100)

    assert printed.splitlines()[-1].startswith("httproute/web promoted, all requests go to web-v2")
    assert [line.split()[0] for line in printed.splitlines()[1:-1]] == ["90/10", "50/50", "0/100"]
    assert weights(machine) == {"web-v1": 0, "web-v2": 100}
    before = answered(load)
    until(lambda: answered(load)["v2"] > before["v2"] + 20, what="calls go on")
    assert answered(load)["v1"] == before["v1"]


def test_a_bad_version_is_rolled_back(machine: Machine, load: CountedLoad) -> None:
    """It fails in the first step, which ends at once; the sentence has the figures that decided; failures end."""
    words = ("rollout", "web", "--to", "web-v3", *QUICK, "--steps", "10,50,100", "-o", "json")
    told: dict[str, Any] = json.loads(machine.plait(*words, code=1, wait=100))

    assert (told["phase"], told["weight"], len(told["steps"])) == ("RolledBack", 0, 1)
    (step,) = told["steps"]
    assert step["new"]["failed"] == step["new"]["requests"] >= 5
    assert step["old"]["failed"] == 0
    assert f"{step['new']['failed']} of {step['new']['requests']} requests to the new version failed" in told["reason"]
    assert weights(machine) == {"web-v1": 100, "web-v3": 0}
    with load.loses_nothing(calls=50):
        before = answered(load)["v1"]
        until(lambda: answered(load)["v1"] > before + 60, what="calls go on")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.long
def test_whoever_dies_leaves_a_rollout_to_others(machine: Machine, load: CountedLoad, number: signal.Signals) -> None:
    """A killed rollout leaves its weights; --status tells them, --resume goes on, and no second begins."""
    words = ("rollout", "web", "--to", "web-v2", *QUICK, "--steps", "20,100")
    with load.loses_nothing(calls=100):
        with machine.running(*words) as first:
            until(lambda: weights(machine).get("web-v2") == 20, what="the first step")
            first.send_signal(number)
            _, errors = first.communicate(timeout=20)
        if number == signal.SIGTERM:
            assert first.returncode == 130
            assert "the route stays at 20% to web-v2; go on with `plait rollout web --resume`" in errors
        assert "is at 20% to web-v2, step 1 of 2" in machine.plait("rollout", "web", "--status")
        assert "use --resume or --abort" in machine.plait(*words, code=4)
        assert "promoted" in machine.plait("rollout", "web", "--resume", wait=100)


@pytest.mark.long
def test_a_change_by_somebody_else_ends_it(machine: Machine, load: CountedLoad) -> None:
    """Who applies the route meanwhile wins: the rollout ends, says so, and writes nothing more."""
    with machine.running("rollout", "web", "--to", "web-v2", *QUICK, "--steps", "20,100") as running:
        until(lambda: weights(machine).get("web-v2") == 20, what="the first step")
        apply(machine, ROUTE)
        _, errors = running.communicate(timeout=30)

    assert running.returncode == 4
    assert "somebody else changed httproute default/web" in errors
    assert weights(machine) == {"web-v1": 1}
    machine.plait("rollout", "web", "--abort", code=None)
