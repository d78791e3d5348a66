"""Load from inside a network namespace: h2load for saturation, `pace` and h2load for a fixed rate.

HTTP/1.1 (also where the proxies take it for bytes) uses 32 connections with one request at a time; HTTP/2 and gRPC use
4 connections with 8 at a time, so that 32 requests are under way as well. At a fixed rate h2load spreads the rate over
its connections and lets up to 100 requests wait on each.

A run begins with a part that is not read, in which connections are made: with a handshake for each, as paths have them
whose sidecars pass bytes, two seconds would tell of handshakes too. `started` is called when reading begins.
"""

import json
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import calls, processes, upstream
from bench.calls import Call
from bench.pace import READY as PACE_READY
from bench.pace import percentile

PACE: Final = Path(__file__).with_name("pace.py")
CONNECTIONS: Final = 32
STREAMS: Final = 8
WAITING: Final = 100
RATE: Final = 1000
WARM_UP: Final = "500ms"
"""h2load's part before reading begins."""
H2LOAD_READY: Final = "Main benchmark duration is started"
_QUESTION: Final = upstream.message(b"question")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where load goes: called from a namespace (its name), by address, under the name of a host, with which call."""

    netns: str
    address: str
    port: int
    host: str
    call: Call

    @property
    def url(self) -> str:
        """The URL by address."""
        return f"http://{self.address}:{self.port}{self.call.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run of load saw; latencies in milliseconds."""

    requests: int
    failed: int
    per_second: float
    p50: float
    p99: float


def _nobody() -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How long a run is read, the priority of who makes the load, and who is told when reading begins."""

    seconds: float
    niceness: int = 0
    started: Callable[[], None] = _nobody


def saturate(target: Target, run: Run, *, connections: int = CONNECTIONS) -> Outcome:
    """As many requests as can be made with `connections` under way at a time."""
    if target.call.protocol.multiplexed:
        clients = max(1, connections // STREAMS)
        return _h2load(target, run, ["-c", str(clients), "-m", str(min(STREAMS, connections))])
    return _h2load(target, run, ["--h1", "-c", str(connections), "-m", "1"])


def pace(target: Target, run: Run, *, rate: int = RATE) -> Outcome:
    """Requests at a fixed rate, whatever the answers take."""
    if target.call.protocol.multiplexed:
        clients = CONNECTIONS // STREAMS
        return _h2load(target, run, ["-c", str(clients), "-m", str(WAITING), "--rps", str(rate / clients)])
    plan = [target.address, str(target.port), target.host, target.call.path, str(rate), str(run.seconds)]
    text = _inside(target, [sys.executable, "-I", "-S", str(PACE), *plan], run, mark=PACE_READY)
    seen = json.loads(text.splitlines()[-1])
    requests = int(seen["requests"])
    return Outcome(
        requests=requests,
        failed=int(seen["failed"]),
        per_second=requests / run.seconds,
        p50=seen["p50"],
        p99=seen["p99"],
    )


def _h2load(target: Target, run: Run, options: list[str]) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="plait-bench-") as folder:
        log, question = Path(folder) / "log", Path(folder) / "question"
        question.write_bytes(_QUESTION)
        command = ["h2load", "-t", "1", "-D", f"{run.seconds:.0f}", "--warm-up-time", WARM_UP, *options]
        command += ["--log-file", str(log), "-H", f":authority: {target.host}"]
        if target.call.protocol is calls.GRPC:
            command += ["-d", str(question), "-H", "content-type: application/grpc", "-H", "te: trailers"]
        text = _inside(target, [*command, target.url], run, mark=H2LOAD_READY)
        return parse_h2load(text, log.read_text(), run.seconds)


def _inside(target: Target, command: list[str], run: Run, *, mark: str) -> str:
    """What the command prints in the target's namespace; reading begins at the line with the mark, or at once."""
    entered = ["ip", "netns", "exec", target.netns, "taskset", "-c", "0", *command]
    lines: list[str] = []
    with subprocess.Popen(
        entered, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        processes.favour([process.pid], run.niceness)
        limit = threading.Timer(run.seconds + 30, process.kill)
        limit.start()
        if not mark:
            run.started()
        try:
            for line in process.stdout or ():
                lines.append(line)
                if mark and mark in line:
                    run.started()
        finally:
            limit.cancel()
    text = "".join(lines)
    if process.returncode or mark not in text:
        raise RuntimeError(f"{command[0]} failed in {target.netns} ({process.returncode}): {text.strip()[-300:]}")
    return text


def parse_h2load(text: str, log: str, seconds: float) -> Outcome:
    """What h2load printed, with the time of each request from its log (start, status, microseconds).

    Status 0 is that of an answer that began in the part that is not read.
    """
    counts = re.search(r"requests: .* (\d+) failed, (\d+) errored, (\d+) timeout", text)
    if counts is None:
        raise RuntimeError(f"h2load printed something unexpected: {text.strip()[:300]}")
    lines = [line.split("\t") for line in log.splitlines()]
    taken = sorted(int(words[2]) / 1000 for words in lines if words[1] == "200")
    refused = sum(words[1] not in ("200", "0") for words in lines)
    return Outcome(
        requests=len(taken),
        failed=max(refused, int(counts[1])),
        per_second=len(taken) / seconds,
        p50=percentile(taken, 0.5),
        p99=percentile(taken, 0.99),
    )
