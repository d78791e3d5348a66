"""Envoys replaced under running apps, and Plait itself by another version: no call and no connection is lost.

Callers and servers are upgraded in turn while every call is counted: HTTP/1.1 on kept and on fresh connections, slow
answers of two seconds, gRPC, and echoes on TCP connections. Another version of Envoy is another copy of its binary.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench import counting
from plait.node import client, doors
from plait.node.processes import identify
from plait.node.settings import NodeSettings, find_envoy
from tests.integration.counted_load import CountedLoad, apply, serve
from tests.integration.machines import Machine, free_port, mesh, needs_root, ordinary_mesh, until

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.timeout(150)]

STREAM_CALLS = str(Path(__file__).with_name("stream_calls.py"))
STREAMS = {
    "kept": {"url": "http://web/", "workers": 3, "pause": 0.01},
    "posted": {"url": "http://web/", "method": "POST", "body": "x" * 2000, "pause": 0.02},
    "fresh": {"url": "http://web/", "fresh": True, "workers": 2, "pause": 0.02},
    "slow": {"url": "http://web/slow/2", "workers": 3},
    "grpc": {"url": "grpc://grpc:9001/0", "pause": 0.01},
    "grpc slow": {"url": "grpc://grpc:9001/2"},
    "tcp": {"url": "tcp://tcp:9000", "workers": 2, "pause": 0.01},
}


class MixedLoad(CountedLoad):
    """Load of every kind, by an interpreter that knows gRPC."""

    def __init__(self, machine: Machine, plan: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(machine, plan)
        caller = (machine.program[0], STREAM_CALLS, "call", json.dumps(plan))
        self._command = (
            *machine.prefix,
            *machine.program,
            "run",
            "--name",
            "load",
            "--service-account",
            "load",
            "--",
            *caller,
        )


@pytest.fixture(scope="module")
def envoys() -> Generator[Path]:
    """Where another Envoy is installed by the tests, for every user: what the agent is told to run."""
    with tempfile.TemporaryDirectory(prefix="plait-envoy-") as folder:
        Path(folder).chmod(0o755)
        install(Path(folder) / "envoy")
        yield Path(folder) / "envoy"


def install(installed: Path, text: str = "") -> None:
    """Replace the installed Envoy: by a script with this text, or by a fresh copy of the real one."""
    fresh = installed.with_suffix(".new")
    if text:
        fresh.write_text(text)
        fresh.chmod(0o755)
    else:
        shutil.copy(find_envoy(NodeSettings(state_dir=Path())), fresh)
    os.utime(fresh)
    fresh.replace(installed)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, envoys: Path) -> Generator[Machine]:
    environment = {"PLAIT_ENVOY": str(envoys), "PLAIT_GRACE": "6", "PLAIT_WARM_WITHIN": "4"}
    with mesh(tmp_path_factory.mktemp("m"), environment=environment) as started:
        serve(started, "web-1", "web")
        for kind, port in (("tcp", "9000"), ("grpc", "9001")):
            words = ("--service", f"{kind}:{port}", "--port", f"{port}/{kind}", "--detach")
            started.plait("run", "--name", f"{kind}-1", *words, "--", sys.executable, STREAM_CALLS, kind, port)
        yield started


@pytest.fixture(scope="module")
def load(machine: Machine) -> Generator[CountedLoad]:
    with MixedLoad(machine, STREAMS) as running:
        running.goes()
        yield running


def report(machine: Machine) -> dict[str, dict[str, Any]]:
    """What the agent says of its workloads, by name."""
    answer = client.ask(machine.state / "run" / "node.sock", {"do": "list"})
    return {item["name"]: item for item in answer["workloads"]}


def envoy_of(machine: Machine, name: str) -> int:
    """The process number of a workload's serving Envoy."""
    return int(report(machine)[name]["pids"][1])


def none_leaves(machine: Machine, *names: str, within: float = 25) -> None:
    """Wait until every replaced Envoy of these workloads has ended."""
    until(lambda: not any(report(machine)[name]["proxiesLeaving"] for name in names), within=within)


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    found = identify(pid)
    return found is None or not found.alive()


ALLOWED = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: web, namespace: default}
spec:
  selector: {matchLabels: {app: web}}
  action: ALLOW
  rules: [{to: [{operation: {methods: [GET, POST]}}]}]
