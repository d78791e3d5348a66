"""The machine's DNS front while agents are away, slow, failing, or of another version."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (dnslib has no types)

import asyncio
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import pytest
from dnslib import EDNS0, QTYPE, RCODE, RR, A, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import DeadlineError
from plait.node import dns_wire, launches
from plait.node.dns import DnsAnswers
from plait.node.dns_askers import Askers
from plait.node.dns_link import DnsLink, end
from plait.node.dns_memory import Memory
from plait.node.resolver import FOREIGN, MISSING, Answer
from plait.node.upstream import Upstream
from tests.node.fronts import Running, front

REVIEWS = "reviews.default.svc.cluster.local"
FRONT = "import sys; sys.path.append(sys.argv[1]); import plait.node.dns_front; print(' '.join(sorted(sys.modules)))"


class Mesh:
    """What an agent knows; `wait` seconds late, or not at all."""

    def __init__(self, *, wait: float = 0.0, fails: bool = False) -> None:
        self.wait = wait
        self.fails = fails
        self.asked = 0

    async def resolve(self, client: str, host: str) -> Answer:
        del client
        self.asked += 1
        await asyncio.sleep(self.wait)
        if self.fails:
            raise DeadlineError("control is away")
        if host.endswith(".cluster.local"):
            return Answer(kind="mesh", addresses=("240.240.0.5",)) if host == REVIEWS else MISSING
        return FOREIGN

    @property
    def answers(self) -> DnsAnswers:
        return DnsAnswers(self.resolve, upstream=Upstream(lambda: []))


async def ask(running: Running, name: str, kind: str = "A", *, edns: bool = False, wait: float = 5.0) -> DNSRecord:
    """The front's answer to a question of a workload."""
    question = DNSRecord.question(name, kind)
    if edns:
        question.add_ar(EDNS0(udp_len=1232))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.setblocking(False)
        asker.connect(("127.0.0.1", running.port))
        asker.send(question.pack())
        answer = DNSRecord.parse(await asyncio.wait_for(asyncio.get_running_loop().sock_recv(asker, 65536), wait))
    assert answer.header.id == question.header.id
    assert str(answer.q.qname) == f"{name}."
    return answer


def test_known_names_are_answered_without_an_agent(tmp_path: Path):
    """What an agent answered once is answered after its death: in any spelling of case, with the asker's own id."""

    async def check() -> None:
        with front(tmp_path) as running:
            async with running.answered(Mesh().answers):
                for edns in (False, True):
                    assert (await ask(running, REVIEWS, edns=edns)).rr
                    assert not (await ask(running, REVIEWS, "AAAA", edns=edns)).rr
                await ask(running, "nobody.default.svc.cluster.local")

            for edns in (False, True):
                answer = await ask(running, "Reviews.DEFAULT.svc.cluster.local", edns=edns, wait=0.5)
                assert str(answer.rr[0].rdata) == "240.240.0.5"
                assert bool(answer.ar) == edns
            assert (await ask(running, REVIEWS, "AAAA", wait=0.5)).header.rcode == RCODE.NOERROR
            missing = await ask(running, "nobody.default.svc.cluster.local", wait=0.5)
            assert missing.header.rcode == RCODE.NXDOMAIN

    asyncio.run(check())


def test_unknown_names_wait_for_the_next_agent(tmp_path: Path):
    """A name that nobody asked for before is answered as soon as an agent is back."""

    async def check() -> None:
        with front(tmp_path) as running:
            waiting = asyncio.create_task(ask(running, REVIEWS))
            await asyncio.sleep(0.5)
            assert not waiting.done()
            async with running.answered(Mesh().answers):
                assert (await waiting).rr

    asyncio.run(check())


def test_waiting_is_bounded(tmp_path: Path):
    """If no agent comes back in time the asker hears of a failure, not of an address."""

    async def check() -> None:
        with front(tmp_path, patience=0.3) as running:
            answer = await ask(running, REVIEWS, edns=True)
            assert answer.header.rcode == RCODE.SERVFAIL
            assert answer.ar[0].rtype == QTYPE.OPT

    asyncio.run(check())


