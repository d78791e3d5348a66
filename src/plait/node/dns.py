"""What a workload's DNS question is answered, as the machine's DNS front asks it (see `dns_front`).

Who asks is told by the source address; `resolve` says what the name is. A name of the mesh is answered with its
addresses (for other types: that there are none of that type), a missing one with NXDOMAIN; a foreign one is left to the
front, which forwards it as it is. A name that stands for another (ExternalName) is answered with both. What is not
known within the deadline is SERVFAIL, never an address. Names that only make sense here (`localhost`, the reverse names
of the mesh's addresses) go no further. `_PORT._tcp.NAME` is the port of that name, at each workload of a headless
service.

Beside the answer goes a verdict: what the front may remember of it while there is no agent.
"""

import asyncio
import collections
import contextlib
import ipaddress
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from plait.errors import ForbiddenError, PlaitError
from plait.model.view import NameRecord
from plait.node import dns_messages as messages
from plait.node.dns_messages import Question
from plait.node.dns_wire import FAILED, FOREIGN, KEEP, MISSING, PASS
from plait.node.resolver import Answer
from plait.node.upstream import Upstream

_log = logging.getLogger(__name__)

Resolve = Callable[[str, str], Awaitable[Answer]]
"""`await resolve(client_address, host)` says what a host is to that client; raises a PlaitError if it can't tell."""
Reply = tuple[int, bytes]

_SERVICE = re.compile(r"_([a-z0-9-]+)\._(?:tcp|udp)\.(.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsSettings:
    """The fixed numbers of answers: their lives, and the time that they may take."""

    domain: str = "cluster.local"
    networks: tuple[str, ...] = ("240.240.0.0/16",)
    ttl: int = 5
    missing_ttl: int = 2
    deadline: float = 1.0


class DnsAnswers:
    """Answers questions. `host_at` knows the hosts of addresses, `upstream` what an ExternalName outside leads to."""

    def __init__(
        self,
        resolve: Resolve,
        *,
        upstream: Upstream,
        host_at: Callable[[str], str | None] = lambda _: None,
        settings: DnsSettings | None = None,
    ) -> None:
        self._resolve = resolve
        self._upstream = upstream
        self._host_at = host_at
        self._settings = settings or DnsSettings()
        self._networks = [ipaddress.ip_network(network) for network in self._settings.networks]
        self.counts: collections.Counter[str] = collections.Counter()

    async def answer(self, client: str, data: bytes, *, stream: bool = False) -> Reply:
        """The verdict on what a client asked, and the answer where the front shall not find it elsewhere."""
        question = messages.read(data)
        if question is None:
            self.counts["noise"] += 1
            return PASS, b""
        try:
            verdict, reply = await self._answered(client, question, stream=stream)
        except Exception:  # noqa: BLE001 - whatever it was costs this question only
            self.counts["failed"] += 1
            _log.exception("answering a DNS question failed")
            return FAILED, messages.failure(question, messages.SERVFAIL, "the DNS server failed")
        return verdict, reply if stream else messages.truncated(question, reply)

    async def _answered(self, client: str, question: Question, *, stream: bool) -> Reply:
        if question.problem:
            self.counts["malformed"] += 1
            return PASS, messages.failure(question, question.problem)
        special = self._special(question)
        if special is not None:
            return special
        try:
            async with asyncio.timeout(self._settings.deadline):
                return await self._found(client, question, stream=stream)
        except ForbiddenError as error:
            self.counts["refused"] += 1
            return PASS, messages.failure(question, messages.REFUSED, error.problem)
        except (PlaitError, TimeoutError) as error:
            self.counts["failed"] += 1
            reason = error.problem if isinstance(error, PlaitError) else "the mesh did not answer in time"
            return FAILED, messages.failure(question, messages.SERVFAIL, reason)

    async def _found(self, client: str, question: Question, *, stream: bool) -> Reply:
        named = _SERVICE.fullmatch(question.name)
        found = await self._resolve(client, named[2] if named else question.name)
        self.counts[found.kind] += 1
        if found.kind == "foreign" and found.aliases and not named:
            answer = await self._upstream.ask(messages.about(question, found.aliases[-1]), stream=stream)
            return KEEP, messages.aliased(question, found.aliases, answer, ttl=self._settings.ttl)
        if found.kind == "foreign":
            return FOREIGN, b""
        if named and found.record is not None:
            targets = _targets(found.record, named[1])
            if targets is not None:
                return KEEP, messages.services(question, targets, ttl=self._settings.ttl)
        elif found.kind == "mesh":
            ttl = self._settings.ttl
            return KEEP, messages.addresses(question, found.addresses, ttl=ttl, aliases=found.aliases)
        return MISSING, self._missing(question)

    def _missing(self, question: Question) -> bytes:
        domain = self._settings.domain
        zone = domain if question.name.endswith(f".{domain}") else question.name
        return messages.missing(question, zone=zone, ttl=self._settings.missing_ttl)

    def _special(self, question: Question) -> Reply | None:
        name = question.name
        if name == "localhost" or name.endswith(".localhost"):
            return KEEP, messages.addresses(question, ("127.0.0.1", "::1"), ttl=self._settings.ttl)
        if name.endswith((".in-addr.arpa", ".ip6.arpa")):
            address = _reversed(name)
            host = self._host_at(address)
            if host is not None:
                return KEEP, messages.pointer(question, host, ttl=self._settings.ttl)
            return (MISSING, self._missing(question)) if self._is_ours(address) else (FOREIGN, b"")
        return None if name else (FOREIGN, b"")

    def _is_ours(self, address: str) -> bool:
        with contextlib.suppress(ValueError):
            return any(ipaddress.ip_address(address) in network for network in self._networks)
        return False


def _reversed(name: str) -> str:
    return ".".join(reversed(name.removesuffix(".in-addr.arpa").split(".")))


def _targets(record: NameRecord, port_name: str) -> list[tuple[str, int]] | None:
    """Hosts and ports behind a named port: the service itself, or each workload of a headless one; None: no such port.

    A port without a name answers to its number.
    """
    names = record.port_names or ("",) * len(record.ports)
    numbers = [port for port, name in zip(record.ports, names, strict=False) if port_name in (name, str(port))]
    if not numbers:
        return None
    if not record.headless:
        return [(record.host, number) for number in numbers]
    hosts = [f"{instance}.{record.host}" for instance in record.instances if instance]
    return [(host, number) for host in hosts for number in numbers]
