"""Tells the service manager that started this process how it is doing (systemd's `Type=notify`).

The manager names a datagram socket in NOTIFY_SOCKET; one datagram of `NAME=VALUE` lines is all there is to it. Without
that variable nothing happens, and a manager that does not listen is no reason for a service to fail.
"""

import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Final

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"


def tell(state: str, environment: Mapping[str, str] | None = None) -> bool:
    """Send a state (READY, STOPPING) to the service manager; whether there is one that took it."""
    place = (os.environ if environment is None else environment).get("NOTIFY_SOCKET", "")
    if place[:1] not in ("/", "@"):
        return False
    address = "\0" + place[1:] if place.startswith("@") else place
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.setblocking(False)
        channel.sendto(state.encode(), address)
        return True
    return False
