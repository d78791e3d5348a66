"""One client of a DNS front that asks by TCP: questions with their length before them, answers as they are ready."""

import socket
from collections.abc import Callable

from plait.node.dns_loop import Loop

_IDLE = 10.0
_MOST = 4096
"""Bytes of a question; none is that long."""
Ended = Callable[["Conversation"], None]
Take = Callable[[bytes, Callable[[bytes], None]], None]


class Conversation:
    """Hands each question to `take` with what sends its answer; `ended` when idle, broken or closed by the client."""

    def __init__(self, loop: Loop, channel: socket.socket, take: Take, ended: Ended) -> None:
        self._loop = loop
        self._channel: socket.socket | None = channel
        self._take = take
        self._ended = ended
        self._buffer = b""
        channel.setblocking(False)
        loop.watch(channel.fileno(), self._read)
        self._timer = loop.later(_IDLE, self.close)

    def _read(self) -> None:
        if self._channel is None:
            return
        try:
            data = self._channel.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._buffer += data
        if not data:
            self.close()
            return
        while len(self._buffer) >= 2:
            length = int.from_bytes(self._buffer[:2], "big")
            if not 0 < length <= _MOST:
                self.close()
                return
            if len(self._buffer) < 2 + length:
                return
            question, self._buffer = self._buffer[2 : 2 + length], self._buffer[2 + length :]
            self._take(question, self._answer)

    def _answer(self, answer: bytes) -> None:
        if self._channel is None:
            return
        framed = len(answer).to_bytes(2, "big") + answer
        try:
            whole = self._channel.send(framed) == len(framed)
        except OSError:
            whole = False
        if not whole:  # it asked for more than it reads
            self.close()
            return
        self._timer.cancel()
        self._timer = self._loop.later(_IDLE, self.close)

    def close(self) -> None:
        """End it."""
        self._timer.cancel()
        if self._channel is not None:
            self._loop.ignore(self._channel.fileno())
            self._channel.close()
            self._channel = None
            self._ended(self)
