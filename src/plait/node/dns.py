"""The DNS server of a machine's workloads, on the bridge's address: UDP and TCP.

Every question of a workload for port 53, whatever server it meant, arrives here; who asks is told by the source
address. `resolve` says what the name is. A name of the mesh is answered with its addresses (for other types: that there
are none of that type), a missing one with NXDOMAIN, a foreign one is forwarded as it is. What is not known within the
deadline is SERVFAIL, never an address. Names that only make sense here (`localhost`, the reverse names of the mesh's
addresses) go no further.

A failure while answering one question costs that question; nothing a client sends ends the server.
"""

import asyncio
import collections
import contextlib
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import cast

from plait.errors import ForbiddenError, PlaitError, RefusedError
from plait.node import dns_messages as messages
from plait.node import ports
from plait.node.dns_messages import Question
from plait.node.resolver import FOREIGN, MISSING, Answer
from plait.node.upstream import Upstream

_log = logging.getLogger(__name__)

Resolve = Callable[[str, str], Awaitable[Answer]]
"""`await resolve(client_address, host)` says what a host is to that client; raises a PlaitError if it can't tell."""

_LOCALHOST = Answer(kind="mesh", addresses=("127.0.0.1", "::1"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsSettings:
    """The fixed numbers of a DNS server: lives of answers, limits of time and of one client's questions in hand."""

    domain: str = "cluster.local"
    networks: tuple[str, ...] = ("240.240.0.0/16",)
    ttl: int = 5
    missing_ttl: int = 2
    deadline: float = 1.0
    idle: float = 10.0
    in_hand: int = 128


class DnsServer:
    """Answers the workloads' questions at `address:port` while `run` runs; `listening` is set when it does."""

    def __init__(
        self,
        resolve: Resolve,
        *,
        address: str,
        port: int,
        upstream: Upstream,
        settings: DnsSettings | None = None,
    ) -> None:
        self._resolve = resolve
        self._address = address
        self._port = port
        self._upstream = upstream
        self._settings = settings or DnsSettings()
        self._networks = [ipaddress.ip_network(network) for network in self._settings.networks]
        self._in_hand: collections.Counter[str] = collections.Counter()
        self._group: asyncio.TaskGroup | None = None
        self.listening = asyncio.Event()
        self.counts: collections.Counter[str] = collections.Counter()

    @property
    def port(self) -> int:
        """The port in use (the one chosen by the kernel, if 0 was asked for)."""
        return self._port

    async def run(self) -> None:
        """Serve until cancelled; a port that is taken is refused with the name of its holder."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            transport, server = await self._open()
            try:
                self.listening.set()
                await asyncio.get_running_loop().create_future()
            finally:
                self.listening.clear()
                transport.close()
                server.close()

    async def answer(self, client: str, data: bytes, *, stream: bool = False) -> bytes | None:
        """The answer to what a client sent; None if it gets none."""
        question = messages.read(data)
        if question is None:
            self.counts["noise"] += 1
            return None
        if self._in_hand[client] >= self._settings.in_hand:
            self.counts["refused"] += 1
            return messages.failure(question, messages.SERVFAIL, "too many questions at once")
        self._in_hand[client] += 1
        try:
            reply = await self._answered(client, question, stream=stream)
        except Exception:  # noqa: BLE001 - whatever it was costs this question only
            self.counts["failed"] += 1
            _log.exception("answering a DNS question failed")
            reply = messages.failure(question, messages.SERVFAIL, "the DNS server failed")
        finally:
            self._in_hand[client] -= 1
            if not self._in_hand[client]:
                del self._in_hand[client]
        return reply

    async def _answered(self, client: str, question: Question, *, stream: bool) -> bytes:
        if question.problem:
            self.counts["malformed"] += 1
            return messages.failure(question, question.problem)
        try:
            found = self._special(question.name)
            if found is None:
                async with asyncio.timeout(self._settings.deadline):
                    found = await self._resolve(client, question.name)
            self.counts[found.kind] += 1
            if found.kind == "foreign":
                return await self._upstream.ask(question.data, stream=stream)
        except ForbiddenError as error:
            self.counts["refused"] += 1
            return messages.failure(question, messages.REFUSED, error.problem)
        except (PlaitError, TimeoutError) as error:
            self.counts["failed"] += 1
            reason = error.problem if isinstance(error, PlaitError) else "the mesh did not answer in time"
            return messages.failure(question, messages.SERVFAIL, reason)
        reply = self._own(question, found)
        return reply if stream else messages.truncated(question, reply)

    def _own(self, question: Question, found: Answer) -> bytes:
        if found.kind == "missing":
            return messages.missing(question, zone=self._zone(question.name), ttl=self._settings.missing_ttl)
        return messages.addresses(question, found.addresses, ttl=self._settings.ttl)

    def _special(self, name: str) -> Answer | None:
        if name == "localhost" or name.endswith(".localhost"):
            return _LOCALHOST
        if name.endswith((".in-addr.arpa", ".ip6.arpa")):
            return MISSING if self._is_ours(name) else FOREIGN
        return None if name else FOREIGN

    def _is_ours(self, reverse: str) -> bool:
        parts = reverse.removesuffix(".in-addr.arpa").split(".")
        with contextlib.suppress(ValueError):
            address = ipaddress.ip_address(".".join(reversed(parts)))
            return any(address in network for network in self._networks)
        return False

    def _zone(self, name: str) -> str:
        domain = self._settings.domain
        return domain if name.endswith(f".{domain}") else name

    async def _open(self) -> tuple[asyncio.DatagramTransport, asyncio.Server]:
        loop = asyncio.get_running_loop()
        try:
            server = await asyncio.start_server(self._connected, self._address, self._port)
        except OSError as error:
            raise self._taken(error) from error
        self._port = int(server.sockets[0].getsockname()[1])
        try:
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), local_addr=(self._address, self._port)
            )
        except OSError as error:
            server.close()
            raise self._taken(error) from error
        return transport, server

    def _taken(self, error: OSError) -> RefusedError:
        holder = ports.conflicting(ports.listeners(), self._address, self._port)
        reason = f"{ports.holder(holder)} listens there" if holder else error.strerror or str(error)
        return RefusedError(
            f"the workloads' DNS cannot listen at {self._address}:{self._port}: {reason}",
            "stop what holds the port, or give the node agent another DNS port",
        )

    def start(self, work: Coroutine[object, object, None]) -> None:
        """Run something as part of the server."""
        if self._group is None or not self.listening.is_set():
            work.close()
            return
        self._group.create_task(work)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.start(self._converse(reader, writer))

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = str(writer.get_extra_info("peername")[0])
        try:
            with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                while await self._exchange(client, reader, writer):
                    pass
        finally:
            writer.close()

    async def _exchange(self, client: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        async with asyncio.timeout(self._settings.idle):
            data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        reply = await self.answer(client, data, stream=True)
        if reply is None:
            return False
        writer.write(len(reply).to_bytes(2, "big") + reply)
        async with asyncio.timeout(self._settings.idle):
            await writer.drain()
        return True


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        self._server.start(self._reply(data, addr))

    async def _reply(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        reply = await self._server.answer(str(addr[0]), data)
        if reply is not None and self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(reply, addr)
