"""`python -m bench.soak`: many minutes of load while everything changes and dies; fails on one lost call.

usage: python -m bench.soak [--seconds N]        (600)

Every second the rules of two Services change (`soak_traffic`), every 10 seconds a workload of a serving service is
stopped and started, every minute control or the node agent is killed (in turn; `plait up` starts it again). Leaf
certificates live so short that each workload's is renewed every half minute on average. Meanwhile calls of several
kinds (see STREAMS) are counted; nothing is tried again. A change that control or agent cannot take because it was just
killed is made again until it is taken.

Prints what happened, the memory of all processes at begin and end, and what was lost; writes build/soak.json.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench import counting, mesh, processes, soak_traffic, starting
from plait.api.client import Client
from plait.errors import PlaitError

RESULT: Final = mesh.REPOSITORY / "build" / "soak.json"
STREAMS: Final = {
    "kept": {"url": "http://web/", "workers": 4, "pause": 0.04},
    "posted": {"url": "http://web/", "method": "POST", "body": "x" * 4000, "workers": 1, "pause": 0.05},
    "direct": {"url": "http://one/", "workers": 2, "pause": 0.04},
    "fresh": {"url": "http://two/", "fresh": True, "workers": 1, "pause": 0.1},
    "slow": {"url": "http://web/slow/1.0", "workers": 4},
    "istio": {"url": "http://shop/", "workers": 2, "pause": 0.04},
    "istio-posted": {"url": "http://shop/", "method": "POST", "body": "x" * 4000, "workers": 1, "pause": 0.05},
    "counted": {"url": "http://counted/", "workers": 2, "pause": 0.04},
}
SERVERS: Final = {"one-1": "one", "two-1": "two", "one-2": "one", "two-2": "two"}
VERSIONS: Final = {"one": "v1", "two": "v2"}
LEAF_TTL: Final = "67s"
"""Leaves are renewed at 40 to 50 % of their life: on average 30 s after they were issued."""
TAKEN_WITHIN: Final = 60.0
WARM_UP: Final = 10.0


@dataclass(slots=True)
class Story:
    """What happened, when (seconds since the beginning)."""

    began: float = field(default_factory=time.time)
    done: Counter[str] = field(default_factory=Counter[str])
    postponed: Counter[str] = field(default_factory=Counter[str])
    events: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    broken: list[str] = field(default_factory=list[str])

    def tell(self, what: str) -> None:
        """Note an event."""
        self.events.append((round(time.time() - self.began, 2), what))


class Soak:
    """A mesh, and what is done to it."""

    def __init__(self, running: mesh.Mesh, story: Story) -> None:
        self._mesh = running
        self._story = story
        self._stopping = threading.Event()
        self._leaves: dict[Path, bytes] = {}
        self._changed = 0
        self._restarted = 0
        self._killed = 0

    def prepare(self) -> None:
        """Start what serves."""
        self._mesh.apply(soak_traffic.services())
        for name in SERVERS:
            self._serve(name)
        self._change_rules()
        self._story.done.clear()

    def everything(self, seconds: float) -> None:
        """Do all of it for that long."""
        deeds = (
            (1.0, "change of rules", self._change_rules),
            (10.0, "workload restart", self._restart_workload),
            (60.0, "kill", self._kill),
            (1.0, "leaf rotation", self._look_at_leaves),
        )
        threads = [threading.Thread(target=self._repeat, args=deed) for deed in deeds]
        for thread in threads:
            thread.start()
        time.sleep(seconds)
        self._stopping.set()
        for thread in threads:
            thread.join()

    def _repeat(self, every: float, what: str, deed: Callable[[], None]) -> None:
        due = time.monotonic() + every
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            due = max(due + every, time.monotonic())
            self._until_taken(what, deed)

    def _until_taken(self, what: str, deed: Callable[[], None]) -> None:
        deadline = time.monotonic() + TAKEN_WITHIN
        while True:
            try:
                deed()
            except (PlaitError, RuntimeError) as error:
                self._story.postponed[what] += 1
                if time.monotonic() > deadline:
                    self._story.broken.append(f"{what}: not within {TAKEN_WITHIN:.0f} s: {error}")
                    return
                time.sleep(0.3)
                continue
            return

    def _change_rules(self) -> None:
        with Client(f"unix://{self._mesh.state / 'run' / 'api.sock'}") as client:
            client.apply(soak_traffic.rules(self._changed), fieldManager="soak")
        self._changed += 1
        self._story.done["changes of rules"] += 1

    def _restart_workload(self) -> None:
        name = list(SERVERS)[self._restarted % len(SERVERS)]
        if name in self._running():
            self._story.tell(f"stop {name}")
            self._mesh.plait("stop", name)
        self._serve(name)
        self._story.tell(f"started {name}")
        self._restarted += 1
        self._story.done["workload restarts"] += 1

    def _kill(self) -> None:
        part = ("control", "node")[self._killed % 2]
        os.kill(self._mesh.pid(part), signal.SIGKILL)
        self._killed += 1
        self._story.tell(f"kill -9 {part}")
        self._story.done[f"kill -9 of {part}"] += 1

    def _look_at_leaves(self) -> None:
        for path in (self._mesh.state / "node" / "workloads").glob("*/chain.pem"):
            with contextlib.suppress(FileNotFoundError):
                chain = path.read_bytes()
                if self._leaves.get(path, chain) != chain:
                    self._story.done["leaf rotations"] += 1
                self._leaves[path] = chain

    def _running(self) -> frozenset[str]:
        rows = json.loads(self._mesh.plait("get", "workloads", "-o", "json"))
        return frozenset(str(row["name"]) for row in rows)

    def _serve(self, name: str) -> None:
        words = ("run", "--name", name, "--service", f"{SERVERS[name]}:80", "--port", "8000/http")
        server = counting.server_command(8000, name)
        labels = f"app=web,version={VERSIONS[SERVERS[name]]}"
        self._mesh.plait(*words, "--labels", labels, "--detach", "--", *server)


def memories(running: mesh.Mesh) -> dict[str, float]:
    """Anonymous megabytes of control, node agent and every Envoy."""
    found = {part: processes.memory([running.pid(part)]).anonymous for part in ("control", "node")}
    for row in json.loads(running.plait("get", "workloads", "-o", "json")):
        for pid in row["pids"]:
            if processes.executable(pid) == "envoy":
                found[f"Envoy of {row['name']}"] = processes.memory([pid]).anonymous
    return {name: round(value, 1) for name, value in found.items()}


def soak(seconds: float) -> dict[str, Any]:
    """Everything, and what came of it."""
    os.environ["PLAIT_LEAF_TTL"] = LEAF_TTL
    story = Story()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plait-soak-")))
        running = stack.enter_context(mesh.mesh(folder / "mesh"))
        work = Soak(running, story)
        work.prepare()
        counted = stack.enter_context(counting.Counting(mesh.PLAIT, running.environment, STREAMS))
        time.sleep(min(WARM_UP, seconds))
        before = memories(running)
        story.began = time.time()
        work.everything(seconds)
        time.sleep(1)
        after = memories(running)
        final = counted.finish()
    return {
        "seconds": seconds,
        "calls": sum(stream["calls"] for stream in final.values()),
        "lost": sum(stream["lost"] for stream in final.values()),
        "streams": {name: {**stream, "failures": _since(story.began, stream)} for name, stream in final.items()},
        "done": story.done,
        "postponed": story.postponed,
        "broken": story.broken,
        "memory": {name: [value, after.get(name)] for name, value in before.items()},
        "events": story.events,
    }


def _since(began: float, stream: Mapping[str, Any]) -> list[tuple[float, str]]:
    return [(round(moment - began, 2), what) for moment, what in stream["failures"]]


def tell(result: Mapping[str, Any]) -> None:
    """Print it."""
    print(f"{result['seconds']:.0f} s, {result['calls']} calls, {result['lost']} lost")
    for name, number in sorted(result["done"].items()):
        print(f"  {number:5} {name}")
    for name, number in sorted(result["postponed"].items()):
        print(f"  {number:5} attempts at a {name} before it was taken")
    for name, stream in result["streams"].items():
        print(f"  {stream['calls']:6} calls {name}: {stream['lost']} lost; slowest {stream['slowest']:.2f} s")
        for moment, what in stream["failures"]:
            print(f"         lost at {moment:.2f} s, {what}")
    for name, (begin, end) in result["memory"].items():
        print(f"  {name}: {begin} MB, at the end {end} MB (anonymous)")
    for what in result["broken"]:
        print(f"  BROKEN {what}")


def main(words: Sequence[str]) -> int:
    """Soak; exit code 1 if a call was lost or a change never taken, 2 if it could not be done."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description="Load while everything changes and dies.")
    parser.add_argument("--seconds", type=float, default=600)
    options = parser.parse_args(words)
    if not starting.privileged():
        sys.stderr.write("soak: network namespaces need root\n")
        return 2
    try:
        result = soak(options.seconds)
    except (PlaitError, RuntimeError) as error:
        sys.stderr.write(f"soak: {error}\n")
        return 2
    tell(result)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if result["lost"] or result["broken"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
