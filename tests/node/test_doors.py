"""Doors: new connections go to one of two listeners of a port, whoever they belong to."""

import os
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from plait.errors import RefusedError
from plait.node import doors
from plait.node.processes import ProcessId, identify

LISTENER = """
import socket, sys
one = socket.socket()
one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
one.bind(("127.0.0.1", 0))
one.listen(128)
print(one.getsockname()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def another_listener() -> Generator[tuple[ProcessId, int]]:
    """A process that listens and never accepts, and its port."""
    with subprocess.Popen([sys.executable, "-c", LISTENER], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        found = identify(process.pid)
        assert found is not None
        yield found, int(process.stdout.readline())
        process.kill()


def arrived(listener: socket.socket, port: int, calls: int = 40) -> int:
    """How many of that many new connections to the port arrive at this listener."""
    opened = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(calls)]
    count = 0
    listener.settimeout(0.2)
    try:
        while True:
            listener.accept()[0].close()
            count += 1
    except TimeoutError:
        return count
    finally:
        for connection in opened:
            connection.close()


def test_new_connections_go_where_they_are_led():
    """To the earlier listener alone, then to the later alone; the later gets all when the earlier is gone."""
    with another_listener() as (process, port), socket.socket() as later:
        copies = doors.Doors.of(process)
        copies.turn(doors.EARLIER)
        later.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        later.bind(("127.0.0.1", port))
        later.listen(128)
        assert arrived(later, port) == 0
        copies.turn(doors.LATER)
        assert arrived(later, port) == 40
        copies.close()
        os.kill(process.pid, 9)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert arrived(later, port) == 40


def test_a_copy_keeps_the_port_of_a_killed_process_open():
    """Connections are taken by the kernel while a copy is held, and refused when it is closed."""
    with another_listener() as (process, port):
        copies = doors.Doors.of(process)
        os.kill(process.pid, 9)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        copies.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)


def test_ports_of_a_process():
    """Those on which it listens; a process that has ended has none, and its sockets cannot be copied."""
    with another_listener() as (process, port):
        assert doors.ports(process.pid) == {port}
    assert not doors.ports(process.pid)
    with pytest.raises(RefusedError):
        doors.Doors.of(process)
