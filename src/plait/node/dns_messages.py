"""DNS messages: read a question, write an answer. Pure functions of bytes.

A question keeps its exact bytes, so that it can be forwarded unchanged; only what Plait answers itself is encoded here.
Whatever cannot be read is either not answered (no header: nobody to answer) or answered FORMERR. An answer that does
not fit what the asker can receive by UDP says so (TC), and the asker comes back by TCP. EDNS is answered with EDNS, and
a failure then carries its reason in words (RFC 8914), which `dig` prints.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (dnslib has no types)

import ipaddress
import random
from collections.abc import Sequence
from dataclasses import dataclass

from dnslib import AAAA, CNAME, EDNS0, PTR, QTYPE, RR, SOA, SRV, A, DNSHeader, DNSQuestion, DNSRecord, EDNSOption
from dnslib.buffer import BufferError as DnsBufferError
from dnslib.dns import DNSError
from dnslib.label import DNSBuffer, DNSLabel, DNSLabelError

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
HEADER = 12
_UDP_DEFAULT, _UDP_MOST = 512, 1232
_IN, _OPT, _EXTENDED_ERROR = 1, 41, 15
_LONGEST = 4096
_UNREADABLE = (DNSError, DnsBufferError, DNSLabelError, ValueError, IndexError, KeyError, RecursionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question as it came: `name` in lower case without the last dot, `size` what an answer by UDP may have."""

    data: bytes
    name: str
    kind: str
    size: int = _UDP_DEFAULT
    edns: bool = False
    problem: int = NOERROR


def read(data: bytes) -> Question | None:
    """Read a question; None if nobody waits for an answer (noise, or an answer itself)."""
    if len(data) < HEADER or data[2] & 0x80:
        return None
    if data[2] & 0x78:
        return Question(data=data, name="", kind="", problem=NOTIMP)
    try:
        record = _parse(data)
        name = _written(record.questions[0].qname)
    except _UNREADABLE:
        return Question(data=data, name="", kind="", problem=FORMERR)
    if len(record.questions) != 1:
        return Question(data=data, name="", kind="", problem=FORMERR)
    options = [row for row in record.ar if row.rtype == _OPT]
    size = max(_UDP_DEFAULT, min(_UDP_MOST, options[0].rclass)) if options else _UDP_DEFAULT
    problem = NOERROR if record.questions[0].qclass == _IN else REFUSED
    return Question(
        data=data, name=name, kind=_kind(record.questions[0].qtype), size=size, edns=bool(options), problem=problem
    )


def addresses(question: Question, found: Sequence[str], *, ttl: int, aliases: Sequence[str] = ()) -> bytes:
    """The answer with these addresses, of which the asker gets those of the type asked for, in changing order.

    With `aliases` the name stands for the first, that for the next, and the last has the addresses.
    """
    reply = _reply(question, NOERROR)
    wanted = {"A": (4,), "AAAA": (6,), "ANY": (4, 6)}.get(question.kind, ())
    rows = [address for address in found if ipaddress.ip_address(address).version in wanted]
    name = _add_aliases(reply, aliases, ttl)
    for address in random.sample(rows, len(rows)):
        reply.add_answer(_row(name, address, ttl))
    if not rows:
        reply.add_auth(_authority(aliases[-1] if aliases else question.name, ttl))
    return _packed(question, reply)


def aliased(question: Question, aliases: Sequence[str], answer: bytes, *, ttl: int) -> bytes:
    """The answer that a name stands for another, of which a resolver outside gave this answer."""
    theirs = DNSRecord.parse(answer)
    reply = _reply(question, theirs.header.rcode)
    _add_aliases(reply, aliases, ttl)
    for row in theirs.rr:
        reply.add_answer(row)
    for row in theirs.auth:
        reply.add_auth(row)
    return _packed(question, reply)


def about(question: Question, name: str) -> bytes:
    """The question of the same type about another name, as it is sent to a resolver."""
    return bytes(DNSRecord(DNSHeader(id=0, rd=1), q=DNSQuestion(name, getattr(QTYPE, question.kind, 0))).pack())


def services(question: Question, found: Sequence[tuple[str, int]], *, ttl: int) -> bytes:
    """The answer to an SRV question: hosts and ports, all alike."""
    reply = _reply(question, NOERROR)
    for host, port in found if question.kind in ("SRV", "ANY") else ():
        reply.add_answer(RR(question.name, QTYPE.SRV, ttl=ttl, rdata=SRV(0, 100, port, host)))
    if not reply.rr:
        reply.add_auth(_authority(question.name, ttl))
    return _packed(question, reply)


