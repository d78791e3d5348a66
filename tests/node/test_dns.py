"""The DNS server on real sockets of this process's loopback, asked with dnslib."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (dnslib has no types)

import asyncio
import socket
import tempfile
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
import uvloop
from dnslib import EDNS0, QTYPE, RCODE, RR, A, DNSRecord

from plait.errors import DeadlineError, ForbiddenError, RefusedError
from plait.model.view import NameRecord
from plait.node.dns import DnsAnswers, DnsSettings
from plait.node.dns_link import sockets_at
from plait.node.resolver import FOREIGN, MISSING, Answer
from plait.node.upstream import Upstream
from tests.node.fronts import Running, front

REVIEWS = "reviews.default.svc.cluster.local"
DB = "db.default.svc.cluster.local"
RECORDS = {
    "web.default.svc.cluster.local": NameRecord(
        host="web.default.svc.cluster.local", addresses=("240.240.0.6",), ports=(80, 9000), port_names=("http", "grpc")
    ),
    DB: NameRecord(
        host=DB,
        addresses=("10.5.0.2", "10.6.0.2", "10.7.0.2"),
        ports=(5432,),
        port_names=("pg",),
        headless=True,
        instances=("db-0", "db-1", ""),
    ),
}
ALIASES = {
    "outside.default.svc.cluster.local": Answer(kind="foreign", aliases=("www.example.com",)),
    "alias.default.svc.cluster.local": Answer(
        kind="mesh", addresses=("240.240.0.5",), aliases=("other.default.svc.cluster.local", REVIEWS)
    ),
}
HOSTS = {"240.240.0.6": "web.default.svc.cluster.local"}
MANY = tuple(f"10.5.0.{number}" for number in range(2, 102))
TABLE = {
    REVIEWS: ("240.240.0.5",),
    "many.default.svc.cluster.local": MANY,
    **{host: record.addresses for host, record in RECORDS.items()},
}


async def known(client: str, host: str) -> Answer:
    """A mesh with one service, one headless service, and names that fail."""
    if host == "stuck.default.svc.cluster.local":
        await asyncio.sleep(60)
    if host == "away.default.svc.cluster.local":
        raise DeadlineError("control is away")
    if host == "broken.default.svc.cluster.local":
        raise ZeroDivisionError
    if host == "who.default.svc.cluster.local":
        raise ForbiddenError(f"no workload has {client}")
    if host in ALIASES:
        return ALIASES[host]
    if host.endswith(".cluster.local"):
        return Answer(kind="mesh", addresses=TABLE[host], record=RECORDS.get(host)) if host in TABLE else MISSING
    return FOREIGN


class Resolver(asyncio.DatagramProtocol):
    """A resolver of the machine: answers every name with one address, and records what it was sent."""

    def __init__(self, address: str = "192.0.2.1", *, rcode: int = 0, silent: bool = False) -> None:
        self.address, self.rcode, self.silent = address, rcode, silent
        self.asked: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        self.asked.append(data)
        if not self.silent:
            self.transport.sendto(self.reply(data), addr)

    def reply(self, data: bytes) -> bytes:
        record = DNSRecord.parse(data)
        answer = record.reply(aa=0)
        answer.header.rcode = self.rcode
        if not self.rcode:
            answer.add_answer(RR(record.q.qname, QTYPE.A, ttl=60, rdata=A(self.address)))
        for row in record.ar:
            answer.add_ar(row)
        return bytes(answer.pack())

    async def start(self) -> tuple[str, int]:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        return transport.get_extra_info("sockname")[:2]


@asynccontextmanager
async def serving(*resolvers: Resolver, attempt: float = 0.2) -> AsyncGenerator[Running]:
    """A front with these resolvers, and an agent that knows the mesh above."""
    servers = [await resolver.start() for resolver in resolvers]
    upstream = Upstream(lambda: servers, attempt=attempt, deadline=1.0)
    answers = DnsAnswers(known, upstream=upstream, host_at=HOSTS.get, settings=DnsSettings(deadline=0.2))
    with tempfile.TemporaryDirectory() as folder, front(Path(folder), lambda: servers, attempt=attempt) as running:
        async with running.answered(answers):
            yield running
    for resolver in resolvers:
        resolver.transport.close()


async def ask_udp(server: Running, data: bytes, *, wait: float = 5.0, source: str = "127.0.0.1") -> bytes:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.bind((source, 0))
        asker.setblocking(False)
        asker.connect(("127.0.0.1", server.port))
        await loop.sock_sendall(asker, data)
        return await asyncio.wait_for(loop.sock_recv(asker, 65536), wait)


async def ask_tcp(server: Running, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(len(data).to_bytes(2, "big") + data)
    length = int.from_bytes(await reader.readexactly(2), "big")
    answer = await reader.readexactly(length)
    writer.close()
    await writer.wait_closed()
    return answer


def question(name: str, kind: str = "A", *, edns: int = 0) -> bytes:
    record = DNSRecord.question(name, kind)
    if edns:
        record.add_ar(EDNS0(udp_len=edns))
    return bytes(record.pack())


def run(test: Callable[[], Coroutine[object, object, None]]) -> None:
    asyncio.run(test())


def asked(name: str, kind: str = "A", *, edns: int = 0, tcp: bool = False) -> DNSRecord:
    """The answer of a server without resolvers behind it."""

    async def ask() -> bytes:
        async with serving() as server:
            return await (ask_tcp if tcp else ask_udp)(server, question(name, kind, edns=edns))

    return DNSRecord.parse(asyncio.run(ask()))


@pytest.mark.parametrize("tcp", [False, True])
def test_service_has_its_address(tcp: bool):
    """A service of the mesh is answered with its address and a short life, by UDP and TCP."""
    answer = asked("Reviews.default.svc.cluster.local", tcp=tcp)

    assert [str(row.rdata) for row in answer.rr] == ["240.240.0.5"]
    assert answer.rr[0].ttl == 5
    assert answer.header.ra
    assert str(answer.q.qname) == "Reviews.default.svc.cluster.local."


@pytest.mark.parametrize("kind", ["AAAA", "MX", "TXT", "HTTPS", "SRV", "NAPTR"])
def test_other_types_are_empty_not_missing(kind: str):
    """A service has no IPv6 address and no other record, which must not make it missing."""
    answer = asked(REVIEWS, kind)

    assert answer.header.rcode == RCODE.NOERROR
    assert answer.rr == []
    assert answer.auth[0].rtype == QTYPE.SOA


def test_missing_service_is_nxdomain():
    """A name below the cluster's domain that nobody has is NXDOMAIN, at once."""
    answer = asked("www.example.com.default.svc.cluster.local")

    assert answer.header.rcode == RCODE.NXDOMAIN
    assert str(answer.auth[0].rname) == "cluster.local."