@pytest.mark.parametrize("mesh", [Mesh(wait=3.0), Mesh(fails=True)])
def test_an_agent_that_hangs_or_fails_costs_no_known_name(tmp_path: Path, mesh: Mesh):
    """A slow agent is not waited for, and a failure of it is not passed on, where the answer is remembered."""

    async def check() -> None:
        with front(tmp_path) as running:
            async with running.answered(Mesh().answers):
                await ask(running, REVIEWS)
            async with running.answered(mesh.answers):
                assert (await ask(running, REVIEWS, wait=0.9)).rr
            assert mesh.asked == 1

    asyncio.run(check())


def test_a_name_that_is_gone_is_forgotten(tmp_path: Path):
    """An agent that says that there is no such name any more is believed after its death too."""

    async def check() -> None:
        async def nobody(client: str, host: str) -> Answer:
            del client, host
            return MISSING

        with front(tmp_path) as running:
            async with running.answered(Mesh().answers):
                assert (await ask(running, REVIEWS)).rr
            async with running.answered(DnsAnswers(nobody, upstream=Upstream(lambda: []))):
                await ask(running, REVIEWS)
            assert (await ask(running, REVIEWS)).header.rcode == RCODE.NXDOMAIN

    asyncio.run(check())


class Outside(asyncio.DatagramProtocol):
    """A resolver of the machine that knows every name."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = DNSRecord.parse(data).reply()
        answer.add_answer(RR(answer.q.qname, QTYPE.A, rdata=A("192.0.2.1")))
        self.transport.sendto(answer.pack(), addr)


def test_foreign_names_are_forwarded_without_an_agent(tmp_path: Path):
    """A name that was foreign is asked for outside, freshly and for any type; one never seen is not."""

    async def check() -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Outside, local_addr=("127.0.0.1", 0))
        server = transport.get_extra_info("sockname")[:2]
        with front(tmp_path, lambda: [server], patience=0.3) as running:
            async with running.answered(Mesh().answers):
                assert (await ask(running, "example.com")).rr
            assert (await ask(running, "example.com", "AAAA")).rr, "freshly"
            assert (await ask(running, "other.example.com")).header.rcode == RCODE.SERVFAIL
        transport.close()

    asyncio.run(check())


def test_an_agent_starts_replaces_and_ends_fronts(tmp_path: Path):
    """A front of another version gives its sockets to a new process, and no question is lost."""

    async def check() -> None:
        with front(tmp_path, build="older") as running:
            async with running.answered(Mesh(wait=0.2).answers):
                asked = [asyncio.create_task(ask(running, REVIEWS)) for _ in range(5)]
                for number in range(40):
                    await asyncio.sleep(0.02)
                    asked.append(asyncio.create_task(ask(running, REVIEWS, "A" if number % 2 else "AAAA")))
                assert {answer.header.rcode for answer in await asyncio.gather(*asked)} == {RCODE.NOERROR}
                assert running.ended()
            assert (await ask(running, REVIEWS)).rr, "the new front remembers"
            end(running.path)

    asyncio.run(check())


async def _ends_within(running: Running, seconds: float) -> bool:
    def wait() -> bool:
        deadline = time.monotonic() + seconds
        while not running.ended() and time.monotonic() < deadline:
            time.sleep(0.02)
        return running.ended()

    return await asyncio.to_thread(wait)


def test_an_agent_ends_the_front_it_talks_to(tmp_path: Path):
    """Even one that cannot be found by its path any more, such as when the state directory was removed."""

    async def check() -> None:
        with front(tmp_path) as running:
            link = running.link(Mesh().answers)
            task = asyncio.create_task(link.run())
            await ask(running, REVIEWS)
            running.path.unlink()
            link.end()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert await _ends_within(running, 1.0)

    asyncio.run(check())


def test_a_front_without_agent_and_address_ends_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An agent that could not say it: nobody can ask once the machine's address is gone."""

    def missing(_askers: Askers) -> bool:
        return False

    async def check() -> None:
        with front(tmp_path) as running:
            async with running.answered(Mesh().answers):
                await ask(running, REVIEWS)
                monkeypatch.setattr(Askers, "exist", missing)
                assert not await _ends_within(running, 1.0), "an agent is there"
            assert await _ends_within(running, 1.5)

    asyncio.run(check())


