"""A real mesh for tests: control and node agents as processes of their own, used through the command line."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from plait.errors import PlaitError
from plait.node import client, http, wire
from plait.node import run as node_run
from plait.node.network import MachineNetwork

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
PLAIT = (sys.executable, "-m", "plait.cli")
SOURCES = Path(__file__).parents[2] / "src"
ORDINARY = 40777
"""The number of an ordinary user."""


def until(condition: Callable[[], Any], *, within: float = 20.0, what: str = "") -> Any:
    """Wait for a condition to hold and return its value."""
    deadline = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {within} s: {what or condition}"
        time.sleep(0.02)
    return found


@dataclass(slots=True)
class Machine:
    """One state directory with the processes that live in it."""

    state: Path
    prefix: tuple[str, ...] = ()
    program: tuple[str, ...] = PLAIT
    environment: dict[str, str] = field(default_factory=dict[str, str])
    parts: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict[str, Any])

    @property
    def env(self) -> dict[str, str]:
        """The environment of commands."""
        return {**os.environ, "PLAIT_STATE_DIR": str(self.state), "PYTHONWARNINGS": "default", **self.environment}

    def start(self, part: str, *flags: str) -> None:
        """Start control or node, and wait until it answers."""
        self.state.mkdir(exist_ok=True)
        with (self.state / f"{part}.log").open("ab") as log:
            command = [*self.prefix, *self.program, part, *flags]
            self.parts[part] = subprocess.Popen(
                command, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        answering = self.state / "run" / ("node.sock" if part == "node" else "endpoints.json")
        until(lambda: self._answers(part, answering), within=40, what=f"{part} answers: {self.log(part)}")

    def log(self, part: str) -> str:
        """What a part printed."""
        path = self.state / f"{part}.log"
        return path.read_text() if path.exists() else ""

    def _answers(self, part: str, path: Path) -> bool:
        assert self.parts[part].poll() is None, self.log(part)
        sock = path if part == "node" else self.state / "run" / "api.sock"
        try:
            wire.connect(sock, timeout=1).close()
        except OSError:
            return False
        return path.exists()

    def end(self, part: str, number: int = signal.SIGTERM) -> None:
        """Send a signal to a part and wait until it has ended."""
        process = self.parts.pop(part)
        process.send_signal(number)
        process.wait(20)

    def plait(self, *words: str, code: int | None = 0, text: str = "", wait: float = 40) -> str:
        """Run a command line to its end; its standard output."""
        done = subprocess.run(
            [*self.prefix, *self.program, *words],
            env=self.env,
            input=text,
            capture_output=True,
            text=True,
            timeout=wait,
            check=False,
        )
        assert code is None or done.returncode == code, (
            f"{words}: {done.returncode}\n{done.stdout}{done.stderr}{self.log('node')}"
        )
        return done.stdout + (done.stderr if code else "")

    @contextlib.contextmanager
    def running(self, *words: str) -> Generator["subprocess.Popen[str]"]:
        """A command line that runs during the block, and is ended with it."""
        process = subprocess.Popen(
            [*self.prefix, *self.program, *words],
            env=self.env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=30)

    def workloads(self) -> dict[str, dict[str, Any]]:
        """What `plait get workloads` says, by name."""
        answer = asyncio.run(http.ask_socket(self.state / "run" / "api.sock", "/plait/v1/workloads"))
        return {item["name"]: item for item in answer.json()}

    def workload(self, name: str) -> dict[str, Any]:
        """One of them."""
        return self.workloads()[name]

    def apply(self, text: str) -> None:
        """Apply YAML."""
        self.plait("apply", "-f", "-", text=text)

    def close(self) -> None:
        """End everything and leave nothing on the machine."""
        if "node" in self.parts:
            with contextlib.suppress(PlaitError):
                client.stop(self.state / "run" / "node.sock")
            self.end("node")
        for part in list(self.parts):
            self.end(part)


@contextlib.contextmanager
def mesh(state: Path, *flags: str, node: bool = True, **options: Any) -> Generator[Machine]:
    """A mesh with its control and, unless told otherwise, an agent."""
    machine = Machine(state, **options)
    try:
        machine.start("control", *flags)
        if node:
            machine.start("node")
        yield machine
    finally:
        machine.close()
        _leave_nothing(state)


def _leave_nothing(state: Path) -> None:
    if os.geteuid() == 0 and (state / "node" / "network.json").exists():
        membership = json.loads((state / "node" / "identity" / "membership.json").read_text())
        identifier = node_run.mesh_id(state)
        MachineNetwork(identifier, membership["cidr"], state=state / "node" / "network.json").teardown()


@contextlib.contextmanager
def ordinary_mesh() -> Generator[Machine]:
    """A mesh of an ordinary user: of this one, or while root runs the tests of a user made up here."""
    with tempfile.TemporaryDirectory(prefix="plait-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        state = Path(folder) / "m"
        with mesh(state, **(_as_ordinary_user(state) if os.geteuid() == 0 else {})) as machine:
            yield machine


def _as_ordinary_user(state: Path) -> dict[str, Any]:
    state.mkdir()
    os.chown(state, ORDINARY, ORDINARY)
    return ordinary_user(state)


def ordinary_user(home: Path) -> dict[str, Any]:
    """How an ordinary user runs commands, with an interpreter that such a user may execute."""
    packages = next(Path(entry) for entry in sys.path if entry.endswith("site-packages"))
    environment = {"PYTHONPATH": f"{SOURCES}:{packages}", "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    prefix = ("setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups")
    return {"prefix": prefix, "program": ("/usr/bin/python3.11", "-m", "plait.cli"), "environment": environment}


def free_port() -> int:
    """A port of loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


SERVER = """
import http.server, os, sys, time
class H(http.server.BaseHTTPRequestHandler):
    protocol_version, wbufsize = "HTTP/1.1", -1
    def do_GET(self):
        if self.path.startswith("/slow"): time.sleep(1.0)
        body = f"{sys.argv[2]} {self.headers.get('x-forwarded-client-cert', '')} {os.getuid()}".encode()
        self.send_response(200); self.send_header("content-length", str(len(body)))
        self.end_headers(); self.wfile.write(body)
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), H).serve_forever()
"""


def server(port: int, name: str) -> Sequence[str]:
    """The command of a small HTTP server that answers with its name, who called it, and its uid."""
    return (sys.executable, "-c", SERVER, str(port), name)
