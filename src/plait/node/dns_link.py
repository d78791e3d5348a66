"""The agent's side of the machine's DNS front: start one, find it again, answer what it asks, replace an older one.

The front (`dns_front`) holds the sockets and outlives the agent. It is known by a hash of its program: one that differs
gives its sockets to a new one and answers what it was asked before, so that no question is lost by an upgrade either.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from plait.errors import PlaitError, RefusedError
from plait.node import dns_wire, launches, ports, wire
from plait.node.dns import DnsAnswers
from plait.node.resolvconf import MACHINE_FILE

log = logging.getLogger(__name__)

_BOOT: Final = (
    "import sys; sys.path.append(sys.argv.pop(1)); from plait.node.dns_front import main; sys.exit(main(sys.argv[1:]))"
)
_PACKAGES: Final = str(Path(__file__).parents[2])
_PROGRAM: Final = ("dns_front", "dns_askers", "dns_conversation", "dns_forward", "dns_loop", "dns_memory", "dns_wire")
_WITHIN: Final = 5.0
_BACKLOG: Final = 128


def build() -> str:
    """What tells one front's program from another's."""
    found = hashlib.blake2b(digest_size=8)
    for name in _PROGRAM:
        found.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return found.hexdigest()


class DnsLink:
    """Answers the front at `path`, which asks for the workloads at `address:port`, and for Envoys at the next port.

    `owner` names the workload with an address.
    """

    def __init__(
        self,
        answers: DnsAnswers,
        owner: Callable[[str], str],
        *,
        path: Path,
        address: str,
        port: int,
        resolvers: Path = MACHINE_FILE,
    ) -> None:
        self._answers = answers
        self._owner = owner
        self._path = path
        self._address = address
        self._port = port
        self._resolvers = resolvers
        self._build = build()
        self._replaced = asyncio.Event()
        self._child = 0
        self._channel: socket.socket | None = None

    def prepare(self) -> None:
        """Start a front if none is there: questions wait in it until `run`, which tries again where this cannot."""
        channel = _connected(self._path)
        if channel is not None:
            channel.close()
            return
        try:
            self._spawn(self._bound())
        except (PlaitError, OSError) as error:
            log.warning("%s", error)

    async def run(self) -> None:
        """Answer until cancelled, whatever becomes of the front."""
        async with asyncio.TaskGroup() as group:
            while True:
                channel = self._reached()
                self._replaced.clear()
                conversation = group.create_task(self._converse(channel))
                replaced = group.create_task(self._replaced.wait())
                await asyncio.wait((conversation, replaced), return_when=asyncio.FIRST_COMPLETED)
                replaced.cancel()

    def _reached(self) -> socket.socket:
        channel = _connected(self._path)
        if channel is None:
            self._spawn(self._bound())
            channel = _connected(self._path)
        if channel is None:
            raise PlaitError("the DNS front did not start", f"see {self._log}")
        return channel

    async def _converse(self, channel: socket.socket) -> None:
        writing = asyncio.Lock()
        self._channel = channel
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    frame, sockets = await _receive(channel)
                    if not frame:
                        return
                    if frame[:1] == dns_wire.ASK:
                        group.create_task(self._answer(channel, frame, writing))
                    elif frame[:1] == dns_wire.HELLO and frame[1:].decode() != self._build:
                        log.info("the DNS front of another version is replaced")
                        await asyncio.get_running_loop().sock_sendall(channel, dns_wire.TAKE)
                    elif frame[:1] == dns_wire.TAKE:
                        self._spawn(sockets)
                        self._replaced.set()
        finally:
            self._channel = None if self._channel is channel else self._channel
            channel.close()
            self._collect()

    def end(self) -> None:
        """End the front: there is nobody left who could ask. Called while it is answered, its path is not needed."""
        if self._channel is not None:
            with contextlib.suppress(OSError):
                self._channel.send(dns_wire.END)
        end(self._path)

    def _collect(self) -> None:
        """Let go of a front that has ended and was our child."""
        with contextlib.suppress(ChildProcessError):
            if self._child and os.waitpid(self._child, os.WNOHANG)[0]:
                self._child = 0

    async def _answer(self, channel: socket.socket, frame: bytes, writing: asyncio.Lock) -> None:
        number, stream, client, data = dns_wire.asked(frame)
        address = socket.inet_ntoa(client)
        verdict, reply = await self._answers.answer(address, data, stream=stream)
        answer = dns_wire.answer_frame(number, verdict, self._owner(address), reply)
        with contextlib.suppress(OSError):
            async with writing:
                await asyncio.get_running_loop().sock_sendall(channel, answer)

    def _spawn(self, sockets: Sequence[socket.socket]) -> None:
        listener = listener_at(self._path)
        fds = [sock.fileno() for sock in (listener, *sockets)]
        arguments = [str(self._resolvers), self._build, *map(str, fds)]
        with self._log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BOOT, _PACKAGES, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={},
                cwd="/",
                pass_fds=fds,
                start_new_session=True,
            )
        self._child = launches.disown(process)
        for sock in (listener, *sockets):
            sock.close()

    @property
    def _log(self) -> Path:
        return self._path.with_suffix(".log")

    def _bound(self) -> list[socket.socket]:
        return [sock for port in (self._port, self._port + 1) for sock in sockets_at(self._address, port)]


def end(path: Path) -> None:
    """End the front that waits at `path`: there is nobody left who could ask."""
    channel = _connected(path)
    if channel is not None:
        with channel, contextlib.suppress(OSError):
            channel.send(dns_wire.END)
    path.unlink(missing_ok=True)


def _connected(path: Path) -> socket.socket | None:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel.setblocking(False)
    try:
        with wire.short_path(path) as address:
            channel.connect(address)
    except OSError:
        channel.close()
        return None
    return channel


def listener_at(path: Path) -> socket.socket:
    """The socket at which a front waits for agents, who must be of its own user."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    previous = os.umask(0o177)
    try:
        with wire.short_path(path) as address:
            listener.bind(address)
    finally:
        os.umask(previous)
    listener.listen(4)
    return listener


def sockets_at(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    """The UDP and TCP sockets of a DNS server; a port that is taken is refused with the name of its holder."""
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stream.bind((address, port))
        stream.listen(_BACKLOG)
        datagrams.bind((address, stream.getsockname()[1]))
    except OSError as error:
        datagrams.close()
        stream.close()
        holder = ports.conflicting(ports.listeners(), address, port)
        reason = f"{ports.holder(holder)} listens there" if holder else error.strerror or str(error)
        raise RefusedError(
            f"the workloads' DNS cannot listen at {address}:{port}: {reason}",
            "stop what holds the port, or give the node agent another DNS port",
        ) from error
    return datagrams, stream


async def _receive(channel: socket.socket) -> tuple[bytes, list[socket.socket]]:
    """The next message with the sockets in it; an empty one when the front has ended."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            frame, fds, _flags, _address = socket.recv_fds(channel, dns_wire.LARGEST, dns_wire.SOCKETS)
        except BlockingIOError:
            ready: asyncio.Future[None] = loop.create_future()
            loop.add_reader(channel.fileno(), lambda ready=ready: ready.done() or ready.set_result(None))
            try:
                await ready
            finally:
                loop.remove_reader(channel.fileno())
            continue
        except OSError:
            return b"", []
        return frame, [socket.socket(fileno=fd) for fd in fds]
