"""JSON lines over a unix stream socket, with open files beside them.

The client, the node agent and the launchers talk in lines of JSON. A line may carry open file descriptors
(SCM_RIGHTS): it then has a field `fds` with their number, and they are taken in order from what the kernel
delivered with its bytes. Standard library only, for the launcher and the client load nothing else.

A socket's address holds 107 bytes; `short_path` gives a path through /proc/self/fd for files deeper than that.
"""

import array
import contextlib
import json
import os
import socket
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

Message = dict[str, Any]
MOST_FDS: Final = 16
LONGEST_LINE: Final = 4 << 20
_LONGEST_ADDRESS: Final = 107


class WireError(Exception):
    """The other side sent something that is not a message."""


@dataclass(slots=True)
class Decoder:
    """Turns received bytes and descriptors into messages; owns the descriptors until a message takes them."""

    buffer: bytearray = field(default_factory=bytearray)
    fds: list[int] = field(default_factory=list[int])

    def feed(self, data: bytes, fds: Sequence[int] = ()) -> Iterator[tuple[Message, list[int]]]:
        """The messages that are complete once `data` has arrived, each with its descriptors."""
        self.buffer += data
        self.fds += fds
        while (end := self.buffer.find(b"\n")) >= 0:
            line = bytes(self.buffer[:end])
            del self.buffer[: end + 1]
            message = _parse(line)
            count = message.pop("fds", 0)
            if not isinstance(count, int) or not 0 <= count <= len(self.fds):
                raise WireError(f"a message announces {count} open files, {len(self.fds)} came with it")
            taken, self.fds = self.fds[:count], self.fds[count:]
            yield message, taken
        if len(self.buffer) > LONGEST_LINE:
            raise WireError(f"a message is longer than {LONGEST_LINE} bytes")

    def close(self) -> None:
        """Close descriptors that no message took."""
        for fd in self.fds:
            os.close(fd)
        self.fds = []


def _parse(line: bytes) -> Message:
    try:
        message: object = json.loads(line)
    except ValueError as error:
        raise WireError(f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise WireError("not a JSON object")
    return cast("Message", message)


def encode(message: Mapping[str, Any], count: int = 0) -> bytes:
    """The line for a message that travels with `count` descriptors."""
    content = {**message, "fds": count} if count else message
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def send(channel: socket.socket, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
    """Send one message, waiting until it is written."""
    data = encode(message, len(fds))
    if fds:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
        sent = channel.sendmsg([data], [rights])
        data = data[sent:]
    if data:  # an empty write fails when the other side has answered and left already
        channel.sendall(data)


def receive(channel: socket.socket, decoder: Decoder) -> list[tuple[Message, list[int]]] | None:
    """The messages that one read from the socket completes; None at its end."""
    data, fds, _flags, _address = socket.recv_fds(channel, 65536, MOST_FDS)
    for fd in fds:
        os.set_inheritable(fd, False)
    if not data:
        return None
    return list(decoder.feed(data, fds))


@contextlib.contextmanager
def short_path(path: Path) -> Generator[str]:
    """A path of a socket that fits into its address, valid inside the `with` block."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def connect(path: Path, *, timeout: float | None = None) -> socket.socket:
    """A connection to the unix stream socket at `path`."""
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    channel.settimeout(timeout)
    try:
        with short_path(path) as address:
            channel.connect(address)
    except OSError:
        channel.close()
        raise
    return channel


def listen(path: Path, *, mode: int, backlog: int = 64) -> socket.socket:
    """A unix stream socket that listens at `path` with these permissions; replaces what was there."""
    path.unlink(missing_ok=True)
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    previous = os.umask(0o777 & ~mode)
    try:
        with short_path(path) as address:
            channel.bind(address)
    except OSError:
        channel.close()
        raise
    finally:
        os.umask(previous)
    channel.listen(backlog)
    return channel


def forget(path: Path) -> None:
    """Remove the file of a socket that nobody listens on any more."""
    path.unlink(missing_ok=True)