"""
"""With it the server's Envoy processes HTTP, and can ask its callers to leave."""


@needs_root
def test_every_envoy_is_replaced_under_load(machine: Machine, load: CountedLoad, envoys: Path) -> None:
    """Caller's and servers' Envoys are replaced again and again; nothing is lost."""
    names = ("load", "web-1", "tcp-1", "grpc-1")
    for _ in range(3):
        before = {name: envoy_of(machine, name) for name in names}
        install(envoys)
        with load.loses_nothing(calls=500, settle=2.5):
            assert machine.plait("proxy", "upgrade").count(" upgraded\n") == len(before)
        assert not set(before.values()) & {envoy_of(machine, name) for name in names}
    with load.loses_nothing(calls=100):
        none_leaves(machine, "load", "tcp-1")


@pytest.mark.long
@needs_root
def test_of_three_envoys_the_oldest_listens_no_more(machine: Machine, load: CountedLoad) -> None:
    """New connections are led to one of two sockets of a port: a third would make them go to an older Envoy."""
    serving: list[int] = []
    with load.loses_nothing(calls=500):
        for _ in range(4):
            serving.append(envoy_of(machine, "web-1"))
            machine.plait("proxy", "upgrade", "--force", "web-1")
            older = [pid for pid in serving[:-1] if not gone(pid)]
            assert not [doors.ports(pid) for pid in older if doors.ports(pid)]


@pytest.mark.long
@needs_root
def test_replaced_envoys_that_process_http_end_soon(machine: Machine, load: CountedLoad) -> None:
    """Their clients leave with the next answer, slow ones included."""
    apply(machine, ALLOWED)  # the change to HTTP may cut answers that take two seconds
    time.sleep(3)
    with load.loses_nothing(calls=300):
        before = envoy_of(machine, "web-1")
        machine.plait("proxy", "upgrade", "--force", "web-1")
        until(lambda: gone(before), within=15)


@pytest.mark.long
@needs_root
def test_replaced_envoys_that_pass_bytes_end_with_their_callers_connections(
    machine: Machine, load: CountedLoad
) -> None:
    """Callers make their connections anew as soon as these arrive at the new Envoy, and nothing is lost."""
    with load.loses_nothing(calls=300):
        for name in ("grpc-1", "web-1"):
            before = envoy_of(machine, name)
            machine.plait("proxy", "upgrade", "--force", name)
            until(lambda before=before: gone(before), within=15)


@needs_root
@pytest.mark.parametrize(
    "case",
    [
        ("#!/bin/sh\necho 'unknown flag: --concurrency' >&2\nexit 1\n", "unknown flag: --concurrency"),
        pytest.param(("#!/bin/sh\nexec sleep 60\n", "has not connected after 4 s"), marks=pytest.mark.long),
    ],
)
def test_an_envoy_that_cannot_serve_changes_nothing(
    machine: Machine, load: CountedLoad, envoys: Path, case: tuple[str, str]
) -> None:
    """The serving Envoy serves on, the command says why and stops, and what is old is told."""
    script, why = case
    before = {name: envoy_of(machine, name) for name in ("web-1", "load")}
    install(envoys, script)
    with load.loses_nothing(calls=200):
        said = machine.plait("proxy", "upgrade", "web-1", "load", code=4)
        assert why in said
        assert "default/web-1 keeps its proxy, and so do 2 of 2" in said
    assert {name: envoy_of(machine, name) for name in before} == before
    install(envoys)
    assert not report(machine)["web-1"]["proxyCurrent"]
    assert "proxy was started from another Envoy" in machine.plait("doctor", code=None)
    with load.loses_nothing(calls=200):
        machine.plait("proxy", "upgrade", "web-1")
    assert report(machine)["web-1"]["proxyCurrent"]


