"""One client's connection to the agent: JSON lines with open files, on asyncio."""

import array
import asyncio
import contextlib
import os
import socket
from collections.abc import Sequence
from typing import Any

from plait.errors import PlaitError
from plait.node import wire
from plait.node.callers import Caller, caller_of


class Connection:
    """A client that has connected."""

    def __init__(self, channel: socket.socket) -> None:
        channel.setblocking(False)
        self.channel = channel
        self.caller: Caller = caller_of(channel)
        self._decoder = wire.Decoder()
        self._waiting: list[tuple[wire.Message, list[int]]] = []

    async def receive(self) -> tuple[wire.Message, list[int]] | None:
        """The next message and the files that came with it, which are the caller's to close; None at the end."""
        while not self._waiting:
            await self._readable()
            try:
                received = wire.receive(self.channel, self._decoder)
            except BlockingIOError:
                continue
            except OSError:
                return None
            if received is None:
                return None
            self._waiting += received
        return self._waiting.pop(0)

    async def send(self, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Send a message, and copies of these files."""
        data = wire.encode(message, len(fds))
        if fds:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
            sent = self.channel.sendmsg([data], [rights])
            data = data[sent:]
        await asyncio.get_running_loop().sock_sendall(self.channel, data)

    async def refuse(self, error: PlaitError, *, code: int = 125) -> None:
        """Say that the request failed."""
        kind = type(error).__name__
        with contextlib.suppress(OSError):
            await self.send(
                {"event": "failed", "code": code, "error": kind, "problem": error.problem, "remedy": error.remedy}
            )

    def close(self) -> None:
        """End the connection, and close files that no message took."""
        for _message, fds in self._waiting:
            for fd in fds:
                os.close(fd)
        self._decoder.close()
        self.channel.close()

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self.channel, lambda: ready.done() or ready.set_result(None))
        try:
            await ready
        finally:
            loop.remove_reader(self.channel)