def test_no_agent_means_no_front_only_at_first(tmp_path: Path):
    """`prepare` starts a front that keeps questions until the agent answers, and a second one changes nothing."""

    async def check() -> None:
        address, port = f"127.77.{secrets.randbelow(256)}.{secrets.randbelow(254) + 1}", 15053
        path = tmp_path / "dns.sock"
        links = [
            DnsLink(Mesh().answers, lambda _: "default/app", path=path, address=address, port=port) for _ in range(2)
        ]
        for link in links:
            link.prepare()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.setblocking(False)
            asker.connect((address, port))
            asker.send(DNSRecord.question(REVIEWS).pack())
            task = asyncio.create_task(links[1].run())
            answer = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(asker, 65536), 5)
            assert DNSRecord.parse(answer).rr
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        end(path)

    asyncio.run(check())


def test_random_names_drive_out_no_name_of_the_mesh():
    """Memory is bounded for each workload and kind; another workload at the address starts with none."""
    memory, client = Memory(), b"\x0a\x05\0\2"

    def of(name: str) -> tuple[dns_wire.Question, bool]:
        found = dns_wire.read(bytes(DNSRecord.question(name).pack()))
        assert found is not None
        return found, False

    memory.keep(client, b"default/app", of(REVIEWS), (dns_wire.KEEP, b"known"))
    for number in range(3000):
        memory.keep(client, b"default/app", of(f"n{number}.example.com"), (dns_wire.FOREIGN, b""))
        memory.keep(client, b"default/app", of(f"n{number}.svc.cluster.local"), (dns_wire.MISSING, b"no"))

    assert memory.find(client, of(REVIEWS)) == (dns_wire.KEEP, b"known")
    assert memory.find(client, of("n2999.example.com")) == (dns_wire.FOREIGN, b"")
    assert len(memory) < 1000
    memory.keep(client, b"default/other", of("x.example.com"), (dns_wire.FOREIGN, b""))
    assert memory.find(client, of(REVIEWS)) is None
    for number in range(2000):
        memory.keep(number.to_bytes(4, "big"), b"a/b", of(REVIEWS), (dns_wire.KEEP, b"known"))
    assert len(memory) <= 1024


@given(st.binary(max_size=80))
def test_nothing_that_arrives_breaks_the_reader(data: bytes):
    """Any bytes are a question or none; who asks gets an answer with its id."""
    found = dns_wire.read(data)
    if found is not None:
        assert dns_wire.is_query(data)
        assert found.end <= len(data)
    if dns_wire.is_query(data):
        assert dns_wire.failed(data)[:2] == data[:2]


@given(
    st.lists(st.from_regex(r"[a-zA-Z0-9_-]{1,20}", fullmatch=True), min_size=1, max_size=6),
    st.sampled_from(["A", "SRV"]),
)
def test_questions_are_read_as_others_write_them(labels: list[str], kind: str):
    """The front reads what dnslib writes, and dnslib what the front answers."""
    record = DNSRecord.question(".".join(labels), kind)
    found = dns_wire.read(bytes(record.pack()))

    assert found is not None
    assert found.kind[:2] == getattr(QTYPE, kind).to_bytes(2, "big")
    assert DNSRecord.parse(dns_wire.failed(bytes(record.pack()))).q == record.q
    reply = record.reply()
    reply.add_answer(RR(record.q.qname, QTYPE.A, rdata=A("10.0.0.1")))
    asked = DNSRecord.question(".".join(labels).swapcase(), kind)
    again = DNSRecord.parse(dns_wire.again(bytes(reply.pack()), bytes(asked.pack()), found))
    assert (again.header.id, str(again.rr[0].rdata)) == (asked.header.id, "10.0.0.1")


def test_the_front_loads_next_to_nothing():
    """It stays small: none of what makes an interpreter large is loaded."""
    packages = str(Path(launches.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", FRONT, packages], capture_output=True, text=True, check=True
    )

    assert not {"asyncio", "dataclasses", "inspect", "json", "pathlib", "re", "typing", "logging"} & set(
        done.stdout.split()
    )