@pytest.mark.parametrize("name", ["stuck", "away", "broken"])
def test_what_is_not_known_in_time_is_servfail(name: str):
    """No answer from the mesh is a failure that names its reason to who understands it, never an address."""
    answer = asked(f"{name}.default.svc.cluster.local", edns=1232)

    assert answer.header.rcode == RCODE.SERVFAIL
    assert answer.rr == []
    assert answer.ar[0].rdata[0].code == 15


def test_unknown_client_is_refused():
    """Who is no workload of this machine is refused."""
    assert asked("who.default.svc.cluster.local").header.rcode == RCODE.REFUSED


def test_long_answer_comes_by_tcp():
    """An answer that fits no datagram is cut, and whole by TCP; its order changes."""
    short, whole = asked("many.default.svc.cluster.local"), asked("many.default.svc.cluster.local", tcp=True)

    assert short.header.tc
    assert short.rr == []
    assert sorted(str(row.rdata) for row in whole.rr) == sorted(MANY)
    assert [str(row.rdata) for row in whole.rr] != list(MANY)


def test_edns_is_answered_with_edns():
    """Who sends EDNS gets EDNS back, and who does not gets none."""
    assert asked(REVIEWS, edns=4096).ar[0].rtype == QTYPE.OPT
    assert asked(REVIEWS).ar == []


