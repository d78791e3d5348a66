"""Real databases, whose servers speak first or wait for no TLS, through two sidecars: nothing is added, no wait either.

Each needs its Debian package (postgresql, mariadb-server, redis-server); the client is the database's own.
"""

import contextlib
import socket
import subprocess
import time
from collections.abc import Generator
from dataclasses import replace

import pytest

from plait.model.services import Capture, Protocol
from plait.model.view import InboundMode
from plait.snapshot.protocols import known_protocol
from tests import builders as b
from tests import databases
from tests.compiler import loopback
from tests.databases import Database, Prepared
from tests.envoy import certificates, live, real

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

ADDRESS = "127.240.0.1"
SNIFFING = 0.3
"""Seconds that a proxy waits which looks for HTTP where the server speaks first."""


def wait_until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until somebody listens there."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError("the server does not listen")


@contextlib.contextmanager
def served(database: Database) -> Generator[int]:
    """A server until the block ends; gives its port."""
    port = live.free_port()
    process = subprocess.Popen(
        database.server("127.0.0.1", port),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=database.user or None,
        cwd="/",
    )
    try:
        wait_until_open(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def between_sidecars(app_port: int) -> Generator[int]:
    """A caller's and a server's sidecar before it; gives the port at which the caller dials it."""
    port, sidecar = live.free_port(), live.free_port()
    inbound = replace(b.inbound(app_port, mode=InboundMode.BYTES, sidecar_port=sidecar), protocol=Protocol.TCP)
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


@pytest.mark.parametrize("prepared", databases.ALL)
def test_a_database_answers_through_the_mesh_without_added_wait(prepared: Prepared) -> None:
    """Its own client gets its answer by mutual TLS, and the fastest of five is far below what sniffing would add."""
    with prepared() as database, served(database) as app_port, between_sidecars(app_port) as port:
        directly = min(database.asked("127.0.0.1", app_port) for _ in range(5))
        through = min(database.asked(ADDRESS, port) for _ in range(5))

        assert through - directly < SNIFFING / 2


@pytest.mark.parametrize("port", [5432, 6379, 3306])
def test_databases_are_known_by_their_port(port: int) -> None:
    """A port that nothing declares is not taken for HTTP where a database has it, in front or behind."""
    assert known_protocol(port) is Protocol.TCP
    assert known_protocol(9999, port) is Protocol.TCP
