"""DNS goes on while the node agent is killed: an app that resolves for every call, with a second for it, loses none."""

import contextlib
import os
import signal
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from plait.node.processes import identify
from tests.integration.counted_load import CountedLoad, serve, stop
from tests.integration.machines import Machine, mesh, needs_root, until

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.timeout(120), needs_root]

STREAMS = {
    "fresh": {"url": "http://one/", "fresh": True, "workers": 3, "pause": 0.01},
    "full": {"url": "http://one.default.svc.cluster.local/", "fresh": True, "pause": 0.01},
}
IMPATIENT = {"RES_OPTIONS": "timeout:1 attempts:1"}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Machine]:
    with mesh(tmp_path_factory.mktemp("m"), environment=IMPATIENT) as started:
        serve(started, "one-1", "one")
        yield started


def front_of(machine: Machine) -> int:
    """The process number of the machine's DNS front."""
    rows = [line.split() for line in Path("/proc/net/unix").read_text(encoding="utf-8").splitlines()]
    held = {f"socket:[{row[6]}]" for row in rows if row[-1] == f"{machine.state}/node/dns.sock"}
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            if any(str(fd.readlink()) in held for fd in folder.iterdir()):
                return int(folder.parent.name)
    raise AssertionError("no DNS front")


def test_no_question_is_lost_when_the_agent_is_killed(machine: Machine) -> None:
    """Killed again and again, and away for longer than resolvers wait; the same front serves on."""
    with CountedLoad(machine, STREAMS) as load:
        load.goes()
        front = front_of(machine)
        load.report()
        for away in (0.0, 2.0, 0.5):
            with load.loses_nothing(calls=100):
                machine.end("node", signal.SIGKILL)
                time.sleep(away)
                machine.start("node")
        assert max(stream["slowest"] for stream in load.report().values()) < 1.0
        assert front_of(machine) == front
        stop(machine, "one-1")


def test_the_front_ends_with_the_mesh(tmp_path: Path) -> None:
    """When the last workload has been ended and the agent ends in order, nothing is left a moment later."""
    with mesh(tmp_path) as short:
        serve(short, "one-1", "one")
        front = identify(front_of(short))
        assert front is not None
        (short.state / "node" / "dns.sock").unlink()
        short.close()
        until(lambda: not front.alive(), within=1.0)


def test_a_front_that_is_killed_is_started_again(machine: Machine) -> None:
    """The agent starts another one at once, and names are answered as before."""
    serve(machine, "two-1", "two")
    with CountedLoad(machine, {"fresh": {"url": "http://two/", "fresh": True}}) as load:
        load.goes()
        os.kill(front_of(machine), signal.SIGKILL)
        before = load.report()["fresh"]["by"]["two-1"]
        until(lambda: load.report()["fresh"]["by"]["two-1"] > before + 5)