def test_localhost_is_answered_here():
    """localhost means the workload itself, whatever resolvers say."""
    assert str(asked("localhost").rr[0].rdata) == "127.0.0.1"
    assert str(asked("x.localhost", "AAAA").rr[0].rdata) == "::1"


def test_reverse_names_of_the_mesh_are_not_asked_outside():
    """Reverse names of service addresses are nobody's business outside of the mesh."""
    assert asked("5.0.240.240.in-addr.arpa", "PTR").header.rcode == RCODE.NXDOMAIN


def test_address_of_a_service_has_its_name():
    """Who asks whose address it is hears of the service."""
    assert str(asked("6.0.240.240.in-addr.arpa", "PTR").rr[0].rdata) == "web.default.svc.cluster.local."
    assert asked("6.0.240.240.in-addr.arpa", "TXT").header.rcode == RCODE.NOERROR


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("_http._tcp.web.default.svc.cluster.local", {("web.default.svc.cluster.local.", 80)}),
        ("_9000._tcp.web.default.svc.cluster.local", {("web.default.svc.cluster.local.", 9000)}),
        (f"_pg._tcp.{DB}", {(f"db-0.{DB}.", 5432), (f"db-1.{DB}.", 5432)}),
    ],
)
def test_named_ports_are_services(name: str, targets: set[tuple[str, int]]):
    """A named port is found by SRV, at each workload of a headless service, and exists for other types."""
    found = asked(name, "SRV")

    assert {(str(row.rdata.target), row.rdata.port) for row in found.rr} == targets
    assert asked(name, "A").header.rcode == RCODE.NOERROR


def test_a_port_that_the_service_lacks_is_missing():
    """No such port, no such name."""
    assert asked("_smtp._tcp.web.default.svc.cluster.local", "SRV").header.rcode == RCODE.NXDOMAIN


def test_a_name_that_stands_for_another_is_answered_with_both():
    """An ExternalName within the mesh is a chain of CNAMEs and the address at its end."""
    rows = asked("alias.default.svc.cluster.local").rr

    assert [str(row.rdata) for row in rows] == ["other.default.svc.cluster.local.", f"{REVIEWS}.", "240.240.0.5"]
    assert str(rows[-1].rname) == f"{REVIEWS}."
    assert [row.rtype for row in asked("alias.default.svc.cluster.local", "AAAA").rr] == [QTYPE.CNAME, QTYPE.CNAME]


def test_a_name_that_stands_for_a_foreign_one_is_followed():
    """The machine's resolver is asked for the other name, and both are in the answer."""

    async def check() -> None:
        resolver = Resolver()
        async with serving(resolver) as server:
            answer = DNSRecord.parse(await ask_udp(server, question("outside.default.svc.cluster.local")))
            assert [str(row.rdata) for row in answer.rr] == ["www.example.com.", "192.0.2.1"]
            assert str(DNSRecord.parse(resolver.asked[0]).q.qname) == "www.example.com."

    run(check)


def test_foreign_name_is_forwarded_unchanged():
    """A foreign name goes to the machine's resolver with all its bytes but the id, EDNS included."""

    async def check() -> None:
        resolver = Resolver()
        async with serving(resolver) as server:
            data = question("Example.com", edns=1400)
            answer = DNSRecord.parse(await ask_udp(server, data))
            assert str(answer.rr[0].rdata) == "192.0.2.1"
            assert answer.ar[0].rclass == 1400
            assert answer.header.id == int.from_bytes(data[:2], "big")
            assert resolver.asked[0][2:] == data[2:]

    run(check)


