"""`GET /plait/v1/status` over the unix socket with nothing but a socket.

The supervisor asks this until the mesh is ready; an HTTP library would cost it more memory than all it does itself.
"""

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plait.node import wire

REQUEST = b"GET /plait/v1/status HTTP/1.0\r\nHost: plait\r\nAccept: application/json\r\n\r\n"


def fetch(path: Path, *, timeout: float = 2.0) -> Mapping[str, Any] | None:
    """What the mesh says of itself, or None while nobody answers there."""
    try:
        with wire.connect(path, timeout=timeout) as channel:
            channel.sendall(REQUEST)
            return _body(_read(channel))
    except (OSError, ValueError):
        return None


def _read(channel: socket.socket) -> bytes:
    chunks = list[bytes]()
    while chunk := channel.recv(65536):
        chunks.append(chunk)
    return b"".join(chunks)


def _body(answer: bytes) -> Mapping[str, Any] | None:
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    return json.loads(body) if status == [b"200"] else None


def is_ready(status: Mapping[str, Any] | None) -> bool:
    """Whether control answers and this machine's node agent is connected to it."""
    return bool(status and status.get("ready"))
