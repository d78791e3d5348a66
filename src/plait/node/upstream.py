"""The machine's own resolvers, asked by the agent itself: only what a name of the mesh leads to outside of it.

A question goes on unchanged (EDNS, flags, types nobody here knows) under a fresh random id from a fresh port, and its
answer comes back unchanged, so that nothing the asker relies on is lost. Servers are asked in the order of the
machine's resolv.conf, which is read again when it changes (a VPN comes up); one that refuses, fails or stays silent is
followed by the next.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Sequence

from plait.errors import DeadlineError
from plait.node import dns_messages

_SERVER_FAILED = (dns_messages.SERVFAIL, dns_messages.NOTIMP, dns_messages.REFUSED)

Server = tuple[str, int]


class Upstream:
    """Asks the resolvers that `servers` names at that moment, each for `attempt` seconds, all for `deadline`."""

    def __init__(self, servers: Callable[[], Sequence[Server]], *, attempt: float = 1.0, deadline: float = 4.0) -> None:
        self._servers = servers
        self._attempt = attempt
        self._deadline = deadline

    async def ask(self, question: bytes, *, stream: bool = False) -> bytes:
        """The answer to a question, by UDP or by TCP; a DeadlineError if no resolver answers in time."""
        exchange = _by_stream if stream else _by_datagram
        fallback: bytes | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._deadline):
                for server in (*self._servers(), *self._servers()):
                    answer = await self._attempted(exchange(server, secrets.token_bytes(2) + question[2:]))
                    if answer is not None and answer[3] & 0x0F not in _SERVER_FAILED:
                        return question[:2] + answer[2:]
                    fallback = answer or fallback
        if fallback is not None:
            return question[:2] + fallback[2:]
        raise DeadlineError("none of the machine's DNS servers answered", "see /etc/resolv.conf of the machine")

    async def _attempted(self, exchange: Awaitable[bytes]) -> bytes | None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(self._attempt):
                return await exchange
        return None


class _Answer(asyncio.DatagramProtocol):
    def __init__(self, question: bytes) -> None:
        self.arrived: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._question = question

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:  # noqa: ARG002 - the protocol's signature
        if not self.arrived.done() and dns_messages.same_question(self._question, data):
            self.arrived.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.arrived.done():
            self.arrived.set_exception(exc)


async def _by_datagram(server: Server, question: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(lambda: _Answer(question), remote_addr=server)
    try:
        transport.sendto(question)
        return await protocol.arrived
    finally:
        transport.close()


async def _by_stream(server: Server, question: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(len(question).to_bytes(2, "big") + question)
        length = int.from_bytes(await reader.readexactly(2), "big")
        answer = await reader.readexactly(length)
    finally:
        writer.close()
    if not dns_messages.same_question(question, answer):
        raise OSError("the answer belongs to another question")
    return answer
