"""A name server on loopback that gives every name the same addresses."""

import contextlib
import socket
import struct
import threading
from collections.abc import Generator

_A = 1


@contextlib.contextmanager
def answering(*addresses: str) -> Generator[int]:
    """Serves until the block ends; gives the UDP port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.1)
        done = threading.Event()
        thread = threading.Thread(target=_serve, args=(server, done, addresses), daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            done.set()
            thread.join(5)


def _serve(server: socket.socket, done: threading.Event, addresses: tuple[str, ...]) -> None:
    while not done.is_set():
        with contextlib.suppress(TimeoutError):
            query, client = server.recvfrom(512)
            server.sendto(_answer(query, addresses), client)


def _answer(query: bytes, addresses: tuple[str, ...]) -> bytes:
    end = query.index(b"\0", 12) + 5
    (kind,) = struct.unpack("!H", query[end - 4 : end - 2])
    found = addresses if kind == _A else ()
    records = b"".join(struct.pack("!HHHIH", 0xC00C, _A, 1, 60, 4) + socket.inet_aton(item) for item in found)
    return query[:2] + struct.pack("!HHHHH", 0x8180, 1, len(found), 0, 0) + query[12:end] + records