def pointer(question: Question, host: str, *, ttl: int) -> bytes:
    """The answer which host an address belongs to."""
    reply = _reply(question, NOERROR)
    if question.kind in ("PTR", "ANY"):
        reply.add_answer(RR(reply.questions[0].qname, QTYPE.PTR, ttl=ttl, rdata=PTR(host)))
    else:
        reply.add_auth(_authority(question.name, ttl))
    return _packed(question, reply)


def _add_aliases(reply: DNSRecord, aliases: Sequence[str], ttl: int) -> DNSLabel:
    name = reply.questions[0].qname
    for alias in aliases:
        reply.add_answer(RR(name, QTYPE.CNAME, ttl=ttl, rdata=CNAME(alias)))
        name = DNSLabel(alias)
    return name


def missing(question: Question, *, zone: str, ttl: int) -> bytes:
    """The answer that there is no such name, to be believed for `ttl` seconds."""
    reply = _reply(question, NXDOMAIN)
    reply.add_auth(_authority(zone, ttl))
    return _packed(question, reply)


def failure(question: Question, code: int, reason: str = "") -> bytes:
    """An answer without data; `reason` is for those who ask with EDNS."""
    if not question.kind:
        header = bytearray(question.data[:HEADER])
        header[2], header[3] = 0x80 | (header[2] & 0x79), 0x80 | code
        return bytes(header[:4]) + bytes(8)
    return _packed(question, _reply(question, code), reason)


def truncated(question: Question, answer: bytes) -> bytes:
    """The answer as it fits into one datagram: itself, or a request to ask again by TCP."""
    if len(answer) <= question.size:
        return answer
    reply = _reply(question, answer[3] & 0x0F)
    reply.header.tc = 1
    return _packed(question, reply)


def same_question(asked: bytes, answer: bytes) -> bool:
    """Whether an answer from elsewhere belongs to what was asked (its id, and the question where it repeats it)."""
    if len(answer) < HEADER or answer[:2] != asked[:2] or not answer[2] & 0x80:
        return False
    try:
        theirs, ours = _question(answer), _question(asked)
    except _UNREADABLE:
        return False
    return theirs is None or ours is None or bool(theirs.qname == ours.qname and theirs.qtype == ours.qtype)


def _question(data: bytes) -> DNSQuestion | None:
    buffer = DNSBuffer(data)
    header = DNSHeader.parse(buffer)
    return DNSQuestion.parse(buffer) if header.q else None


def _parse(data: bytes) -> DNSRecord:
    if len(data) > _LONGEST:
        raise DNSError("no question is that long")
    record = DNSRecord.parse(data)
    if not record.questions:
        raise DNSError("no question")
    return record


def _written(label: DNSLabel) -> str:
    parts = [bytes(part).decode("ascii", "backslashreplace").replace(".", "\\.") for part in label.label]
    return ".".join(parts).lower()


def _kind(number: int) -> str:
    try:
        return str(QTYPE[number])
    except DNSError:
        return f"TYPE{number}"


def _reply(question: Question, code: int) -> DNSRecord:
    asked = _question(question.data)
    header = DNSHeader(
        id=int.from_bytes(question.data[:2], "big"), qr=1, aa=1, ra=1, rd=question.data[2] & 1, rcode=code
    )
    return DNSRecord(header, q=asked)


def _packed(question: Question, reply: DNSRecord, reason: str = "") -> bytes:
    if question.edns:
        options = [EDNSOption(_EXTENDED_ERROR, b"\0\0" + reason.encode()[:200])] if reason else []
        reply.add_ar(EDNS0(udp_len=_UDP_MOST, opts=options))
    return bytes(reply.pack())


def _row(name: DNSLabel, address: str, ttl: int) -> RR:
    if ":" in address:
        return RR(name, QTYPE.AAAA, ttl=ttl, rdata=AAAA(address))
    return RR(name, QTYPE.A, ttl=ttl, rdata=A(address))


def _authority(zone: str, ttl: int) -> RR:
    times = (1, 60, 60, 60, ttl)
    return RR(zone, QTYPE.SOA, ttl=ttl, rdata=SOA("dns.plait.invalid", "dns.plait.invalid", times))
