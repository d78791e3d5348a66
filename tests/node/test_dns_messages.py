"""Whatever bytes arrive, reading them as a question neither fails nor runs away."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (dnslib has no types)

from dnslib import DNSRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from plait.node import dns_messages
from tests.node.test_dns import MANY, REVIEWS, question


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_random_bytes_never_crash_reading(data: bytes):
    """Any bytes are noise, or a question that can be answered with a failure of the same id."""
    found = dns_messages.read(data)
    if found is not None:
        answer = dns_messages.failure(found, dns_messages.SERVFAIL, "why")
        assert answer[:2] == data[:2]
        assert answer[2] & 0x80
        DNSRecord.parse(answer)
    assert dns_messages.same_question(data, data) in (True, False)


@settings(max_examples=200)
@given(st.integers(0, 60), st.binary(min_size=1, max_size=6), st.sampled_from(["A", "TXT", "OPT", "ANY"]))
def test_damaged_questions_never_crash(place: int, damage: bytes, kind: str):
    """A question with some bytes changed is answered or ignored; every answer can be read."""
    data = bytearray(question(REVIEWS, kind, edns=4096))
    data[place : place + len(damage)] = damage
    found = dns_messages.read(bytes(data))
    if found is not None and not found.problem:
        DNSRecord.parse(dns_messages.truncated(found, dns_messages.addresses(found, MANY, ttl=5)))
        DNSRecord.parse(dns_messages.missing(found, zone="cluster.local", ttl=2))


@given(st.lists(st.integers(12, 400), max_size=400))
def test_chains_of_pointers_end(targets: list[int]):
    """Names made of compression pointers neither loop nor exhaust the stack."""
    pointers = b"".join((0xC000 | target).to_bytes(2, "big") for target in targets)
    data = bytes.fromhex("123401000001000000000000") + b"\xc0\x0c" * 2000 + pointers
    dns_messages.read(data)
    backwards = b"".join((0xC000 | (12 + 2 * max(0, step - 1))).to_bytes(2, "big") for step in range(1800))
    dns_messages.read(data[:12] + b"\x00\x00" + backwards)
