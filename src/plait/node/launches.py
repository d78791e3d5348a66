"""The agent's side of a launcher: start one, find it again after a restart, follow what it says.

A launch outlives the agent, so nothing here holds it alive: closing a `Launch` only ends the conversation.
"""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from plait.errors import PlaitError
from plait.node import wire

_BOOT: Final = (
    "import sys; sys.path.append(sys.argv.pop(1)); from plait.node.launcher import main; sys.exit(main(sys.argv[1:]))"
)
_PACKAGES: Final = str(Path(__file__).parents[2])
_ANSWERS_WITHIN: Final = 5.0


def command(document: int, client: int = -1) -> list[str]:
    """The command line of a launcher that reads its document from one descriptor and talks to a client on another."""
    return [sys.executable, "-I", "-S", "-c", _BOOT, _PACKAGES, str(document), str(client)]


def spawn(
    document: Mapping[str, Any], stdio: Sequence[int], *, client: int = -1, also: Sequence[int] = ()
) -> "subprocess.Popen[bytes]":
    """Start a launcher with these three standard files; `also` are further descriptors that it keeps."""
    source = os.memfd_create("launch")
    try:
        os.write(source, json.dumps(document).encode())
        os.lseek(source, 0, os.SEEK_SET)
        return subprocess.Popen(
            command(source, client),
            stdin=stdio[0],
            stdout=stdio[1],
            stderr=stdio[2],
            env={},
            cwd="/",
            pass_fds=[source, *also, *([client] if client >= 0 else [])],
            start_new_session=True,
        )
    finally:
        os.close(source)


def disown(process: "subprocess.Popen[bytes]") -> int:
    """Let a child live on after us: it is named by its number from now on, which is returned."""
    process.returncode = 0  # else subprocess warns that it still runs, and collects it behind our back
    return process.pid


@dataclass(slots=True, eq=False)
class Launch:
    """A conversation with one launcher. `state` is the last event it told."""

    channel: socket.socket
    process: "subprocess.Popen[bytes] | None" = None
    state: dict[str, Any] = field(default_factory=dict[str, Any])
    decoder: wire.Decoder = field(default_factory=wire.Decoder)

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """What the launcher tells, until it has ended; its last event is `exited` or `failed`."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                data = await loop.sock_recv(self.channel, 65536)
            except OSError:
                data = b""
            if not data:
                return
            for message, _fds in self.decoder.feed(data):
                self.state = message
                yield message

    async def order(self, **message: Any) -> None:
        """Tell the launcher something; a launcher that has ended already is not an error."""
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_sendall(self.channel, wire.encode(message))

    async def close(self) -> None:
        """End the conversation with a launcher that has ended or is about to, and collect it if it is our child."""
        self.channel.close()
        if self.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self.process.wait, _ANSWERS_WITHIN)

    def leave(self) -> None:
        """End the conversation; launcher and app live on."""
        self.channel.close()
        if self.process is not None:
            disown(self.process)


async def attach(path: Path, process: "subprocess.Popen[bytes] | None" = None) -> Launch:
    """Connect to the launcher whose socket is at `path`; raises PlaitError when none answers there."""
    deadline = asyncio.get_running_loop().time() + (_ANSWERS_WITHIN if process is not None else 0.0)
    while True:
        try:
            channel = wire.connect(path, timeout=1.0)
        except OSError as error:
            ended = process is not None and process.poll() is not None
            if ended or asyncio.get_running_loop().time() >= deadline:
                raise PlaitError(f"no launcher answers at {path}", "run `plait doctor`") from error
            await asyncio.sleep(0.005)
            continue
        channel.setblocking(False)
        return Launch(channel, process)