@pytest.mark.long
@needs_root
def test_the_agent_dies_amid_an_upgrade(machine: Machine, load: CountedLoad, envoys: Path) -> None:
    """Killed before the new Envoy serves: the old one serves on. Killed just after: the old one is seen off."""
    real = find_envoy(NodeSettings(state_dir=Path()))
    before = envoy_of(machine, "web-1")
    install(envoys, f'#!/bin/sh\nsleep 2\nexec {real} "$@"\n')
    with load.loses_nothing(calls=500):
        command = [*machine.program, "proxy", "upgrade", "web-1"]
        with subprocess.Popen(command, env=machine.env, stderr=subprocess.DEVNULL):
            time.sleep(1.5)
            machine.end("node", signal.SIGKILL)
        install(envoys)
        machine.start("node")
        assert envoy_of(machine, "web-1") == before
        machine.plait("proxy", "upgrade", "web-1", "load")
        machine.end("node", signal.SIGKILL)
        machine.start("node")
        assert envoy_of(machine, "web-1") != before
        none_leaves(machine, "web-1", "load")
    assert gone(before)


@pytest.mark.long
@needs_root
def test_callers_wait_while_their_killed_envoy_is_started_again(machine: Machine, load: CountedLoad) -> None:
    """What is in hand is lost with the Envoy; whoever connects before the next one is there waits for it."""
    time.sleep(10.5)  # an Envoy that has lived for ten seconds is started again at once
    for name, mine in (("load", STREAMS), ("web-1", {"kept", "posted", "fresh", "slow"})):
        known = {stream: found["lost"] for stream, found in load.report().items()}
        began = time.time()
        os.kill(envoy_of(machine, name), signal.SIGKILL)
        time.sleep(3)
        after = load.report()
        lost = {stream: found["lost"] - known[stream] for stream, found in after.items()}
        late = [
            (stream, round(moment - began, 3), what)
            for stream, found in after.items()
            for moment, what in found["failures"]
            if moment > began + 0.1
        ]
        assert not late, (name, lost, late)
        for stream, plan in STREAMS.items():
            assert lost[stream] <= (plan.get("workers", 1) if stream in mine else 0), (name, lost)


@pytest.mark.long
@needs_root
def test_plait_itself_is_upgraded_under_load(tmp_path: Path) -> None:
    """`plait down --keep-workloads` and `plait up` of another version: it adopts what runs, and nothing is lost."""
    sources = tmp_path / "other"
    shutil.copytree(Path(client.__file__).parents[1], sources / "plait", ignore=shutil.ignore_patterns("__pycache__"))
    (sources / "plait" / "__init__.py").write_text('"""Another version."""\n\n__version__ = "9.9.9"\n')
    machine = Machine(tmp_path / "m")
    machine.state.mkdir()
    machine.plait("up", "--detach")
    try:
        serve(machine, "web-1", "web")
        with CountedLoad(machine, {name: STREAMS[name] for name in ("kept", "posted", "fresh", "slow")}) as load:
            load.goes()
            before = {name: item["pids"] for name, item in report(machine).items()}
            with load.loses_nothing(calls=500):
                machine.plait("down", "--keep-workloads")
                machine.environment["PYTHONPATH"] = str(sources)
                machine.plait("up", "--detach")
                assert "9.9.9" in machine.plait("status", "-o", "json")
                assert {name: item["pids"] for name, item in report(machine).items()} == before
                assert all(item["proxyCurrent"] for item in report(machine).values())
                machine.plait("proxy", "upgrade", "--force")
                serve(machine, "web-2", "web")
                until(lambda: load.report()["fresh"]["by"].get("web-2", 0) > 3)
    finally:
        machine.plait("down")


@pytest.mark.long
def test_explicit_capture_loses_nothing_either() -> None:
    """The ports of explicit capture are the same before and after; callers and servers are replaced again and again."""
    plan = {
        "kept": {"url": "proxied://web/", "workers": 3, "pause": 0.01},
        "fresh": {"url": "proxied://web/", "fresh": True, "workers": 3, "pause": 0.01},
        "slow": {"url": "proxied://web/slow/2", "workers": 2},
    }
    with ordinary_mesh() as machine:
        port = free_port()
        words = ("run", "--name", "web-1", "--service", "web:80", "--port", f"{port}/http", "--detach")
        machine.plait(*words, "--", machine.program[0], str(counting.ANSWERER), str(port), "web-1")
        with MixedLoad(machine, plan) as load:
            load.goes()
            for _ in range(3):
                with load.loses_nothing(calls=200, settle=1.0):
                    assert machine.plait("proxy", "upgrade", "--force").count(" upgraded\n") == 2