@pytest.mark.parametrize("first", [Resolver(silent=True), Resolver(rcode=2), Resolver(rcode=5)])
def test_next_resolver_is_asked_when_one_fails(first: Resolver):
    """A resolver that is silent, fails or refuses is followed by the next one."""

    async def check() -> None:
        async with serving(first, Resolver("192.0.2.2")) as server:
            answer = DNSRecord.parse(await ask_udp(server, question("example.com")))
            assert str(answer.rr[0].rdata) == "192.0.2.2"

    run(check)


def test_nobody_answers_is_servfail():
    """If no resolver answers, or there is none, the asker is told so."""

    async def check() -> None:
        async with serving(Resolver(silent=True)) as server:
            assert DNSRecord.parse(await ask_udp(server, question("example.com"))).header.rcode == RCODE.SERVFAIL
        async with serving() as server:
            assert DNSRecord.parse(await ask_udp(server, question("example.com"))).header.rcode == RCODE.SERVFAIL

    run(check)


def test_foreign_name_by_tcp_is_forwarded_by_tcp():
    """A question by TCP goes on by TCP, where the answer may be long."""

    async def check() -> None:
        resolver, served = Resolver("192.0.2.9"), asyncio.Event()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            data = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
            reply = resolver.reply(data)
            framed = len(reply).to_bytes(2, "big") + reply
            for part in (framed[:1], framed[1:9], framed[9:]):
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0.01)
            writer.close()
            await writer.wait_closed()
            served.set()

        listening = await asyncio.start_server(answer, "127.0.0.1", 0)
        where = listening.sockets[0].getsockname()[:2]
        async with serving() as server:
            server.front.forwarder.servers = lambda: (where[:2],)
            assert str(DNSRecord.parse(await ask_tcp(server, question("example.com"))).rr[0].rdata) == "192.0.2.9"
            await served.wait()
        listening.close()

    run(check)


def test_port_taken_names_the_holder():
    """A DNS port that is held is refused with the name of the process."""
    datagrams, stream = sockets_at("127.0.0.1", 0)
    with datagrams, stream, pytest.raises(RefusedError, match="listens there"):
        sockets_at("127.0.0.1", stream.getsockname()[1])


def test_greedy_client_costs_only_itself():
    """Who has too many questions open is refused more, at once, while others are answered."""

    async def check() -> None:
        async with serving() as server:
            stuck = [question("stuck.default.svc.cluster.local") for _ in range(128)]
            async with asyncio.TaskGroup() as group:
                waiting = [group.create_task(ask_udp(server, data)) for data in stuck]
                await asyncio.sleep(0.1)
                refused = DNSRecord.parse(await ask_udp(server, question(REVIEWS)))
                assert refused.header.rcode == RCODE.SERVFAIL
                assert DNSRecord.parse(await ask_udp(server, question(REVIEWS), source="127.0.0.2")).rr
                await asyncio.wait(waiting)
            assert DNSRecord.parse(await ask_udp(server, question(REVIEWS))).rr

    run(check)


def test_serves_under_uvloop():
    """The agent's event loop is uvloop: UDP, TCP and forwarding work on it too."""

    async def check() -> None:
        async with serving(Resolver()) as server:
            assert DNSRecord.parse(await ask_udp(server, question(REVIEWS))).rr
            assert DNSRecord.parse(await ask_tcp(server, question(REVIEWS))).rr
            assert DNSRecord.parse(await ask_udp(server, question("example.com"))).rr

    uvloop.run(check())


def test_noise_does_not_end_the_server():
    """After garbage by UDP and TCP the server answers as before."""

    async def check() -> None:
        async with serving() as server:
            for noise in (b"", b"\0", b"\xff" * 40, b"\0\1\x81\x80" + b"\0" * 20):
                with pytest.raises(TimeoutError):
                    await ask_udp(server, noise, wait=0.05)
            for broken in (b"\0" * 12, question(REVIEWS)[:-3], question(REVIEWS)[:-1]):
                assert (await ask_udp(server, broken))[3] & 0x0F == RCODE.FORMERR
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"\0\5abcde\xff\xff")
            writer.close()
            assert DNSRecord.parse(await ask_udp(server, question(REVIEWS))).rr

    run(check)
