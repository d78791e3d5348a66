"""Limits that the instances of a service share, in a mesh with its own control: counted once, wherever calls arrive."""

import contextlib
import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.machines import Machine, free_port, mesh, needs_root, server, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(100), needs_root]

LIMIT = "traffic.plait.dev/global-rate-limit"
CALLS = Path(__file__).with_name("rate_limit_calls.py")
LIMITED = "429 global-rate-limit"
UNKNOWN = "503 global-rate-limit-failure"


def limits(name: str, **rates: str) -> str:
    """A Service of the apps `web` with limits, patient with a busy machine."""
    given = {
        "-timeout": "3s",
        **{f"-{key}".replace("_", "-").replace("-all", ""): value for key, value in rates.items()},
    }
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name, "annotations": {f"{LIMIT}{key}": value for key, value in given.items()}},
            "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8000}]},
        }
    )


def run_two(machine: Machine, service: str) -> None:
    """Two instances of a service."""
    for name in (f"{service}-1", f"{service}-2"):
        words = ("run", "--name", name, "--labels", f"app={service}", "--port", "8000/http", "--detach", "--")
        machine.plait(*words, *server(8000, name))


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Machine]:
    """Two callers, and two instances each of two services."""
    with mesh(tmp_path_factory.mktemp("m")) as started:
        started.apply(limits("web", all="30/d"))
        started.apply(limits("strict", all="1000000/h", failure="deny"))
        run_two(started, "web")
        run_two(started, "strict")
        for name in ("ann", "bob"):
            words = ("run", "--name", name, "--service-account", name, "--detach", "--", "sleep", "600")
            started.plait(*words)
        yield started


def call(machine: Machine, caller: str, host: str, *, number: int = 100000, seconds: float = 60) -> dict[str, float]:
    """How many answers a caller got of each kind: the instance's name, or status and reason."""
    words = (sys.executable, "-I", "-S", str(CALLS), host, str(seconds), str(number))
    found: dict[str, float] = json.loads(machine.plait("exec", caller, "--", *words, wait=90).splitlines()[-1])
    return found


def both(machine: Machine, host: str, **bounds: float) -> dict[str, float]:
    """The same of both callers at once, added up."""
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda caller: call(machine, caller, host, **bounds), ("ann", "bob")))  # type: ignore[arg-type]
    return {key: sum(item.get(key, 0) for item in found) for key in found[0].keys() | found[1].keys()}


def passed(found: Mapping[str, float], service: str = "web") -> float:
    """How many calls were answered by an instance."""
    return sum(found.get(f"{service}-{number}", 0) for number in (1, 2))


def test_two_instances_and_two_callers_share_one_limit(machine: Machine) -> None:
    """Thirty calls pass of a hundred and sixty, at both instances; the others are told why."""
    found = both(machine, "web", number=80)
    assert passed(found) == 30, found
    assert found[LIMITED] == 130, found
    assert found["web-1"] > 0, found
    assert found["web-2"] > 0, found
    status = json.loads(machine.plait("status", "-o", "json"))
    with urllib.request.urlopen(status["metrics"]["url"], timeout=10) as answer:
        told = dict(line.split(" ") for line in answer.read().decode().splitlines() if line.startswith("plait_rate"))
    assert float(told["plait_rate_limits_passed"]) == 30, told
    assert 1 <= float(told["plait_rate_limits_limited"]) <= 130, told


@pytest.mark.long
def test_a_rate_holds_and_a_changed_one_too(machine: Machine) -> None:
    """Twenty a second for three seconds, then any number: no proxy is told, since control knows the numbers."""
    machine.apply(limits("web", all="20/s"))
    found = both(machine, "web", seconds=3.0)
    longest = found["seconds"] / 2 + 1
    assert 40 <= passed(found) <= 20 * (longest + 1), found
    assert found[LIMITED] > 0, found
    machine.apply(limits("web", all="100000/s"))
    until(lambda: call(machine, "ann", "web", number=30).get(LIMITED, 0) == 0, what="the new limit holds")


def test_each_caller_has_a_limit_of_its_own(machine: Machine) -> None:
    """By the identity in its certificate; a header's value is counted for both."""
    machine.apply(limits("web", per_caller="10/d"))
    until(lambda: LIMITED in call(machine, "ann", "web", number=15))
    assert passed(call(machine, "bob", "web", number=20)) == 10
    machine.apply(limits("web", per_header="x-user=12/d"))
    until(lambda: LIMITED in call(machine, "ann", "web", number=20))
    assert call(machine, "bob", "web", number=5) == {LIMITED: 5, "seconds": pytest.approx(0, abs=30)}


@pytest.mark.long
def test_without_control_calls_pass_unless_the_service_says_otherwise(machine: Machine) -> None:
    """Control is killed: nobody waits, calls pass or are refused as asked, and are counted again when it is back."""
    machine.apply(limits("web", all="5/d"))
    until(lambda: LIMITED in call(machine, "ann", "web", number=10))
    assert passed(call(machine, "ann", "strict", number=10), "strict") == 10
    machine.end("control", signal.SIGKILL)
    until(lambda: LIMITED not in call(machine, "ann", "web", number=5), what="what was refused last is forgotten")
    found = call(machine, "ann", "web", number=50)
    assert passed(found) == 50, found
    assert found["seconds"] < 3, found
    assert call(machine, "ann", "strict", number=10)[UNKNOWN] == 10
    machine.start("control")
    until(lambda: LIMITED in call(machine, "ann", "web", number=10), what="calls are counted again")
    until(lambda: passed(call(machine, "bob", "strict", number=5), "strict") == 5)


@contextlib.contextmanager
def redis(folder: Path) -> Generator[tuple[str, "subprocess.Popen[bytes]"]]:
    """A Redis on loopback, and its process."""
    port = free_port()
    words = ("redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder))
    with (folder / "redis.log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    until(lambda: subprocess.run(("redis-cli", "-p", str(port), "ping"), capture_output=True, check=False).stdout)
    try:
        yield f"redis://127.0.0.1:{port}/3", process
    finally:
        process.kill()
        process.wait()


@pytest.mark.long
def test_counts_in_redis_outlive_control(tmp_path: Path) -> None:
    """After its death the next one goes on counting; without Redis calls pass."""
    with redis(tmp_path) as (url, process):
        environment = {"PLAIT_RATE_LIMIT_STORE": url}
        with mesh(tmp_path / "m", environment=environment) as machine:
            machine.apply(limits("web", all="30/d"))
            run_two(machine, "web")
            machine.plait("run", "--name", "ann", "--detach", "--", "sleep", "600")
            assert passed(call(machine, "ann", "web", number=20)) == 20
            machine.end("control", signal.SIGKILL)
            machine.start("control")
            until(lambda: call(machine, "ann", "web", number=5).get(LIMITED, 0) == 5, what="the limit is reached")
            process.kill()
            until(lambda: passed(call(machine, "ann", "web", number=10)) == 10, what="calls pass without Redis")
