"""A real `plait control` on a store of the growth bench, with fake sidecars in other processes."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from bench import growth_mesh, processes
from bench.growth_mesh import Size
from bench.mesh import PLAIT, REPOSITORY
from plait.controlplane.state import StateDirectory
from plait.identity import spiffe
from plait.identity.authority import open_authority
from plait.identity.svid import new_key, signing_request

DOMAIN: Final = "cluster.local"
_IN_ONE_FLEET: Final = 1000
_PATIENCE: Final = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A response that a fake sidecar took, in seconds of the monotonic clock."""

    at: float
    proxy: str
    kind: str
    resources: int
    removed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What control says of itself, and what the kernel does: seconds of CPU (its own, each worker's), megabytes."""

    connected: int
    synced: int
    build_seconds: float
    cpu: float
    workers: tuple[float, ...]
    memory: processes.Memory


class Fleet:
    """One process of fake sidecars."""

    def __init__(self, port: int, file: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.growth_fleet", str(port), str(file)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def take(self) -> tuple[int, list[Event]]:
        """How many streams are open, and what came since the last call."""
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the fake sidecars have no pipes")
        process.stdin.write("\n")
        process.stdin.flush()
        told: dict[str, Any] = json.loads(process.stdout.readline())
        return told["connected"], [
            Event(at=at, proxy=proxy, kind=kind, resources=resources, removed=removed)
            for at, proxy, kind, resources, removed in told["events"]
        ]

    def end(self) -> None:
        """Close the streams and end."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Live:
    """Control and its fleets; use it as a context."""

    def __init__(self, folder: Path, size: Size, *, workers: int = 0) -> None:
        """`workers`: how many processes serve the streams beside control, which then serves none."""
        self.size = size
        self._workers = workers
        self._state = StateDirectory(folder / "state")
        self._state.prepare()
        growth_mesh.fill(self._state.database, size)
        self._process: subprocess.Popen[bytes] | None = None
        self._fleets: list[Fleet] = []
        self._metrics = ""

    def __enter__(self) -> "Live":
        return self

    def __exit__(self, *_exception: object) -> None:
        for fleet in self._fleets:
            fleet.end()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)

    def start(self) -> float:
        """Start control; seconds until it answers."""
        endpoints = self._state.run / "endpoints.json"
        endpoints.unlink(missing_ok=True)
        began = time.monotonic()
        environment = {**os.environ, "PLAIT_STATE_DIR": str(self._state.root)}
        words = [*PLAIT, "control", *(("--workers", str(self._workers)) if self._workers else ())]
        if profile := os.environ.get("BENCH_PROFILE"):
            words = [sys.executable, "-m", "cProfile", "-o", profile, *words[1:]]
        log = (self._state.root / "control.log").open("ab")
        with log:
            self._process = subprocess.Popen(words, env=environment, cwd=REPOSITORY, stderr=log)
        until(endpoints.exists, "control did not start")
        self._metrics = json.loads(endpoints.read_text())["metrics_url"]
        until(self._answers, "control does not answer")
        return time.monotonic() - began

    def kill(self) -> None:
        """End control as a crash would."""
        process = self._running()
        process.send_signal(signal.SIGKILL)
        process.wait()

    def connect(self) -> None:
        """Start the fake sidecars."""
        port = self._state.remembered_port("ads")
        lines = self._credentials()
        for begin in range(0, len(lines), _IN_ONE_FLEET):
            file = self._state.root / f"fleet-{begin}"
            file.touch(mode=0o600)
            file.write_text("\n".join(lines[begin : begin + _IN_ONE_FLEET]))
            self._fleets.append(Fleet(port, file))

    def _credentials(self) -> list[str]:
        authority, key = open_authority(self._state.authority, DOMAIN), new_key()
        request = signing_request(key)
        secrets: dict[str, str] = {}
        lines: list[str] = []
        for proxy, machine, hosts in sorted(growth_mesh.proxies(self.size), key=lambda item: item[1]):
            if machine not in secrets:
                chain = authority.sign(request, spiffe.node_id(DOMAIN, machine), ttl=timedelta(hours=1))
                secrets[machine] = "\t".join([chain.hex(), key.hex(), authority.bundle.hex()])
            lines.append("\t".join([proxy, machine, ",".join(hosts), secrets[machine]]))
        return lines

    def take(self) -> list[Event]:
        """What came to all fake sidecars since the last call."""
        return [event for fleet in self._fleets for event in fleet.take()[1]]

    def synced(self) -> float:
        """Wait until every sidecar holds everything; the time of the monotonic clock at which that was seen."""
        problem = "not all sidecars hold their configuration"
        until(lambda: self.figures().synced == self.size.sidecars, problem, every=0.5)
        return time.monotonic()

    def patch(self, path: str, body: Mapping[str, Any]) -> float:
        """Merge into an object through the API; the monotonic time at which the request was sent."""
        transport = httpx.HTTPTransport(uds=str(self._state.api_socket))
        with httpx.Client(transport=transport, base_url="http://plait") as client:
            sent = time.monotonic()
            headers = {"content-type": "application/merge-patch+json"}
            client.patch(path, content=json.dumps(body), headers=headers).raise_for_status()
        return sent

    def figures(self) -> Figures:
        """Read control's figures."""
        pid = self._running().pid
        lines = (line.split() for line in httpx.get(self._metrics, timeout=20).text.splitlines())
        values = {words[0]: float(words[1]) for words in lines if words[:1] != ["#"] and len(words) == 2}
        return Figures(
            connected=int(values["plait_proxies_connected"]),
            synced=int(values["plait_proxies_synced"]),
            build_seconds=values["plait_build_seconds"],
            cpu=sum(psutil.Process(pid).cpu_times()[:2]),
            workers=tuple(sum(worker.cpu_times()[:2]) for worker in psutil.Process(pid).children()),
            memory=processes.memory([pid, *(worker.pid for worker in psutil.Process(pid).children())]),
        )

    def _answers(self) -> bool:
        try:
            httpx.get(self._metrics, timeout=5)
        except httpx.TransportError:
            return False
        return True

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            ended = self._process.poll() if self._process else None
            log = (self._state.root / "control.log").read_text()[-400:]
            raise RuntimeError(f"control does not run (it ended with {ended}): {log}")
        return self._process


def until(holds: Callable[[], bool], problem: str, *, every: float = 0.1) -> None:
    """Wait until it holds; RuntimeError if that takes too long."""
    limit = time.monotonic() + _PATIENCE
    while not holds():
        if time.monotonic() > limit:
            raise RuntimeError(problem)
        time.sleep(every)


def last_of_each(events: Sequence[Event], kind: str) -> dict[str, float]:
    """When each sidecar took its last response of that type."""
    return {event.proxy: event.at for event in events if event.kind == kind}
