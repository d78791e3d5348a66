"""What a service manager is told."""

import socket
from pathlib import Path

import pytest

from plait.aio import readiness


@pytest.mark.parametrize("abstract", [False, True])
def test_the_manager_hears_that_the_service_is_ready(tmp_path: Path, *, abstract: bool):
    """The state arrives at the socket that the manager named, a file's or an abstract one."""
    place = f"@{tmp_path}/notify" if abstract else f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(place.replace("@", "\0"))
        manager.settimeout(2)

        assert readiness.tell(readiness.READY, {"NOTIFY_SOCKET": place})

        assert manager.recv(100) == b"READY=1"


@pytest.mark.parametrize("place", ["", "vsock:2:1", "/nonexistent/notify"])
def test_no_manager_is_no_failure(place: str):
    """Without a manager, or with one that does not listen, nothing happens."""
    assert not readiness.tell(readiness.READY, {"NOTIFY_SOCKET": place})
