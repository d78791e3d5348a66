"""Workers share a port that control keeps for them."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from plait.controlplane.state import StateDirectory
from plait.controlplane.workers import Workers
from plait.errors import RefusedError

LOOPBACK = "127.0.0.1"


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    """Workers that are not started."""
    made = Workers(StateDirectory(tmp_path), 2)
    yield made
    made.release()


def test_a_port_that_somebody_listens_on_is_refused(workers: Workers) -> None:
    """The refusal names the address."""
    with socket.create_server((LOOPBACK, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(RefusedError, match=f"{LOOPBACK}:{port}"):
            workers.reserve(LOOPBACK, port)


def test_connections_that_have_ended_keep_no_port(workers: Workers) -> None:
    """A control that ran without workers before leaves such connections behind."""
    with socket.create_server((LOOPBACK, 0)) as server:
        port = int(server.getsockname()[1])
        with socket.create_connection((LOOPBACK, port)):
            accepted, _ = server.accept()
            accepted.close()  # the side that closes first keeps the address for a minute

    assert workers.reserve(LOOPBACK, port) == port


def test_a_reserved_port_is_kept_from_others_and_open_to_workers(workers: Workers) -> None:
    """Only who shares it on purpose gets it."""
    port = workers.reserve(LOOPBACK, 0)

    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((LOOPBACK, port))
    with socket.socket() as worker:
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        worker.bind((LOOPBACK, port))
        worker.listen()
