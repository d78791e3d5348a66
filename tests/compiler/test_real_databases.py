"""Real databases, whose servers speak first or wait for no TLS, through two sidecars: nothing is added, no wait either.

Each needs its Debian package (postgresql, redis-server); the client is the database's own.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from plait.model.services import Capture, Protocol
from plait.model.view import InboundMode
from plait.snapshot.protocols import known_protocol
from tests import builders as b
from tests.compiler import loopback
from tests.envoy import certificates, live, real

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(120)]

ADDRESS = "127.240.0.1"
SNIFFING = 0.3
"""Seconds that a proxy waits which looks for HTTP where the server speaks first."""


def program(name: str, *places: str) -> str:
    """Where a program is; the test is left out where it is not."""
    found = shutil.which(name, path=os.pathsep.join((*places, os.environ.get("PATH", ""))))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@dataclass(frozen=True)
class Database:
    """A running server's port, and the command that asks it one question."""

    port: int
    question: Callable[[str, int], Sequence[str]]
    answer: str

    def asked(self, host: str, port: int) -> float:
        """Asks it there; gives the seconds that took."""
        start = time.monotonic()
        done = subprocess.run(self.question(host, port), capture_output=True, text=True, timeout=20, check=False)
        assert self.answer in done.stdout, done.stderr
        return time.monotonic() - start


def wait_until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until somebody listens there."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError("the server does not listen")


@contextlib.contextmanager
def served(command: Sequence[str], port: int, user: str | None = None) -> Generator[None]:
    """A server until the block ends."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=user, cwd="/")
    try:
        wait_until_open(port, process)
        yield
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def postgresql() -> Generator[Database]:
    """A PostgreSQL with a new data directory; it refuses to run as root."""
    versions = sorted(str(path) for path in Path("/usr/lib/postgresql").glob("*/bin"))
    server, init = program("postgres", *versions), program("initdb", *versions)
    client, port = program("psql", *versions), live.free_port()
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="plait-postgres-"))
    try:
        if user:
            shutil.chown(folder, user)
        data = str(folder / "data")
        made = [init, "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, user=user, cwd="/")
        command = [server, "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-c", "fsync=off"]
        with served(command, port, user):
            yield Database(
                port, lambda host, at: (client, "-h", host, "-p", str(at), "-U", "postgres", "-Atc", "select 6*7"), "42"
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def redis() -> Generator[Database]:
    """A Redis without any file."""
    server, client, port = program("redis-server"), program("redis-cli"), live.free_port()
    command = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with served(command, port):
        yield Database(port, lambda host, at: (client, "-h", host, "-p", str(at), "ping"), "PONG")


@contextlib.contextmanager
def between_sidecars(database: Database) -> Generator[int]:
    """A caller's and a server's sidecar before it; gives the port at which the caller dials it."""
    port, sidecar = live.free_port(), live.free_port()
    inbound = replace(b.inbound(database.port, mode=InboundMode.BYTES, sidecar_port=sidecar), protocol=Protocol.TCP)
    server = b.view("db", inbound, capture=Capture.EXPLICIT)
    frontend = b.frontend("db", port, address=ADDRESS, protocol=Protocol.TCP)
    client = replace(b.view("client", frontend, b.cluster("db", port, protocol=Protocol.TCP)), outbound_port=port)
    endpoint = b.endpoint("127.0.0.1", sidecar, service_account="db")
    authority = certificates.shared()
    with (
        live.running(loopback.server(server), real.secrets(authority, str(b.identity("db")))),
        live.running(loopback.client(client, {"db": endpoint}), real.secrets(authority, str(b.identity("client")))),
    ):
        yield port


@pytest.mark.parametrize("started", [postgresql, redis])
def test_a_database_answers_through_the_mesh_without_added_wait(
    started: Callable[[], contextlib.AbstractContextManager[Database]],
) -> None:
    """Its own client gets its answer by mutual TLS, and the fastest of five is far below what sniffing would add."""
    with started() as database, between_sidecars(database) as port:
        directly = min(database.asked("127.0.0.1", database.port) for _ in range(5))
        through = min(database.asked(ADDRESS, port) for _ in range(5))

        assert through - directly < SNIFFING / 2


@pytest.mark.parametrize("port", [5432, 6379, 3306])
def test_databases_are_known_by_their_port(port: int) -> None:
    """A port that nothing declares is not taken for HTTP where a database has it, in front or behind."""
    assert known_protocol(port) is Protocol.TCP
    assert known_protocol(9999, port) is Protocol.TCP
