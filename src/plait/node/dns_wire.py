"""Bytes between a machine's DNS front and its agent, and the little of DNS messages that the front must know.

Standard library, and as little of it as goes: the front stays as small as an interpreter can be (see `dns_front`).

One packet of a unix SEQPACKET socket is one message; its first byte says what:

    front  H BUILD                              which program it is, first of all
           Q number:4 stream:1 client:4 data    a question, as the client sent it
           T                                    with its sockets, which it has given up (see `SOCKETS`)
    agent  A number:4 verdict:1 length:1 owner reply
           T                                    give up your sockets, another front comes
           E                                    end

H, T and E never change, so that an agent can replace a front of any version.
"""

HELLO, ASK, ANSWER, TAKE, END = b"H", b"Q", b"A", b"T", b"E"
PASS, KEEP, MISSING, FOREIGN, FAILED = range(5)
"""Verdicts: the reply as it is; of the mesh, to be remembered; no such name; ask the machine's resolvers; the reply
unless something is remembered."""
SOCKETS = 4
"""UDP and TCP of the workloads' DNS, then of the Envoys'."""
LARGEST = 65535 + 512
HEADER = 12
SERVFAIL = 2
_UDP_DEFAULT, _UDP_MOST = 512, 1232
_OPT = b"\0\0\x29"


class Question:
    """One plain question: `name` in lower case as it is on the wire, `kind` its type and class, `end` where it ends.

    `size` is what an answer by UDP may have as the asker says with EDNS, 0 without.
    """

    __slots__ = ("end", "kind", "name", "size")

    def __init__(self, name: bytes, kind: bytes, end: int, size: int) -> None:
        self.name = name
        self.kind = kind
        self.end = end
        self.size = size


def read(data: bytes) -> Question | None:
    """The question in a message; None if it is not a plain query with one question and at most EDNS beside it."""
    if len(data) < HEADER + 5 or data[2] & 0xF8 or data[4:10] != b"\0\1\0\0\0\0":
        return None
    at = HEADER
    while length := data[at]:
        at += 1 + length
        if length > 63 or at >= len(data):
            return None
    at += 1
    end = at + 4
    if end > len(data):
        return None
    size = 0
    if data[10:12] != b"\0\0":
        if data[10:12] != b"\0\1" or data[end : end + 3] != _OPT or len(data) < end + 11:
            return None
        size = max(_UDP_DEFAULT, min(_UDP_MOST, int.from_bytes(data[end + 3 : end + 5], "big")))
    return Question(data[HEADER:at].lower(), data[at:end], end, size)


def is_query(data: bytes) -> bool:
    """Whether somebody waits for an answer to it."""
    return len(data) >= HEADER and not data[2] & 0x80


def failed(data: bytes, code: int = SERVFAIL) -> bytes:
    """An answer without data to a message that `is_query`."""
    found = read(data)
    flags = bytes((0x80 | data[2] & 0x79, 0x80 | code))
    if found is None:
        return data[:2] + flags + bytes(8)
    edns = _OPT + _UDP_MOST.to_bytes(2, "big") + bytes(6) if found.size else b""
    counts = b"\0\1\0\0\0\0" + (b"\0\1" if edns else b"\0\0")
    return data[:2] + flags + counts + data[HEADER : found.end] + edns


def again(answer: bytes, data: bytes, question: Question) -> bytes:
    """An answer that was given to an equal question, as the answer to this one."""
    flags = bytes((answer[2] & 0xFE | data[2] & 1, answer[3]))
    return data[:2] + flags + answer[4:HEADER] + data[HEADER : question.end] + answer[question.end :]


def answers(asked: bytes, answer: bytes) -> bool:
    """Whether an answer from elsewhere belongs to what was asked: its id, and the question where it repeats it."""
    if len(answer) < HEADER or answer[:2] != asked[:2] or not answer[2] & 0x80:
        return False
    if answer[4:6] == b"\0\0":
        return True
    question = read(asked)
    end = question.end if question is not None else HEADER
    return answer[4:6] == asked[4:6] and answer[HEADER:end].lower() == asked[HEADER:end].lower()


def ask_frame(number: int, client: bytes, data: bytes, *, stream: bool) -> bytes:
    """The front's question; `client` is an IPv4 address of four bytes."""
    return b"".join((ASK, number.to_bytes(4, "big"), bytes((stream,)), client, data))


def asked(frame: bytes) -> tuple[int, bool, bytes, bytes]:
    """Number, stream, client and data of a question."""
    return int.from_bytes(frame[1:5], "big"), bool(frame[5]), frame[6:10], frame[10:]


def answer_frame(number: int, verdict: int, owner: str, reply: bytes) -> bytes:
    """The agent's answer; `owner` is the workload that the client is."""
    who = owner.encode()[:255]
    return b"".join((ANSWER, number.to_bytes(4, "big"), bytes((verdict, len(who))), who, reply))


def answered(frame: bytes) -> tuple[int, int, bytes, bytes]:
    """Number, verdict, owner and reply of an answer."""
    begin = 7 + frame[6]
    return int.from_bytes(frame[1:5], "big"), frame[5], frame[7:begin], frame[begin:]
