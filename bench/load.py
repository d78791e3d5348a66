"""Load from inside a network namespace: wrk for saturation, `pace` for a fixed rate."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench import processes

PACE = Path(__file__).with_name("pace.py")
CONNECTIONS = 32
RATE = 1000
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where load goes: called from a namespace (its name), by address, under the name of a host."""

    netns: str
    address: str
    port: int
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run of load saw; latencies in milliseconds."""

    requests: int
    failed: int
    per_second: float
    p50: float
    p99: float


def saturate(target: Target, seconds: float, *, niceness: int = 0) -> Outcome:
    """As many requests as 32 connections can make."""
    url = f"http://{target.address}:{target.port}/"
    options = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "--latency", "-H", f"Host: {target.host}"]
    return parse_wrk(_inside(target, ["wrk", *options, url], seconds=seconds, niceness=niceness))


def pace(target: Target, seconds: float, *, rate: int = RATE, niceness: int = 0) -> Outcome:
    """Requests at a fixed rate, whatever the answers take."""
    plan = [target.address, str(target.port), target.host, str(rate), str(seconds)]
    seen = json.loads(
        _inside(target, [sys.executable, "-I", "-S", str(PACE), *plan], seconds=seconds, niceness=niceness)
    )
    requests = int(seen["requests"])
    return Outcome(
        requests=requests,
        failed=int(seen["failed"]),
        per_second=requests / seconds,
        p50=seen["p50"],
        p99=seen["p99"],
    )


def _inside(target: Target, command: list[str], *, seconds: float, niceness: int) -> str:
    entered = ["ip", "netns", "exec", target.netns, "taskset", "-c", "0", *command]
    with subprocess.Popen(entered, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as process:
        processes.favour([process.pid], niceness)
        try:
            out, errors = process.communicate(timeout=seconds + 30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    if process.returncode:
        raise RuntimeError(f"{command[0]} failed in {target.netns}: {errors.decode(errors='replace').strip()[-300:]}")
    return out.decode()


def parse_wrk(text: str) -> Outcome:
    """What wrk printed."""
    requests = int(_found(r"(\d+) requests in", text))
    non_2xx = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    socket_errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    failed = int(non_2xx[1]) if non_2xx else 0
    failed += sum(int(count) for count in socket_errors.groups()) if socket_errors else 0
    return Outcome(
        requests=requests,
        failed=failed,
        per_second=float(_found(r"Requests/sec:\s+([\d.]+)", text)),
        p50=_milliseconds(_found(r"\s50%\s+(\S+)", text)),
        p99=_milliseconds(_found(r"\s99%\s+(\S+)", text)),
    )


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"wrk printed something unexpected: {text.strip()[:300]}")
    return match[1]


def _milliseconds(text: str) -> float:
    match = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text)
    if match is None:
        raise RuntimeError(f"wrk printed `{text}` for a time")
    return float(match[1]) * _UNITS[match[2]]
