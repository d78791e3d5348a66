"""Envoys replaced under running apps, and Plait itself by another version: no call and no connection is lost.

Callers and servers are upgraded in turn while every call is counted: HTTP/1.1 on kept and on fresh connections, slow
answers of two seconds, gRPC, and echoes on TCP connections. Another version of Envoy is another copy of its binary.
"""

import json
import os
import shutil
import sys
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from plait.node import client
from plait.node.settings import NodeSettings, find_envoy
from tests.integration.counted_load import CountedLoad, serve
from tests.integration.machines import Machine, mesh, needs_root, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(150)]

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
        caller = (sys.executable, STREAM_CALLS, "call", json.dumps(plan))
        self._command = (*machine.program, "run", "--name", "load", "--service-account", "load", "--", *caller)


@pytest.fixture(scope="module")
def envoys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where another Envoy is installed by the tests: what the agent is told to run."""
    installed = tmp_path_factory.mktemp("envoy") / "envoy"
    installed.parent.chmod(0o755)
    shutil.copy(find_envoy(NodeSettings(state_dir=Path())), installed)
    return installed


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
    environment = {"PLAIT_ENVOY": str(envoys), "PLAIT_GRACE": "6"}
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


def none_leaves(machine: Machine) -> None:
    """Wait until every replaced Envoy has ended."""
    until(lambda: not any(item["proxiesLeaving"] for item in report(machine).values()), within=15)


@needs_root
def test_every_envoy_is_replaced_under_load(machine: Machine, load: CountedLoad, envoys: Path) -> None:
    """Caller's and servers' Envoys are replaced again and again; nothing is lost, and every old one ends."""
    for _ in range(3):
        before = {name: envoy_of(machine, name) for name in ("load", "web-1", "tcp-1", "grpc-1")}
        install(envoys)
        with load.loses_nothing(calls=500, settle=1.0):
            said = machine.plait("proxy", "upgrade")
            assert said.count(" upgraded\n") == len(before)
            none_leaves(machine)
        after = {name: envoy_of(machine, name) for name in before}
        assert not set(before.values()) & set(after.values())
        for pid in before.values():
            assert not Path(f"/proc/{pid}").exists()
